"""Internal. Changes of frames ``(n, T, D)`` of padded utterances, each as if it were alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from repkit.audio import _torchaudio

PIECE = 2**14  # frames of a piece: nearly three minutes


def exact(device: torch.device) -> torch.dtype:
    """Return float64 where the device has it, else float32.

    In float32 the order in which terms are summed would show, and it depends on the shape of the
    batch.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def hold_last(frames: Tensor, lengths: Tensor) -> Tensor:
    """Fill the padding with each utterance's last frame.

    Parameters
    ----------
    frames : Tensor of shape (n, T, D)
        Frames; what stands beyond `lengths` is not read.
    lengths : Tensor of shape (n,)
        Number of frames of each utterance, from 1 to T.

    Returns
    -------
    Tensor of shape (n, T, D)
        Frames that need no mask: each utterance goes on with its last frame.
    """
    time = torch.arange(frames.shape[1], device=frames.device)
    index = torch.minimum(time[None], lengths[:, None] - 1)
    return frames.gather(1, index[..., None].expand(-1, -1, frames.shape[2]))


def with_deltas(frames: Tensor, lengths: Tensor) -> Tensor:
    """Append first and second differences over time.

    First differences are regressions over 5 frames with the ends held (The HTK Book, section
    5.6). Second differences are the first differences of the first ones.

    Parameters
    ----------
    frames : Tensor of shape (n, T, D)
        Frames; what stands beyond `lengths` is not read.
    lengths : Tensor of shape (n,)
        Number of frames of each utterance, from 1 to T.

    Returns
    -------
    Tensor of shape (n, T, 3 * D)
        Frames, first differences, second differences.
    """
    first = _delta(hold_last(frames, lengths))
    # Held again: in the padding a difference fades out instead of staying.
    second = _delta(hold_last(first, lengths))
    return torch.cat([frames, first, second], dim=2)


def _delta(frames: Tensor) -> Tensor:
    wide = _torchaudio.compute_deltas(frames.transpose(1, 2).to(exact(frames.device)))
    return wide.transpose(1, 2).to(frames.dtype)


def normalized(frames: Tensor, lengths: Tensor) -> Tensor:
    """Scale each column to mean 0 and standard deviation 1 within its utterance.

    Parameters
    ----------
    frames : Tensor of shape (n, T, D)
        Frames; what stands beyond `lengths` is not read.
    lengths : Tensor of shape (n,)
        Number of frames of each utterance, from 1 to T.

    Returns
    -------
    Tensor of shape (n, T, D)
        Scaled frames; 0 in the padding, and where a column does not vary.
    """
    time = torch.arange(frames.shape[1], device=frames.device)
    inside = (time[None] < lengths[:, None])[..., None]
    count = lengths[:, None, None].to(frames.dtype)
    mean = torch.where(inside, frames, 0.0).sum(1, keepdim=True) / count
    centered = torch.where(inside, frames - mean, 0.0)
    deviation = (centered.square().sum(1, keepdim=True) / count).sqrt()
    # Rounding leaves a constant column with a deviation of about 1e-7 of its mean.
    varies = deviation > 1e-5 * (1 + mean.abs())
    return torch.where(varies, centered / torch.where(varies, deviation, 1.0), 0.0)


def stacked(frames: Tensor, lengths: Tensor, stack: int) -> tuple[Tensor, Tensor]:
    """Join every `stack` frames into one, without overlap.

    Parameters
    ----------
    frames : Tensor of shape (n, T, D)
        Frames; what stands beyond `lengths` is not read.
    lengths : Tensor of shape (n,)
        Number of frames of each utterance, from 1 to T.
    stack : int
        Number of frames to join, at least 1. The last frame of an utterance is repeated to fill
        its last group.

    Returns
    -------
    frames : Tensor of shape (n, ceil(T / stack), stack * D)
        Joined frames.
    lengths : Tensor of shape (n,)
        Number of joined frames of each utterance.
    """
    if stack == 1:
        return frames, lengths
    n, time, width = frames.shape
    missing = -time % stack
    if missing:
        frames = torch.cat([frames, frames[:, -1:].expand(-1, missing, -1)], dim=1)
    held = hold_last(frames, lengths)
    return held.reshape(n, -1, stack * width), (lengths + stack - 1) // stack


def unstacked(frames: Tensor, stack: int) -> Tensor:
    """Undo `stacked` for one utterance; the repeated last frames stay.

    Parameters
    ----------
    frames : Tensor of shape (T, stack * D)
        Joined frames of one utterance.
    stack : int
        Number of frames that were joined.

    Returns
    -------
    Tensor of shape (T * stack, D)
        Single frames.
    """
    return frames.reshape(len(frames) * stack, -1)


def in_pieces(frames: np.ndarray) -> Iterator[np.ndarray]:
    """Yield views of `PIECE` frames each of frames ``(T, D)``, for sums in bounded memory."""
    return (frames[k : k + PIECE] for k in range(0, len(frames), PIECE))
