"""Utterances to frames: in batches of like length, long recordings block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .frames import normalized, stacked, with_deltas
from .front_end import FrontEnd
from .resampling import resample, resample_blocks, resampled_length, windows
from .utterances import AudioError, Skipped, Utterances

# Samples in a batch, padding included, and in a block of a longer recording: half a minute at
# 16 kHz.
BLOCK = 2**19


@dataclass(frozen=True)
class Extracted:
    """Frames of the usable utterances.

    Parameters
    ----------
    frames : list of ndarray
        float32 (T, n_features), in the order of the input.
    kept : ndarray of shape (n_kept,)
        int64, the place of each in the input: use it to take their labels.
    skipped : list of Skipped
        The others: index, name and reason.
    """

    frames: list[np.ndarray]
    kept: np.ndarray
    skipped: list[Skipped]


def extract(utterances: Utterances, front_end: FrontEnd, device: Any = "cpu") -> Extracted:
    """Compute the frames of every utterance.

    Parameters
    ----------
    utterances : Utterances
        From `as_utterances`. Of ready frames only `stack` and `normalize` are applied.
    front_end : FrontEnd
    device : str or torch.device, default="cpu"
        Where frames are computed; they are handed back as arrays.

    Returns
    -------
    Extracted

    Raises
    ------
    AudioError
        (a ``ValueError``) An unusable utterance, where ``on_error="raise"``.
    ValueError
        All utterances were skipped.
    """
    found = dict(stream(utterances, front_end, device))
    kept = sorted(found)
    return Extracted([found[i] for i in kept], np.array(kept, np.int64), utterances.skipped)


def stream(
    utterances: Utterances, front_end: FrontEnd, device: Any = "cpu"
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield ``(index, frames)`` of the usable utterances, as `extract`, in the order of length.

    Half a minute of sound (at 16 kHz) is in memory at a time, whatever the size of the corpus or
    the length of a recording, and the frames of one batch: below 150 MB beside them.
    """
    device, any_usable = torch.device(device), False
    for batch in _batches(utterances, front_end):
        for index, frames in _computed(utterances, batch, front_end, device):
            any_usable = True
            yield index, frames
    if not any_usable:
        first = utterances.skipped[0]
        raise ValueError(
            f"all {len(utterances)} utterances were skipped; the first, {first.name}, because "
            f"{first.reason}"
        )


def statistics(frames: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column over all frames, walked through once.

    Parameters
    ----------
    frames : iterable of ndarray of shape (T, D)
        A generator will do: ``(x for _, x in stream(...))``.

    Returns
    -------
    mean, std : ndarray of shape (D,)
        float32, for ``(x - mean) / std``; `std` is 1 where a column does not vary.

    Raises
    ------
    ValueError
        There are no frames.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for x in frames:
        scaler.partial_fit(np.asarray(x, np.float64))
    if not hasattr(scaler, "n_samples_seen_"):
        raise ValueError("frames is empty: there is nothing to take the mean of")
    mean, std = scaler.mean_, np.sqrt(scaler.var_)
    # Rounding leaves a column that does not vary a deviation; scikit-learn's bound is of float64.
    std[std <= 1e-6 * (1 + np.abs(mean))] = 1.0
    return mean.astype(np.float32), std.astype(np.float32)


def _batches(utterances: Utterances, front_end: FrontEnd) -> Iterator[list[int]]:
    """Lists of utterances of one rate and of like length; a long one is alone."""
    if utterances.kind == "frames":
        yield from ([i] for i in range(len(utterances)))
        return
    sizes: list[tuple[int, int, int]] = []
    for i in range(len(utterances)):
        try:
            n, rate = utterances.length(i)
        except AudioError as error:
            utterances.reject(error)
        else:
            sizes.append((rate, resampled_length(n, rate, front_end.sample_rate), i))
    batch: list[int] = []
    previous = 0
    for rate, n, i in sorted(sizes):
        # Sorted, so that this one is the longest: all are padded to it. At least a window each.
        padded = max(n, front_end.win_length) * (len(batch) + 1)
        if batch and (padded > BLOCK or rate != previous):
            yield batch
            batch = []
        batch.append(i)
        previous = rate
    if batch:
        yield batch


def _computed(
    utterances: Utterances, batch: list[int], front_end: FrontEnd, device: torch.device
) -> Iterator[tuple[int, np.ndarray]]:
    """Frames of the utterances of a batch; one alone is read block by block."""
    if utterances.kind == "frames" or len(batch) == 1:
        for i in batch:
            try:
                if utterances.kind == "frames":
                    static = torch.from_numpy(np.array(utterances.frames(i))).to(device)
                else:
                    static = _long(utterances, i, front_end, device)
            except AudioError as error:
                utterances.reject(error)
            else:
                deltas = front_end.deltas and utterances.kind == "audio"
                lengths = torch.tensor([len(static)], device=device)
                yield i, _finished(static[None], lengths, front_end, deltas)[0]
        return
    waves: dict[int, Tensor] = {}
    for i in batch:
        try:
            waves[i] = torch.from_numpy(np.concatenate(list(utterances.blocks(i, BLOCK))))
        except AudioError as error:
            utterances.reject(error)
    if waves:
        rate = utterances.length(batch[0])[1]
        yield from zip(waves, _padded(list(waves.values()), rate, front_end, device), strict=True)


def _padded(
    waves: list[Tensor], rate: int, front_end: FrontEnd, device: torch.device
) -> list[np.ndarray]:
    """Frames of whole waveforms of one rate."""
    target, half = front_end.sample_rate, front_end.n_fft // 2
    x = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True).to(device)
    x = resample(x, rate, target)
    samples = torch.tensor([resampled_length(len(w), rate, target) for w in waves], device=device)
    # The interpolation rings into the padding; alone, the signal is cut there.
    x = x.masked_fill(torch.arange(x.shape[1], device=device) >= samples[:, None], 0.0)
    static = front_end.static(torch.nn.functional.pad(x, (half, half)))
    return _finished(static, 1 + samples // front_end.hop_length, front_end, front_end.deltas)


def _long(utterances: Utterances, i: int, front_end: FrontEnd, device: torch.device) -> Tensor:
    """Frames ``(T, n_static)`` of a recording of any length, in bounded memory but for them."""
    rate, hop = utterances.length(i)[1], front_end.hop_length
    blocks = (torch.from_numpy(np.array(b)).to(device) for b in utterances.blocks(i, BLOCK))
    signal = resample_blocks(blocks, rate, front_end.sample_rate, BLOCK)
    expected = 1 + resampled_length(utterances.length(i)[0], rate, front_end.sample_rate) // hop
    # Written in place: many small results between large blocks would keep the heap from shrinking.
    frames = torch.empty(expected, front_end.n_static, device=device)
    first = 0
    for window, fresh in windows(signal, max(1, BLOCK // hop) * hop, front_end.n_fft // 2):
        # The last frame, centered just behind the piece, is overwritten by the next one's first.
        new = front_end.static(window[None])[0][: 1 + fresh // hop]
        if first + len(new) > len(frames):  # the header's number was an estimate
            frames = torch.cat([frames, frames.new_empty(len(frames) + len(new), frames.shape[1])])
        frames[first : first + len(new)] = new
        first, end = first + fresh // hop, first + len(new)
    return frames[:end]


def _finished(
    static: Tensor, lengths: Tensor, front_end: FrontEnd, deltas: bool
) -> list[np.ndarray]:
    frames = with_deltas(static, lengths) if deltas else static
    if front_end.normalize == "utterance":
        frames = normalized(frames, lengths)
    frames, lengths = stacked(frames, lengths, front_end.stack)
    ready = frames.cpu().numpy()
    return [x[:n].copy() for x, n in zip(ready, lengths.tolist(), strict=True)]
