"""Whatever holds speech, as a sequence of utterances that are read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from repkit.audio import reading

# A peak-normalized recording touches full scale, a clipped one stays there.
FULL_SCALE, CLIPPED_SHARE = 0.999, 0.01


class AudioError(ValueError):
    """An utterance cannot be used; the message names it.

    Attributes
    ----------
    index : int
        Its place in the input.
    name : str
        Its path, or ``X[index]``.
    reason : str
        What is wrong with it.
    """

    def __init__(self, index: int, name: str, reason: str) -> None:
        super().__init__(
            f"{name} cannot be used: {reason}. Repair it or leave it out, or pass "
            'on_error="skip" to have such utterances left out and listed.'
        )
        self.index, self.name, self.reason = index, name, reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.index, self.name, self.reason)


@dataclass(frozen=True)
class Skipped:
    """An utterance left out, and why."""

    index: int
    name: str
    reason: str


class Utterances:
    """Waveforms, audio files or ready frames behind one face; made by `as_utterances`.

    Attributes
    ----------
    kind : {"audio", "frames"}
        Whether the items are sound or frames (T, D) that somebody else made.
    n_features : int or None
        D of ready frames.
    on_error : {"raise", "skip"}
        What `reject` does.
    """

    def __init__(
        self,
        items: Sequence[Any],
        kind: str,
        sample_rate: int,
        on_error: str,
        n_features: int | None = None,
    ) -> None:
        self.items, self.kind, self.sample_rate = items, kind, sample_rate
        self.on_error, self.n_features = on_error, n_features
        self._skipped: dict[int, Skipped] = {}
        self._clipped: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self.items)

    @property
    def skipped(self) -> list[Skipped]:
        """The utterances found unusable so far, in the order of the input."""
        return [self._skipped[i] for i in sorted(self._skipped)]

    @property
    def clipped(self) -> dict[int, float]:
        """Utterances read so far that look clipped: index to their share of clipped samples.

        They are used as they are. Listed are those within [-1, 1] of which at least 1 % of the
        samples, and at least 3, reach 0.999 and equal the sample before.
        """
        return dict(sorted(self._clipped.items()))

    def name(self, i: int) -> str:
        """What errors call an utterance: its path, or ``X[i]``."""
        item = self.items[i]
        return str(item) if isinstance(item, Path) else f"X[{i}]"

    def reject(self, error: AudioError) -> None:
        """Record an utterance as skipped, or raise the error, as `on_error` says."""
        if self.on_error == "raise":
            raise error
        self._skipped[error.index] = Skipped(error.index, error.name, error.reason)

    def length(self, i: int) -> tuple[int, int]:
        """Samples and sample rate in Hz, without reading the samples.

        Raises
        ------
        AudioError
            The file is missing or its header cannot be read.
        """
        item = self.items[i]
        if not isinstance(item, Path):
            return len(item), self.sample_rate
        try:
            return reading.length(item)
        except ImportError:  # not the file's fault
            raise
        except Exception as error:  # libsndfile, wave and the system each raise their own
            raise AudioError(i, self.name(i), _told(item, error)) from error

    def blocks(self, i: int, size: int) -> Iterator[np.ndarray]:
        """Yield float32 blocks (n,) of at most `size` samples, checked as they come.

        Raises
        ------
        AudioError
            The file cannot be decoded; a sample is NaN or infinite; there is no sample; or, once
            the end is reached, all of them were zero.
        """
        total, full, peak = 0, 0, 0.0
        for block in self._raw(i, size):
            high = np.abs(block)
            top = float(high.max(initial=0.0))
            if not np.isfinite(top):
                bad = total + int(np.argmin(np.isfinite(block)))
                raise AudioError(i, self.name(i), f"it contains NaN or inf (first at sample {bad})")
            if FULL_SCALE <= top <= 1:
                full += int(((high[1:] >= FULL_SCALE) & (block[1:] == block[:-1])).sum())
            total, peak = total + len(block), max(peak, top)
            yield block
        if total == 0:
            raise AudioError(i, self.name(i), "it is empty (0 samples)")
        if peak == 0:
            raise AudioError(i, self.name(i), f"it is silent (all {total} samples are zero)")
        if peak <= 1 and full >= max(3, CLIPPED_SHARE * total):
            self._clipped[i] = full / total

    def _raw(self, i: int, size: int) -> Iterator[np.ndarray]:
        item = self.items[i]
        if not isinstance(item, Path):
            for start in range(0, len(item), size):
                # beyond float32's range a sample becomes infinite, which is told of above
                with np.errstate(over="ignore"):
                    yield reading.scaled(item[start : start + size])
            return
        reader = reading.blocks(item, size)
        while True:
            try:
                block = next(reader, None)
            except ImportError:
                raise
            except Exception as error:
                raise AudioError(i, self.name(i), _told(item, error)) from error
            if block is None:
                return
            yield block

    def frames(self, i: int) -> np.ndarray:
        """Ready frames, float32 (T, D).

        Raises
        ------
        AudioError
            They are empty, of another width than the first ones, or not finite.
        """
        with np.errstate(over="ignore"):
            frames = np.asarray(self.items[i]).astype(np.float32, copy=False)
        if len(frames) == 0:
            raise AudioError(i, self.name(i), "it is empty (0 frames)")
        if frames.shape[1] != self.n_features:
            raise AudioError(
                i,
                self.name(i),
                f"it has {frames.shape[1]} columns where the first utterance has "
                f"{self.n_features} (a 2-D item is taken as frames (T, D); average the channels "
                "of a stereo waveform)",
            )
        if not np.isfinite(frames).all():
            raise AudioError(i, self.name(i), "it contains NaN or inf")
        return frames


def as_utterances(X: Any, *, sample_rate: int = 16000, on_error: str = "raise") -> Utterances:
    """Take speech in any of its forms, without reading it yet.

    Parameters
    ----------
    X : list, array, tensor, str or Path
        - a list of 1-D waveforms (arrays, tensors, lists of numbers), or a 2-D array with one
          waveform a row. Integers are PCM: int16 and wider types are divided by 32768, int32 by
          2**31, int8 by 128, uint8 is centered on 128; floats are taken as they are;
        - a list or 1-D array of paths of audio files, or the path of one;
        - the path of a folder: all audio files below it, ordered by path, hidden ones left out;
        - ready frames: a list of 2-D arrays (T, D), or a 3-D array (n, T, D).
    sample_rate : int, default=16000
        Of waveforms given as arrays, in Hz. Files know their own.
    on_error : {"raise", "skip"}, default="raise"
        What to do, once it is read, with an utterance that is empty, silent (all samples zero),
        not finite or not decodable: raise an `AudioError` that names it, or leave it out and list
        it in ``Utterances.skipped``. A clipped one is used, and listed in
        ``Utterances.clipped``.

    Returns
    -------
    Utterances

    Raises
    ------
    ValueError
        `X` is empty, of mixed or unknown kind; a folder has no audio file; or a bad parameter.
    FileNotFoundError
        `X` is a path where nothing is.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r}: wanted 'raise' or 'skip'")
    if not isinstance(sample_rate, int | np.integer) or sample_rate < 1:
        raise ValueError(f"sample_rate={sample_rate!r}: wanted a whole number of Hz above 0")
    if isinstance(X, str | Path):
        return Utterances(_below(Path(X)), "audio", int(sample_rate), on_error)
    items = _listed(X)
    if len(items) == 0:
        raise ValueError("X has 0 utterances (0 samples): a minimum of 1 is required.")
    if any(isinstance(item, str | Path) for item in items):
        for i, item in enumerate(items):
            if not isinstance(item, str | Path):
                raise ValueError(f"X[{i}] is {type(item).__name__} in a list of paths")
        return Utterances([Path(item) for item in items], "audio", int(sample_rate), on_error)
    arrays = [_numbers(item, f"X[{i}]") for i, item in enumerate(items)]
    dims = {array.ndim for array in arrays}
    if dims == {1}:
        return Utterances(arrays, "audio", int(sample_rate), on_error)
    if dims == {2}:
        width = arrays[0].shape[1]
        if width == 0:
            raise ValueError("X[0] has 0 features (columns): wanted frames (T, D)")
        return Utterances(arrays, "frames", int(sample_rate), on_error, width)
    raise ValueError(
        f"X holds arrays of {sorted(dims)} dimensions: wanted waveforms (1-D) or frames (T, D), "
        "all of one kind"
    )


def _below(path: Path) -> list[Path]:
    if path.is_dir():
        return reading.find(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: wanted an audio file or a folder")
    return [path]


def _listed(X: Any) -> Sequence[Any]:
    """Split a container into its items, arrays into their rows."""
    if hasattr(X, "toarray"):
        raise ValueError("X is a sparse matrix: waveforms are dense; pass X.toarray()")
    if isinstance(X, list | tuple):
        return X
    array = _numpy(X)
    if array.dtype.kind in "OUT" and array.ndim == 1:
        return list(array)
    if array.ndim < 2:
        raise ValueError(
            f"X has shape {array.shape}, one waveform alone. Reshape your data: pass [X] or "
            "X.reshape(1, -1)"
        )
    if array.shape[0] and array.shape[1] == 0:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of 1 is required."
        )
    return _numbers(array, "X")  # type: ignore[return-value]


def _numpy(X: Any) -> np.ndarray:
    if hasattr(X, "detach"):  # a torch tensor, recognized without importing torch
        X = X.detach().cpu()
        X = (X.float() if str(X.dtype) == "torch.bfloat16" else X).numpy()
    return np.asarray(X)


def _numbers(item: Any, name: str) -> np.ndarray:
    """Give a numeric array of at least one dimension, of the type it came in."""
    array = _numpy(item)
    if array.dtype.kind == "O":  # as from a DataFrame of mixed columns
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name} is not numeric: {error}") from error
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} has dtype {array.dtype}: wanted samples, real numbers")
    if array.ndim == 0:
        raise ValueError(f"{name} is a single number: wanted a waveform; pass [X] for one alone")
    return array


def _told(path: Path, error: Exception) -> str:
    """Say in a few words why a file could not be read."""
    if not path.exists():
        return "there is no such file"
    text = str(error).strip().rstrip(".") or type(error).__name__
    return f"it could not be read as audio ({text})"
