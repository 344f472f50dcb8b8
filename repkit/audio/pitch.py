"""Internal. Pitch along time, by autocorrelation."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

WINDOW = 0.04  # seconds: nearly three periods of the lowest voice
LOWEST, HIGHEST = 70.0, 400.0  # Hz
AT_ONCE = 2**11  # windows whose spectra are in memory
OCTAVE_COST = 0.05  # taken off for each octave downwards: multiples of a period are as similar


def track(wave: Tensor, sample_rate: int, hop_length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pitch, its strength and the energy of every window.

    The autocorrelation of each piece is divided by that of the Hann window itself, and the lag of
    its maximum between 70 and 400 Hz taken (Boersma 1993, without the search for a smooth path).

    Parameters
    ----------
    wave : Tensor of shape (n_samples + window,)
        A waveform, with half a window of `WINDOW` seconds before and after.
    sample_rate : int
    hop_length : int

    Returns
    -------
    log_pitch : Tensor of shape (T,)
        Natural logarithm of the pitch in Hz.
    strength : Tensor of shape (T,)
        Autocorrelation at that lag; 1 for a periodic signal.
    energy : Tensor of shape (T,)
    """
    pieces = wave.unfold(0, window_length(sample_rate), hop_length)
    parts = [_tracked(some, sample_rate) for some in pieces.split(AT_ONCE)]
    log_pitch, strength, energy = (torch.cat(kind) for kind in zip(*parts, strict=True))
    return log_pitch, strength, energy


def _tracked(pieces: Tensor, sample_rate: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same of windows ``(T, window)``."""
    shape, self_similar, size = _window(sample_rate, pieces.device)
    shortest = int(sample_rate / HIGHEST)
    pieces = (pieces - pieces.mean(1, keepdim=True)) * shape
    power = torch.fft.rfft(pieces, size).abs().square()
    similar = torch.fft.irfft(power, size)[:, : len(self_similar)]
    energy = similar[:, 0]
    similar = similar / energy[:, None].clamp_min(torch.finfo(pieces.dtype).tiny) / self_similar
    lags = torch.arange(shortest, len(self_similar) - 1, device=pieces.device)
    place = (similar[:, shortest:-1] - OCTAVE_COST * lags.log2()).argmax(1, True) + shortest
    # The lag of the parabola through the maximum and its neighbors.
    before, top, after = similar.gather(1, torch.cat([place - 1, place, place + 1], 1)).T
    bent = (2 * top - before - after).clamp_min(torch.finfo(pieces.dtype).tiny)
    shift = ((after - before) / (2 * bent)).clamp(-0.5, 0.5)
    return (sample_rate / (place[:, 0] + shift)).log(), top, energy


@lru_cache(maxsize=8)
def _window(sample_rate: int, device: torch.device) -> tuple[Tensor, Tensor, int]:
    """Hann window, its normalized autocorrelation, and the size of transforms.

    Up to a lag beyond the longest that `track` looks at.
    """
    longest = int(sample_rate / LOWEST) + 1
    shape = torch.hann_window(window_length(sample_rate), periodic=False, dtype=torch.float64)
    size = 2 ** (len(shape) + longest).bit_length()
    similar = torch.fft.irfft(torch.fft.rfft(shape, size).abs().square(), size)[: longest + 1]
    return shape.float().to(device), (similar / similar[0]).float().to(device), size


def window_length(sample_rate: int) -> int:
    """Samples of a window, an even number."""
    return 2 * round(WINDOW * sample_rate / 2)
