"""What is done with frames ``(n, T, D)`` of padded utterances: each as if it were alone."""

from __future__ import annotations

import torch
from torch import Tensor


def exact(device: torch.device) -> torch.dtype:
    """Float64, where the device has it.

    In float32 the order in which terms are summed, which depends on the shape of the batch, would
    show.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def hold_last(frames: Tensor, lengths: Tensor) -> Tensor:
    """Fill the padding with each utterance's last frame; nothing beyond `lengths` is read."""
    time = torch.arange(frames.shape[1], device=frames.device)
    index = torch.minimum(time[None], lengths[:, None] - 1)
    return frames.gather(1, index[..., None].expand(-1, -1, frames.shape[2]))


def with_deltas(frames: Tensor, lengths: Tensor) -> Tensor:
    """Append first and second differences over time: ``(n, T, 3 D)``.

    The regression over 5 frames of the HTK book (section 5.6), with the ends held; the second
    differences are the first differences of the first.
    """
    first = _delta(hold_last(frames, lengths))
    # Held anew: in the padding a difference fades out instead of staying.
    second = _delta(hold_last(first, lengths))
    return torch.cat([frames, first, second], dim=2)


def _delta(frames: Tensor) -> Tensor:
    from torchaudio.functional import compute_deltas

    wide: Tensor = compute_deltas(frames.transpose(1, 2).to(exact(frames.device)))
    return wide.transpose(1, 2).to(frames.dtype)


def normalized(frames: Tensor, lengths: Tensor) -> Tensor:
    """Each column to mean 0 and deviation 1 within its utterance; 0 where it does not vary."""
    time = torch.arange(frames.shape[1], device=frames.device)
    inside = (time[None] < lengths[:, None])[..., None]
    count = lengths[:, None, None].to(frames.dtype)
    mean = torch.where(inside, frames, 0.0).sum(1, keepdim=True) / count
    centered = torch.where(inside, frames - mean, 0.0)
    deviation = (centered.square().sum(1, keepdim=True) / count).sqrt()
    # Rounding leaves a constant column a deviation of about 1e-7 of its mean.
    varies = deviation > 1e-5 * (1 + mean.abs())
    return torch.where(varies, centered / torch.where(varies, deviation, 1.0), 0.0)


def stacked(frames: Tensor, lengths: Tensor, stack: int) -> tuple[Tensor, Tensor]:
    """Join each `stack` frames: ``(n, ceil(T / stack), stack * D)`` and the new lengths."""
    if stack == 1:
        return frames, lengths
    n, time, width = frames.shape
    missing = -time % stack
    if missing:
        frames = torch.cat([frames, frames[:, -1:].expand(-1, missing, -1)], dim=1)
    held = hold_last(frames, lengths)
    return held.reshape(n, -1, stack * width), (lengths + stack - 1) // stack


def unstacked(frames: Tensor, stack: int) -> Tensor:
    """Undo `stacked` for one utterance ``(T, stack * D)``; repeated last frames stay."""
    return frames.reshape(len(frames) * stack, -1)
