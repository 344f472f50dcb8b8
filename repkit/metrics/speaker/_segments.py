"""Phones within recordings: the frames between boundaries, and what a probe reads of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit import _arguments
from repkit.metrics._arrays import as_numpy, label_vector, value_vector
from repkit.metrics.probes import linear_probe
from repkit.metrics.speaker._frames import frame_arrays
from repkit.metrics.speaker._pooling import check_mask


def cut_segments(frames: Any, times: Any, recording: Any, start: Any, end: Any) -> list[np.ndarray]:
    """Cut the frames of segments, phones or words, out of recordings.

    Parameters
    ----------
    frames : sequence of n arrays of shape (T_i, d)
        Frames of each recording.
    times : sequence of n arrays of shape (T_i,)
        The time of each frame, ascending; as `SpeechAutoencoder.transform_frames` gives them, in
        seconds.
    recording : array of int of shape (m,)
        The recording of each segment.
    start : array of shape (m,)
        The first time of each segment, in the unit of `times`.
    end : array of shape (m,)
        The time at which each segment ends, in the unit of `times`.

    Returns
    -------
    list of m ndarray of shape (t, d)
        Frames from the start of each segment to before its end; where there is none, the one that
        is nearest to the segment's middle. They go into :func:`abx_error` and
        :func:`phone_probe`.

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, there is no such recording, or a segment ends
        before it starts.

    Examples
    --------
    >>> frames = [[[0.0], [1.0], [2.0], [3.0]]]
    >>> times = [[0.0, 0.1, 0.2, 0.3]]
    >>> [s.ravel().tolist() for s in cut_segments(frames, times, [0, 0], [0.1, 0.32], [0.3, 0.4])]
    [[1.0, 2.0], [3.0]]
    """
    arrays = frame_arrays(frames, "frames")
    clocks = _clocks(times, arrays)
    which = label_vector(recording, "recording")
    if which.dtype.kind not in "iu" or which.min() < 0 or which.max() >= len(arrays):
        raise ValueError(
            f"recording must hold whole numbers from 0 to {len(arrays) - 1}, one for each segment"
        )
    first, last = value_vector(start, "start"), value_vector(end, "end")
    for name, v in (("start", first), ("end", last)):
        if len(v) != len(which):
            raise ValueError(
                f"{name} has {len(v)} entries for {len(which)} of recording: pass one for each "
                "segment"
            )
    if (wrong := np.flatnonzero(last < first)).size:
        raise ValueError(
            f"end must not be before start, as that of segment {wrong[0]} is: {last[wrong[0]]} and "
            f"{first[wrong[0]]}"
        )
    segments = []
    for k, low, high in zip(which, first, last, strict=True):
        clock = clocks[k]
        a, b = np.searchsorted(clock, [low, high])
        if a == b:
            a = int(np.abs(clock - 0.5 * (low + high)).argmin())
            b = a + 1
        segments.append(arrays[k][a:b])
    return segments


def _clocks(times: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    if isinstance(times, str | bytes | dict) or not hasattr(times, "__len__"):
        raise TypeError(f"times must be a list of arrays (T,), not {_arguments.shown(times)}")
    if len(times) != len(arrays):
        raise ValueError(
            f"times must have one array for each of the {len(arrays)} of frames, not {len(times)}"
        )
    clocks = [value_vector(t, f"times[{k}]") for k, t in enumerate(times)]
    for k, (clock, a) in enumerate(zip(clocks, arrays, strict=True)):
        if len(clock) != len(a) or (np.diff(clock) < 0).any():
            raise ValueError(
                f"times[{k}] must ascend and have one time for each of the {len(a)} frames; it has "
                f"{len(clock)}"
            )
    return clocks


def phone_probe(
    segments: Any, phones: Any, test: Any, *, part: float = 0.5, C: float = 1.0
) -> dict[str, float]:
    """Score a linear probe that reads the phone from the middle of a segment.

    Parameters
    ----------
    segments : sequence of m arrays of shape (t, d)
        Frames of each segment; see :func:`cut_segments`.
    phones : array of shape (m,)
        The phone of each segment.
    test : bool array of shape (m,)
        True for segments to test on: those of other speakers, say. Phones that occur in them must
        occur in the others, too.
    part : float, default=0.5
        Share of a segment's frames, about its middle, of which the mean is taken.
    C : float, default=1.0
        Inverse strength of the probe's L2 penalty; see :func:`linear_probe`.

    Returns
    -------
    dict of str to float
        ``accuracy``, ``balanced_accuracy`` (mean over phones), and ``majority``, the share of the
        most frequent phone of the training among the test segments.

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, or a number is out of range.
    """
    part = _arguments.number(part, "part", 0.0, 1.0, above=True)
    arrays = frame_arrays(segments, "segments")
    y = label_vector(phones, "phones", len(arrays), "segments")
    mask = check_mask(as_numpy(test, "test"), len(arrays))
    vectors = np.stack([_middle(a, part) for a in arrays])
    scores = linear_probe(vectors[~mask], y[~mask], vectors[mask], y[mask], C=C)
    kinds, counts = np.unique(y[~mask], return_counts=True)
    return {
        "accuracy": scores["accuracy"],
        "balanced_accuracy": scores["balanced_accuracy"],
        "majority": float(np.mean(y[mask] == kinds[counts.argmax()])),
    }


def _middle(a: np.ndarray, part: float) -> np.ndarray:
    """Mean of the frames about the middle, at least one: ``(t, d) -> (d,)``."""
    count = max(1, round(part * len(a)))
    first = (len(a) - count) // 2
    mean: np.ndarray = a[first : first + count].mean(0)
    return mean
