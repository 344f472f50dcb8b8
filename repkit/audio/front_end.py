"""Log-mel and MFCC frames of padded batches of waveforms, on the device."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .frames import exact

# Added to mel energies before the logarithm: about 100 dB below a sine at full scale.
FLOOR = 1e-6
LOWEST = 20.0  # Hz; below it there is hum and offset, no speech


@dataclass(frozen=True)
class FrontEnd:
    """What is computed from a waveform; it has no state, learns nothing and can be shared.

    Frame t is centered on sample ``t * hop``; zeros stand before the start and after the end, so
    that ``n`` samples give ``1 + n // hop`` frames and a single sample one. Filters are HTK-mel
    triangles over the power spectrum, from 20 Hz to half the sample rate; the FFT is the smallest
    power of two that holds a window and puts a bin in every filter. The logarithm is natural,
    of the energy plus 1e-6.

    Parameters
    ----------
    kind : {"logmel", "mfcc"}, default="logmel"
        Log mel energies, or their orthonormal DCT, the first `n_mfcc` coefficients.
    sample_rate : int, default=16000
        In Hz; sound of another rate is resampled to it.
    n_mels : int, default=40
        Mel filters.
    n_mfcc : int, default=13
        Coefficients kept, at most `n_mels`.
    window, hop : float, default=0.025, 0.010
        Length of the (Hann) window and distance of the frames, in seconds.
    deltas : bool, default=False
        Append the first and second differences over time, regressions over 5 frames in which the
        first and last frame are held.
    stack : int, default=1
        Frames joined to one, without overlap; the last frame is repeated to fill the last one.
    normalize : {None, "utterance"}, default=None
        ``"utterance"``: each column gets mean 0 and deviation 1 over the frames of its utterance
        (columns that do not vary become 0), before stacking.

    Raises
    ------
    ValueError
        A parameter out of range, or more filters than the FFT can tell apart.
    """

    kind: str = "logmel"
    sample_rate: int = 16000
    n_mels: int = 40
    n_mfcc: int = 13
    window: float = 0.025
    hop: float = 0.010
    deltas: bool = False
    stack: int = 1
    normalize: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("logmel", "mfcc"):
            raise ValueError(f"kind={self.kind!r}: wanted 'logmel' or 'mfcc'")
        if self.normalize not in (None, "utterance"):
            raise ValueError(f"normalize={self.normalize!r}: wanted None or 'utterance'")
        for name in ("sample_rate", "n_mels", "n_mfcc", "stack"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: wanted at least 1")
        if self.kind == "mfcc" and self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc={self.n_mfcc}: wanted at most n_mels={self.n_mels}")
        if self.hop_length < 1 or self.hop > self.window:
            raise ValueError(
                f"window={self.window!r}, hop={self.hop!r}: wanted seconds, a hop of at least one "
                "sample and no longer than the window"
            )
        if self.sample_rate <= 2 * LOWEST:
            raise ValueError(f"sample_rate={self.sample_rate!r}: wanted more than 40 Hz")
        self.n_fft  # noqa: B018  (too many filters are told of here)

    @property
    def win_length(self) -> int:
        """Samples in a window."""
        return round(self.window * self.sample_rate)

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next, before stacking."""
        return round(self.hop * self.sample_rate)

    @property
    def n_fft(self) -> int:
        """Points of the FFT."""
        return _n_fft(self.sample_rate, self.win_length, self.n_mels)

    @property
    def n_static(self) -> int:
        """Columns before differences and stacking."""
        return self.n_mels if self.kind == "logmel" else self.n_mfcc

    @property
    def n_features(self) -> int:
        """Columns of the frames."""
        return self.n_static * (3 if self.deltas else 1) * self.stack

    def n_frames(self, n_samples: int) -> int:
        """Frames that `n_samples` at `sample_rate` give, after stacking."""
        return -(-(1 + n_samples // self.hop_length) // self.stack)

    def static(self, waves: Tensor) -> Tensor:
        """Frames ``(n, T, n_static)`` of ``(n, samples + n_fft)``, padded on both sides already.

        ``T = 1 + samples // hop_length``. The same samples give the same frames in any batch.
        """
        tools = _tools(self, waves.device)
        spectrum = torch.stft(
            waves,
            self.n_fft,
            self.hop_length,
            self.win_length,
            tools.window,
            center=False,
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        # Sums in float64: in float32 the order of the terms, which depends on the shape of the
        # batch, would show in the last digits, and in more of them after normalization.
        frames = torch.log(power.transpose(1, 2).to(tools.filters.dtype) @ tools.filters + FLOOR)
        return (frames if self.kind == "logmel" else frames @ tools.dct).float()


class _Tools(NamedTuple):
    window: Tensor  # (win_length,)
    filters: Tensor  # (n_fft // 2 + 1, n_mels)
    dct: Tensor  # (n_mels, n_mfcc)


@lru_cache(maxsize=16)
def _tools(front_end: FrontEnd, device: torch.device) -> _Tools:
    from torchaudio.functional import create_dct

    filters = mel_filters(front_end.sample_rate, front_end.n_fft, front_end.n_mels)
    dct = create_dct(min(front_end.n_mfcc, front_end.n_mels), front_end.n_mels, "ortho")
    return _Tools(
        torch.hann_window(front_end.win_length, device=device),
        filters.to(device, exact(device)),
        dct.to(device, exact(device)),
    )


def mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> Tensor:
    """Triangles ``(n_fft // 2 + 1, n_mels)``, their tops at 1."""
    from torchaudio.functional import melscale_fbanks

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # empty filters: looked for by the caller
        filters: Any = melscale_fbanks(n_fft // 2 + 1, LOWEST, sample_rate / 2, n_mels, sample_rate)
    return filters


@lru_cache(maxsize=64)
def _n_fft(sample_rate: int, win_length: int, n_mels: int) -> int:
    smallest = 1 << max(win_length - 1, 1).bit_length()
    for n_fft in (smallest, 2 * smallest, 4 * smallest):
        if bool((mel_filters(sample_rate, n_fft, n_mels) > 0).any(dim=0).all()):
            return n_fft
    raise ValueError(
        f"n_mels={n_mels}: too many filters for a window of {win_length} samples at "
        f"{sample_rate} Hz; take fewer, or a longer window"
    )
