"""Frames of utterances: in batches of similar length, long recordings block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import joblib
import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from repkit._arguments import device as usable
from repkit._arguments import named, shown
from repkit.audio import resampling
from repkit.audio.ahead import ahead, each_ahead
from repkit.audio.frames import PIECE, in_pieces, normalized, stacked, with_deltas
from repkit.audio.front_end import FrontEnd
from repkit.audio.resampling import resample, resampled_length
from repkit.audio.utterances import AudioError, Skipped, Utterances

__all__ = ["Extracted", "extract", "statistics", "stream"]

_FRAMES = 2**17  # 22 minutes at 100 frames a second
_READERS = 8  # threads at most


@dataclass(frozen=True)
class Extracted:
    """Frames of the usable utterances, as `extract` returns them.

    Parameters
    ----------
    frames : list of ndarray of shape (T, D)
        Float32 frames of each usable utterance, in the order of the input.
    kept : ndarray of shape (n_kept,)
        Int64 index of each of them in the input: use it to select their labels.
    skipped : list of Skipped
        The unusable utterances, with index, name and reason.

    See Also
    --------
    extract : Compute the frames of every utterance.
    """

    frames: list[np.ndarray]
    kept: np.ndarray
    skipped: list[Skipped]


def extract(utterances: Utterances, front_end: FrontEnd, device: Any = "cpu") -> Extracted:
    """Compute the frames of every utterance.

    An utterance gives the same frames in any batch, and read at once or block by block.

    Parameters
    ----------
    utterances : Utterances
        What `as_utterances` returns. To ready frames only `stack` and `normalize` are applied.
    front_end : FrontEnd
        How frames are computed.
    device : str or torch.device, default="cpu"
        Where frames are computed.

    Returns
    -------
    Extracted
        Frames as arrays, their indices in the input, and the skipped utterances.

    Raises
    ------
    AudioError
        If an utterance is unusable and ``on_error="raise"``; it is a ``ValueError``.
    ValueError
        If all utterances were skipped.
    ImportError
        If torchaudio, or for files soundfile, is missing; the extra ``speech`` installs both.

    See Also
    --------
    stream : The same frames, one utterance at a time.
    to_waveform : A waveform from frames.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.audio import FrontEnd, as_utterances, extract
    >>> waves = [np.sin(np.arange(n)) for n in (1600, 0, 3200)]
    >>> found = extract(as_utterances(waves, on_error="skip"), FrontEnd())
    >>> [x.shape for x in found.frames], found.kept.tolist()
    ([(11, 40), (21, 40)], [0, 2])
    >>> found.skipped[0].reason
    'it is empty (0 samples)'
    """
    found = dict(stream(utterances, front_end, device))
    kept = sorted(found)
    return Extracted([found[i] for i in kept], np.array(kept, np.int64), utterances.skipped)


def stream(
    utterances: Utterances, front_end: FrontEnd, device: Any = "cpu"
) -> Iterator[tuple[int, np.ndarray]]:
    """Compute the frames of one utterance after the other, ordered by length.

    Whatever the size of the corpus or the length of a recording, half a minute of sound (at
    16 kHz) is in memory at a time, below 150 MB, beside the frames of one batch. Files are read
    ahead, as many at a time as there are processors that torch leaves alone, but no more than it
    has threads, and at most 8.

    Parameters
    ----------
    utterances : Utterances
        What `as_utterances` returns. To ready frames only `stack` and `normalize` are applied.
    front_end : FrontEnd
        How frames are computed.
    device : str or torch.device, default="cpu"
        Where frames are computed.

    Yields
    ------
    index : int
        Index of the utterance in the input.
    frames : ndarray of shape (T, D)
        Float32 frames of the utterance.

    Raises
    ------
    AudioError
        If an utterance is unusable and ``on_error="raise"``; it is a ``ValueError``.
    ValueError
        If all utterances were skipped.
    ImportError
        If torchaudio, or for files soundfile, is missing; the extra ``speech`` installs both.

    See Also
    --------
    extract : The frames of all utterances at once, in the order of the input.
    """
    _of_their_classes(utterances, front_end)
    device, any_usable = usable(device), False
    readers = _readers(utterances, device)
    batches = _batches(utterances, front_end)
    for read in ahead(partial(_read, utterances), batches, readers):
        for index, frames in _computed(utterances, read, front_end, device, readers):
            any_usable = True
            yield index, frames
    if not any_usable:
        raise _all_skipped(utterances)


def statistics(frames: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean and the standard deviation of each column over all frames.

    Parameters
    ----------
    frames : iterable of ndarray of shape (T, D)
        Frames of each utterance, read once: a generator such as
        ``(x for _, x in stream(utterances, front_end))`` will do.

    Returns
    -------
    mean : ndarray of shape (D,)
        Float32 mean of each column.
    std : ndarray of shape (D,)
        Float32 standard deviation of each column, 1 where a column does not vary: the frames are
        standardized by ``(x - mean) / std``.

    Raises
    ------
    ValueError
        If there are no frames.

    See Also
    --------
    stream : Frames of one utterance after the other.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.audio import statistics
    >>> mean, std = statistics([np.zeros((2, 1)), np.full((2, 1), 4.0)])
    >>> mean.tolist(), std.tolist()
    ([2.0], [2.0])
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    with named("frames", "arrays (T, D) of one width"):
        for block in _blocks(frames):
            scaler.partial_fit(block)
    if not hasattr(scaler, "n_samples_seen_"):
        raise ValueError("frames must have at least one array of frames, not none")
    mean, std = scaler.mean_, np.sqrt(scaler.var_)
    # Rounding leaves a constant column with a deviation; scikit-learn's bound is that of float64.
    std[std <= 1e-6 * (1 + np.abs(mean))] = 1.0
    return mean.astype(np.float32), std.astype(np.float32)


def _blocks(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """All frames in float64, one to two pieces at a time: a sum of few takes as long as of many."""
    waiting: list[np.ndarray] = []
    n = 0
    for x in frames:
        for piece in in_pieces(np.asarray(x)):
            waiting.append(piece.astype(np.float64))
            n += len(piece)
            if n >= PIECE:
                yield np.concatenate(waiting)
                waiting, n = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _of_their_classes(utterances: Any, front_end: Any) -> None:
    for value, name, kind in (
        (utterances, "utterances", Utterances),
        (front_end, "front_end", FrontEnd),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be of the class {kind.__name__}, not {shown(value)}")


def _all_skipped(utterances: Utterances) -> ValueError:
    first = utterances.skipped[0]
    return ValueError(
        f"all {len(utterances)} utterances were skipped; the first, {first.name}, because "
        f"{first.reason}"
    )


def _batches(utterances: Utterances, front_end: FrontEnd) -> Iterator[list[int]]:
    """Lists of utterances of one rate and similar length; a long utterance is alone."""
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
            sizes.append((rate, max(n, resampled_length(n, rate, front_end.sample_rate)), i))
    batch: list[int] = []
    previous = 0
    for rate, n, i in sorted(sizes):
        # Sorted, so that this one is the longest: all are padded to it. At least a window each.
        padded = max(n, front_end.win_length) * (len(batch) + 1)
        if batch and (padded > resampling.BLOCK or rate != previous):
            yield batch
            batch = []
        batch.append(i)
        previous = rate
    if batch:
        yield batch


@dataclass
class _Read:
    """Utterances of a batch that are read whole, that cannot be used, or that are too long."""

    waves: dict[int, Tensor] = field(default_factory=dict)
    errors: list[AudioError] = field(default_factory=list)
    longer: list[int] = field(default_factory=list)  # than their headers say, and a batch may be


def _readers(utterances: Utterances, device: torch.device) -> int:
    """Threads that read files ahead: on processors that torch leaves alone, no more than it has."""
    if not utterances.of_files:
        return 0
    own = torch.get_num_threads()
    left = joblib.cpu_count() - (own if device.type == "cpu" else 1)
    return max(0, min(left, own, _READERS))


def _read(utterances: Utterances, batch: list[int]) -> _Read:
    # Frames are there; a long recording is read block by block.
    if utterances.kind == "frames" or len(batch) == 1:
        return _Read(longer=batch)
    found = _Read()
    for i in batch:
        try:
            read, n = [], 0
            for block in utterances.blocks(i, resampling.BLOCK):
                read.append(block)
                n += len(block)
                if n * len(batch) > resampling.BLOCK:
                    found.longer.append(i)
                    break
            else:
                found.waves[i] = torch.from_numpy(np.concatenate(read))
        except AudioError as error:
            found.errors.append(error)
    return found


def _computed(
    utterances: Utterances, read: _Read, front_end: FrontEnd, device: torch.device, readers: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Frames of the utterances of a batch."""
    for error in read.errors:
        utterances.reject(error)
    for i in read.longer:
        try:
            if utterances.kind == "frames":
                static = torch.from_numpy(np.array(utterances.frames(i))).to(device)
            else:
                static = _long(utterances, i, front_end, device, readers)
        except AudioError as error:
            utterances.reject(error)
        else:
            deltas = front_end.deltas and utterances.kind == "audio"
            lengths = torch.tensor([len(static)], device=device)
            yield i, _finished(static[None], lengths, front_end, deltas)[0]
    if read.waves:
        rate = utterances.length(next(iter(read.waves)))[1]
        waves = list(read.waves.values())
        yield from zip(read.waves, _padded(waves, rate, front_end, device), strict=True)


def _padded(
    waves: list[Tensor], rate: int, front_end: FrontEnd, device: torch.device
) -> list[np.ndarray]:
    """Frames of whole waveforms of one rate."""
    target, half = front_end.sample_rate, front_end.n_fft // 2
    count = [resampled_length(len(w), rate, target) for w in waves]
    signals: Any = waves
    if rate != target:
        signals = resample(pad_sequence(waves, batch_first=True).to(device), rate, target)
    x = signals[0].new_zeros(len(waves), max(count) + 2 * half)
    for row, signal, n in zip(x, signals, count, strict=True):
        row[half : half + n] = signal[:n]  # beyond, interpolation rings into the padding
    static = front_end.static(x.to(device))
    samples = torch.tensor(count, device=device)
    return _finished(static, 1 + samples // front_end.hop_length, front_end, front_end.deltas)


def _long(
    utterances: Utterances, i: int, front_end: FrontEnd, device: torch.device, readers: int
) -> Tensor:
    """Frames ``(T, n_static)`` of a recording of any length; all memory but theirs is bounded."""
    n, rate = utterances.length(i)
    hop = front_end.hop_length
    expected = 1 + resampled_length(n, rate, front_end.sample_rate) // hop
    # Written in place: many small results between large blocks would keep the heap from shrinking.
    # No more at first than a header may ask for unseen.
    frames = torch.empty(min(expected, _FRAMES), front_end.n_static, device=device)
    first = 0
    blocks = utterances.blocks(i, resampling.BLOCK)
    if readers:
        blocks = each_ahead(blocks)
    margin = front_end.n_fft // 2
    for window, fresh in resampling.pieces(
        blocks, rate, front_end.sample_rate, hop, margin, device
    ):
        # The last frame, centered just behind the piece, is overwritten by the next one's first.
        new = front_end.static(window[None])[0][: 1 + fresh // hop]
        if first + len(new) > len(frames):
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
