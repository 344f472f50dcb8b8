"""Sample rates: sinc interpolation, of a batch at once or of a long signal block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any

import torch
from torch import Tensor

from .frames import exact

# The polyphase kernel has numerator x denominator entries. A ratio of larger terms, as of 15 999
# to 16 000 Hz, is rounded, by less than 3 parts in 10 000: half a cent of pitch.
_LARGEST_TERM = 2000


def ratio(rate: int, target: int) -> Fraction:
    """Output samples for each input sample."""
    if target <= rate:
        return Fraction(target, rate).limit_denominator(_LARGEST_TERM)
    return 1 / Fraction(rate, target).limit_denominator(_LARGEST_TERM)


def resampled_length(n: int, rate: int, target: int) -> int:
    """Samples that `n` become."""
    return ceil(n * ratio(rate, target))


def resample(x: Tensor, rate: int, target: int) -> Tensor:
    """Resample signals ``(..., n)``; zeros are assumed before and after them.

    Hence a signal padded with zeros gives the same as alone, up to `resampled_length`.
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
    """Resample a signal that comes in blocks ``(n,)``: what the whole one would give, in blocks."""
    step = ratio(rate, target)
    if step == 1:
        yield from blocks
        return
    new, old = step.numerator, step.denominator
    # torchaudio's kernel reaches 6 zero crossings (of a cut-off at 0.99) and one input period.
    reach = ceil(6 * old / (0.99 * min(new, old))) + old
    margin = ceil(reach / old) * old
    for window, fresh in windows(blocks, max(1, size // old) * old, margin):
        first = margin // old * new
        yield resample(window, rate, target)[first : first + ceil(fresh * step)]


def windows(blocks: Iterable[Tensor], step: int, margin: int) -> Iterator[tuple[Tensor, int]]:
    """Cut a signal in pieces of `step` samples with `margin` more on both sides.

    Zeros stand before the start and after the end. Each piece comes with the number of samples
    between its margins: `step`, or for the last one whatever is left (0 included, and up to
    ``step + margin``).
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
    from torchaudio.transforms import Resample

    return Resample(step.denominator, step.numerator, dtype=exact(device)).to(device)
