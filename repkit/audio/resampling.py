"""Internal. Change of the sample rate by sinc interpolation, of whole signals or block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repkit.audio import _torchaudio
from repkit.audio.frames import exact

# The kernel has numerator x denominator entries. A ratio of larger terms, such as 15,999 to
# 16,000 Hz, is rounded by less than 3 parts in 10,000: half a cent of pitch.
_LARGEST_TERM = 2000
# Samples in a batch of recordings, padding included, and in a block of a longer one: half a minute
# at 16 kHz.
BLOCK = 2**19


def ratio(rate: int, target: int) -> Fraction:
    """Number of output samples for each input sample.

    Parameters
    ----------
    rate : int
        Sample rate of the input, in Hz.
    target : int
        Sample rate of the output, in Hz.

    Returns
    -------
    Fraction
        ``target / rate``, rounded where a term is above 2000.
    """
    if target <= rate:
        return Fraction(target, rate).limit_denominator(_LARGEST_TERM)
    return 1 / Fraction(rate, target).limit_denominator(_LARGEST_TERM)


def resampled_length(n: int, rate: int, target: int) -> int:
    """Number of samples that `n` samples at `rate` Hz become at `target` Hz."""
    return n if rate == target else ceil(n * ratio(rate, target))


def resample(x: Tensor, rate: int, target: int) -> Tensor:
    """Resample whole signals.

    Zeros are assumed before and after a signal. Hence a signal padded with zeros gives the same
    as alone, up to `resampled_length`.

    Parameters
    ----------
    x : Tensor of shape (..., n)
        Signals.
    rate : int
        Sample rate of the input, in Hz.
    target : int
        Sample rate of the output, in Hz.

    Returns
    -------
    Tensor of shape (..., resampled_length(n, rate, target))
        Signals at the new rate, of the type of `x`.
    """
    step = ratio(rate, target)
    if step == 1:
        return x
    # In float64: the logarithm of an empty band shows float32's rounding, which depends on the
    # shape of the batch.
    return _resampler(step, x.device)(x.to(exact(x.device))).to(x.dtype)


def resample_blocks(
    blocks: Iterable[Tensor], rate: int, target: int, size: int
) -> Iterator[Tensor]:
    """Resample a signal that comes in blocks.

    Parameters
    ----------
    blocks : iterable of Tensor of shape (n,)
        The signal, in blocks of any length.
    rate : int
        Sample rate of the input, in Hz.
    target : int
        Sample rate of the output, in Hz.
    size : int
        Number of samples to resample at a time, before or after, whichever are more.

    Yields
    ------
    Tensor of shape (m,)
        Blocks of what `resample` gives for the whole signal.
    """
    step = ratio(rate, target)
    if step == 1:
        yield from blocks
        return
    new, old = step.numerator, step.denominator
    # The kernel reaches 6 zero crossings (of a cut-off at 0.99) and one input period.
    reach = ceil(6 * old / (0.99 * min(new, old))) + old
    margin = ceil(reach / old) * old
    for window, fresh in windows(blocks, max(1, size // max(new, old)) * old, margin):
        first = margin // old * new
        yield resample(window, rate, target)[first : first + ceil(fresh * step)]


def pieces(
    blocks: Iterable[np.ndarray],
    rate: int,
    target: int,
    hop: int,
    margin: int,
    device: torch.device,
) -> Iterator[tuple[Tensor, int]]:
    """Resample a signal that comes in blocks, and cut it into `windows` of whole hops.

    Parameters
    ----------
    blocks : iterable of ndarray of shape (n,)
        The signal, in blocks of any length.
    rate, target : int
        Sample rates of the input and of the pieces, in Hz.
    hop : int
        Samples from one frame to the next.
    margin : int
        Samples before and after each piece.
    device : torch.device
        Where the pieces are wanted.

    Yields
    ------
    piece : Tensor of shape (margin + fresh + margin,)
    fresh : int
        Samples between the margins, a multiple of `hop` but for the last piece.
    """
    moved = (torch.from_numpy(np.array(block)).to(device) for block in blocks)
    signal = resample_blocks(moved, rate, target, BLOCK)
    yield from windows(signal, max(1, BLOCK // hop) * hop, margin)


def windows(blocks: Iterable[Tensor], step: int, margin: int) -> Iterator[tuple[Tensor, int]]:
    """Cut a signal into pieces with a margin on both sides.

    Zeros stand before the start of the signal and after its end.

    Parameters
    ----------
    blocks : iterable of Tensor of shape (n,)
        The signal, in blocks of any length.
    step : int
        Samples from one piece to the next.
    margin : int
        Samples before and after each piece.

    Yields
    ------
    piece : Tensor of shape (margin + fresh + margin,)
        A piece of the signal with its margins.
    fresh : int
        Number of samples between the margins: `step`; for the last piece whatever is left, from 0
        to ``step + margin``.
    """
    kept: Tensor | None = None
    for block in blocks:
        kept = torch.cat([block.new_zeros(margin) if kept is None else kept, block])
        while len(kept) >= step + 2 * margin:
            yield kept[: step + 2 * margin], step
            kept = kept[step:]
    if kept is not None:
        yield torch.cat([kept, kept.new_zeros(margin)]), len(kept) - margin


@lru_cache(maxsize=32)
def _resampler(step: Fraction, device: torch.device) -> Any:
    kernel = _torchaudio.resampler(step.denominator, step.numerator, exact(device))
    return kernel.to(device)
