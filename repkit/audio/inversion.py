"""Frames back to sound: mel energies to a spectrum, its phases by Griffin and Lim."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .frames import unstacked
from .front_end import FLOOR, FrontEnd, mel_filters


def to_waveform(
    frames: Any, front_end: FrontEnd, *, n_iter: int = 32, device: Any = "cpu"
) -> np.ndarray:
    """Rebuild a waveform from the frames of one utterance.

    Parameters
    ----------
    frames : array or tensor of shape (T, n_features)
        As `front_end` makes them with ``normalize=None``, and not standardized: undo a corpus
        mean and deviation first. Differences are ignored. Of MFCC the cepstral envelope is taken.
    front_end : FrontEnd
    n_iter : int, default=32
        Iterations of Griffin and Lim's algorithm (1984), with momentum 0.99 (Perraudin et al.,
        2013), from random phases that are the same at every call.
    device : str or torch.device, default="cpu"

    Returns
    -------
    ndarray of shape (max(T * stack - 1, 1) * hop_length,)
        float32 at ``front_end.sample_rate``. The level is that of the original; values beyond
        [-1, 1] may occur.

    Raises
    ------
    ValueError
        Frames of another width, or a front end that normalizes each utterance.
    """
    if front_end.normalize is not None:
        raise ValueError(
            f"normalize={front_end.normalize!r} takes away the level of every band: there is "
            "nothing to rebuild the sound from; take normalize=None"
        )
    x = torch.as_tensor(frames, dtype=torch.float32, device=device)
    if x.ndim != 2 or x.shape[1] != front_end.n_features or len(x) == 0:
        raise ValueError(
            f"frames has shape {tuple(x.shape)}: wanted (T, {front_end.n_features}), as this "
            "front end makes them"
        )
    static = unstacked(x, front_end.stack)[:, : front_end.n_static]
    if front_end.kind == "mfcc":
        from torchaudio.functional import create_dct

        static = static @ create_dct(front_end.n_mfcc, front_end.n_mels, "ortho").to(device).T
    # An upper bound, about 130 dB above full scale, lest a wild model overflow.
    mel = (static.clamp(max=40.0).exp() - FLOOR).clamp_min(0.0)
    length = max(len(mel) - 1, 1) * front_end.hop_length
    # Silence after the end, until a window fits.
    extra = 1 + -(-front_end.n_fft // front_end.hop_length)
    power = torch.nn.functional.pad(_spectrum(mel, front_end), (0, 0, 0, extra))
    return _griffin_lim(power.T, front_end, n_iter)[:length].cpu().numpy()


def _spectrum(mel: Tensor, front_end: FrontEnd, n_iter: int = 50) -> Tensor:
    """Non-negative power ``(T, bins)`` with these mel energies ``(T, n_mels)``.

    Lee and Seung's multiplicative updates (2001) from an even spread. torchaudio's
    ``InverseMelScale`` clips a least-squares solution at zero: on made words at 8 kHz the rebuilt
    frames are .19 from the given ones instead of .12, and 80 filters, not independent, it refuses.
    """
    filters = mel_filters(front_end.sample_rate, front_end.n_fft, front_end.n_mels).to(mel.device)
    power = mel @ (filters / filters.sum(0)).T
    target = mel @ filters.T
    gram = filters @ filters.T
    for _ in range(n_iter):
        power = power * target / (power @ gram).clamp_min(1e-20)
    return power


def _griffin_lim(power: Tensor, front_end: FrontEnd, n_iter: int) -> Tensor:
    from torchaudio.functional import griffinlim

    devices = [power.device] if power.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        wave: Tensor = griffinlim(
            power,
            window=torch.hann_window(front_end.win_length, device=power.device),
            n_fft=front_end.n_fft,
            hop_length=front_end.hop_length,
            win_length=front_end.win_length,
            power=2.0,
            n_iter=n_iter,
            momentum=0.99,
            length=None,
            rand_init=True,
        )
    return wave
