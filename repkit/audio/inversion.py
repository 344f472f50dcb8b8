"""Frames back to sound: mel energies to a spectrum, and its phases by Griffin and Lim."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from repkit._arguments import device as usable
from repkit._arguments import integer, named, shown
from repkit._random import lent_generators, seed_torch
from repkit.audio import _torchaudio
from repkit.audio.frames import unstacked
from repkit.audio.front_end import FLOOR, FrontEnd, mel_filters

__all__ = ["to_waveform"]


def to_waveform(
    frames: Any, front_end: FrontEnd, *, n_iter: int = 32, device: Any = "cpu"
) -> np.ndarray:
    """Rebuild a waveform from the frames of one utterance.

    Phases are found by the algorithm of Griffin and Lim (1984) with the momentum of Perraudin et
    al. (2013), .99. It starts from random phases that are the same at every call.

    Parameters
    ----------
    frames : array-like or Tensor of shape (T, n_features)
        Frames as `front_end` makes them. A corpus mean and deviation must be undone first.
        Differences are ignored. MFCC frames give the sound of their spectral envelope.
    front_end : FrontEnd
        The front end that made the frames, with ``normalize=None``.
    n_iter : int, default=32
        Number of iterations of the phase reconstruction.
    device : str or torch.device, default="cpu"
        Where to compute.

    Returns
    -------
    ndarray of shape (max(T * stack - 1, 1) * hop_length,)
        Float32 waveform at ``front_end.sample_rate`` with the level of the original; values beyond
        [-1, 1] may occur.

    Raises
    ------
    ValueError
        If `frames` is empty or of another width, or if the front end normalizes each utterance.
    ImportError
        If torchaudio is missing or does not load; the extra ``speech`` installs it.

    See Also
    --------
    extract : Frames of many utterances.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.audio import FrontEnd, as_utterances, extract, to_waveform
    >>> front_end = FrontEnd(sample_rate=8000)
    >>> tone = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    >>> frames = extract(as_utterances([tone], sample_rate=8000), front_end).frames[0]
    >>> frames.shape, to_waveform(frames, front_end).shape
    ((101, 40), (8000,))
    """
    if not isinstance(front_end, FrontEnd):
        raise TypeError(f"front_end must be a FrontEnd, not {shown(front_end)}")
    device = usable(device)
    integer(n_iter, "n_iter", 1, 10**4)
    if front_end.normalize is not None:
        raise ValueError(
            f"front_end must have normalize=None, not {front_end.normalize!r}, which takes away "
            "the level of every band: nothing is left to rebuild the sound from"
        )
    with named("frames", "an array of numbers (T, D)"):
        if np.ma.is_masked(frames):
            raise ValueError("fill or drop what its mask hides")
        if not isinstance(frames, torch.Tensor):
            frames = np.asarray(frames)
            if frames.dtype.kind not in "iufb":
                raise TypeError(f"not of dtype {frames.dtype}")
        x = torch.as_tensor(frames, dtype=torch.float32, device=device)
        if not x.isfinite().all():
            raise ValueError("not NaN or infinity")
    if x.ndim != 2 or x.shape[1] != front_end.n_features or len(x) == 0:
        raise ValueError(
            f"frames must have shape (T, {front_end.n_features}), as this front end makes them, "
            f"not {tuple(x.shape)}"
        )
    static = unstacked(x, front_end.stack)[:, : front_end.n_static]
    if front_end.kind == "mfcc":
        static = static @ _torchaudio.create_dct(front_end.n_mfcc, front_end.n_mels).to(device).T
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
    ``InverseMelScale`` clips a least-squares solution at zero: on synthetic words at 8 kHz the
    rebuilt frames are .19 from the given ones instead of .12, and it refuses 80 filters, which are
    not independent.
    """
    filters = mel_filters(front_end.sample_rate, front_end.n_fft, front_end.n_mels).to(mel.device)
    power = mel @ (filters / filters.sum(0)).T
    target = mel @ filters.T
    gram = filters @ filters.T
    for _ in range(n_iter):
        power = power * target / (power @ gram).clamp_min(1e-20)
    return power


def _griffin_lim(power: Tensor, front_end: FrontEnd, n_iter: int) -> Tensor:
    with lent_generators(power.device):
        seed_torch(0, power.device)
        return _torchaudio.griffinlim(
            power,
            window=torch.hann_window(front_end.win_length, device=power.device),
            n_fft=front_end.n_fft,
            hop_length=front_end.hop_length,
            n_iter=n_iter,
            momentum=0.99,
        )
