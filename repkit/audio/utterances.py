"""Speech in any of its forms, as a sequence of utterances that are read when needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from repkit.audio import reading

__all__ = ["AudioError", "Skipped", "Utterances", "as_utterances"]

# A peak-normalized recording touches full scale, a clipped one stays there.
_FULL_SCALE, _CLIPPED_SHARE = 0.999, 0.01
_LONGEST_FRAME = 512  # columns: a longer row of numbers is a waveform
# Of a sample and of a number in a frame. The squares must stay finite in float32, those of a
# sample times the points of an FFT; 32-bit samples, not scaled, reach 2e9.
_LARGEST_SAMPLE, _LARGEST_FRAME = 1e10, 1e18


class AudioError(ValueError):
    """An utterance cannot be used; the message names it and says why.

    Parameters
    ----------
    index : int
        Index of the utterance in the input.
    name : str
        Path of the utterance, or ``X[index]``.
    reason : str
        What is wrong with it.

    See Also
    --------
    Skipped : The record of such an utterance with ``on_error="skip"``.
    """

    def __init__(self, index: int, name: str, reason: str) -> None:
        super().__init__(
            f"{name} cannot be used: {reason}; repair it or leave it out, or pass "
            'on_error="skip" to leave such utterances out and list them'
        )
        self.index, self.name, self.reason = index, name, reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.index, self.name, self.reason)


@dataclass(frozen=True)
class Skipped:
    """An utterance that was left out, and why.

    Parameters
    ----------
    index : int
        Index of the utterance in the input.
    name : str
        Path of the utterance, or ``X[index]``.
    reason : str
        What is wrong with it.

    See Also
    --------
    AudioError : The error of such an utterance with ``on_error="raise"``.
    """

    index: int
    name: str
    reason: str


class Utterances:
    """Waveforms, audio files or ready frames behind one interface, made by `as_utterances`.

    Parameters
    ----------
    items : sequence
        Paths, waveforms of shape (T,) or frames of shape (T, D).
    kind : {"audio", "frames"}
        Whether the items are sound, or frames that somebody else made.
    sample_rate : int
        Sample rate of the waveforms, in Hz; files know their own.
    on_error : {"raise", "skip"}
        What `reject` does.
    n_features : int or None, default=None
        Number of columns D of ready frames.

    See Also
    --------
    as_utterances : Makes one from speech in any of its forms.
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
    def of_files(self) -> bool:
        """Whether they are read from files."""
        return isinstance(self.items[0], Path)

    @property
    def skipped(self) -> list[Skipped]:
        """Utterances found unusable so far, as a list of `Skipped` in the order of the input."""
        return [self._skipped[i] for i in sorted(self._skipped)]

    @property
    def clipped(self) -> dict[int, float]:
        """Utterances read so far that look clipped: index to share of clipped samples.

        They are used all the same. A sample is clipped if it reaches 0.999 and equals the sample
        before. An utterance is listed if its samples are within [-1, 1], and at least 1 % of them
        and at least 3 are clipped.
        """
        return dict(sorted(self._clipped.copy().items()))  # files are read in other threads

    def name(self, i: int) -> str:
        """Return what errors call an utterance.

        Parameters
        ----------
        i : int
            Index of the utterance.

        Returns
        -------
        str
            Its path, or ``X[i]``.
        """
        item = self.items[i]
        # A name need not be text: what cannot be printed is shown as a question mark.
        return os.fsencode(item).decode(errors="replace") if isinstance(item, Path) else f"X[{i}]"

    def reject(self, error: AudioError) -> None:
        """Raise an error or record its utterance as skipped, as `on_error` says.

        Parameters
        ----------
        error : AudioError
            What is wrong with the utterance.

        Raises
        ------
        AudioError
            If ``on_error="raise"``.
        """
        if self.on_error == "raise":
            raise error
        self._skipped[error.index] = Skipped(error.index, error.name, error.reason)

    def length(self, i: int) -> tuple[int, int]:
        """Return the length of an utterance without reading its samples.

        Parameters
        ----------
        i : int
            Index of the utterance.

        Returns
        -------
        n_samples : int
            Number of samples; an estimate for some compressed files.
        sample_rate : int
            Sample rate, in Hz.

        Raises
        ------
        AudioError
            If a file is missing, or if its header cannot be read or says what no recording of
            speech has: below 1 kHz, above 1 MHz, or more than 64 channels.
        ImportError
            If it is a file and soundfile is missing; the extra ``speech`` installs it.
        """
        item = self.items[i]
        if not isinstance(item, Path):
            return len(item), self.sample_rate
        try:
            return reading.length(item)
        except ImportError:  # not the file's fault
            raise
        except Exception as error:  # libsndfile and the system each raise their own
            raise AudioError(i, self.name(i), _told(item, error)) from error

    def blocks(self, i: int, size: int) -> Iterator[np.ndarray]:
        """Read the samples of an utterance block by block, and check them.

        Parameters
        ----------
        i : int
            Index of the utterance.
        size : int
            Largest number of samples in a block.

        Yields
        ------
        ndarray of shape (n,)
            Float32 samples.

        Raises
        ------
        AudioError
            If a file is torn or cannot be decoded, if a sample is NaN, infinite or beyond 1e10, if
            there is no sample, or, once the end is reached, if all samples were zero.
        ImportError
            If it is a file and soundfile is missing; the extra ``speech`` installs it.
        """
        total, full, peak = 0, 0, 0.0
        for block in self._raw(i, size):
            top = float(max(block.max(initial=0.0), -block.min(initial=0.0)))
            if not np.isfinite(top):
                bad = total + int(np.argmin(np.isfinite(block)))
                raise AudioError(i, self.name(i), f"it contains NaN or inf (first at sample {bad})")
            if top > _LARGEST_SAMPLE:
                place = total + int(np.abs(block).argmax())
                raise AudioError(
                    i,
                    self.name(i),
                    f"it contains {top:.3g} (at sample {place}): beyond {_LARGEST_SAMPLE:.0g} "
                    "there is no sound",
                )
            if _FULL_SCALE <= top <= 1:
                loud = np.abs(block[1:]) >= _FULL_SCALE
                full += int((loud & (block[1:] == block[:-1])).sum())
            total, peak = total + len(block), max(peak, top)
            yield block
        if total == 0:
            raise AudioError(i, self.name(i), "it is empty (0 samples)")
        if peak == 0:
            self._silent(i, total)
        if peak <= 1 and full >= max(3, _CLIPPED_SHARE * total):
            self._clipped[i] = full / total

    def _silent(self, i: int, total: int) -> None:
        raise AudioError(i, self.name(i), f"it is silent (all {total} samples are zero)")

    def _raw(self, i: int, size: int) -> Iterator[np.ndarray]:
        item = self.items[i]
        if not isinstance(item, Path):
            for start in range(0, len(item), size):
                # A sample beyond float32's range becomes infinite, which `blocks` reports.
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
        """Return the ready frames of an utterance, checked.

        Parameters
        ----------
        i : int
            Index of the utterance.

        Returns
        -------
        ndarray of shape (T, D)
            Float32 frames.

        Raises
        ------
        AudioError
            If the frames are empty, not finite, beyond 1e18, or of another width than those of the
            first utterance.
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
                f"{self.n_features} (a 2-D item is taken as frames (T, D): average the channels of "
                "a stereo waveform)",
            )
        top = float(np.abs(frames).max())
        if not np.isfinite(top):
            raise AudioError(i, self.name(i), "it contains NaN or inf")
        if top > _LARGEST_FRAME:
            raise AudioError(
                i,
                self.name(i),
                f"it contains {top:.3g}, whose square is beyond float32: scale the frames",
            )
        return frames


def as_utterances(X: Any, *, sample_rate: int = 16000, on_error: str = "raise") -> Utterances:
    """Take speech in any of its forms, without reading it yet.

    Whatever is wrong with an utterance is found when it is read.

    Parameters
    ----------
    X : list, array, Tensor, str or Path
        One of the following.

        - A list of 1-D waveforms (arrays, tensors, lists of numbers), or a 2-D array with one
          waveform in each row. Floats are taken as they are. Integers are PCM: int16 and wider
          types are divided by 32768, int32 by 2**31, int8 by 128; uint8 is centered on 128.
        - A list or 1-D array of paths of audio files, or the path of one file.
        - The path of a folder: all audio files below it and below folders that links in it lead
          to, ordered by path, hidden ones left out. A folder that cannot be listed and a link to
          nothing count as files that cannot be read.
        - Waveforms with a channel axis, (1, T), (2, T), (T, 1) or (T, 2), with T above 512: their
          channels are averaged, as those of files are.
        - Ready frames: a list of other 2-D arrays (T, D), or a 3-D array (n, T, D).
    sample_rate : int, default=16000
        Sample rate of waveforms that are given as arrays, in Hz, from 1000 to 1,000,000. Files
        know their own.
    on_error : {"raise", "skip"}, default="raise"
        What to do with an utterance that turns out to be empty, silent (all samples zero), not
        finite or beyond 1e10, torn or not decodable: raise an `AudioError` that names it, or leave
        it out and list it in ``Utterances.skipped``. A clipped utterance is used, and listed in
        ``Utterances.clipped``.

    Returns
    -------
    Utterances
        The utterances, in the order of `X`.

    Raises
    ------
    ValueError
        If `X` is empty, of mixed or of unknown kind, if a folder has no audio file, or if another
        parameter is out of range.
    TypeError
        If an utterance holds more than samples, such as their sample rate: one rate is given for
        all, by `sample_rate`.
    FileNotFoundError
        If `X` is a path where nothing is.

    See Also
    --------
    extract : Compute the frames of every utterance.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.audio import as_utterances
    >>> utterances = as_utterances([np.ones(800), np.ones(1600)], sample_rate=8000)
    >>> len(utterances), utterances.kind, utterances.length(1)
    (2, 'audio', (1600, 8000))
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
    least, most = reading.RATES
    if not isinstance(sample_rate, int | np.integer) or not least <= sample_rate <= most:
        raise ValueError(
            f"sample_rate must be an integer from {least} to {most}, in Hz, not {sample_rate!r}"
        )
    if isinstance(X, str | Path):
        return Utterances(_below(Path(X)), "audio", int(sample_rate), on_error)
    if isinstance(X, Mapping):
        raise TypeError(f"X must hold utterances alone, not be a {type(X).__name__}; {_alone(X)}")
    items = _listed(X)
    if len(items) == 0:
        raise ValueError("X must have at least 1 utterance, not 0 (n_samples=0)")
    if any(isinstance(item, str | Path) for item in items):
        for i, item in enumerate(items):
            if not isinstance(item, str | Path):
                raise ValueError(
                    f"X must hold paths alone or none, but X[{i}] is of type {type(item).__name__}"
                )
        return Utterances([Path(item) for item in items], "audio", int(sample_rate), on_error)
    for i, item in enumerate(items):
        if isinstance(item, Mapping) or _is_pair(item):
            raise TypeError(
                f"X must hold waveforms or frames alone, but X[{i}] is a {type(item).__name__} "
                f"that holds more; {_alone(item)}"
            )
    arrays = [_without_channels(_numbers(item, f"X[{i}]")) for i, item in enumerate(items)]
    dims = {array.ndim for array in arrays}
    if dims == {1}:
        return Utterances(arrays, "audio", int(sample_rate), on_error)
    if dims == {2}:
        width = arrays[0].shape[1]
        if width == 0:
            raise ValueError("X must hold frames (T, D) with at least one column, not 0")
        return Utterances(arrays, "frames", int(sample_rate), on_error, width)
    raise ValueError(
        "X must hold waveforms (T,) or frames (T, D), all of one kind, not arrays of "
        f"{sorted(dims)} dimensions"
    )


def _is_pair(item: Any) -> bool:
    """Whether it is samples beside their rate, as readers of files give them, in any order."""
    if not isinstance(item, list | tuple) or len(item) != 2:
        return False
    return sorted(np.ndim(x) > 0 for x in item) == [False, True]


def _alone(item: Any) -> str:
    """How to give samples that stand beside their rate, which is said if it is told."""
    if isinstance(item, Mapping):
        rate = item.get("sample_rate", item.get("sampling_rate"))
    else:
        rate = next(x for x in item if np.ndim(x) == 0)
    told = f", with sample_rate={int(rate)}" if isinstance(rate, int | float | np.number) else ""
    return f"give the samples{told}"


def _below(path: Path) -> list[Path]:
    if path.is_dir():
        return reading.find(path)
    if not path.exists():
        raise FileNotFoundError(f"X must be an audio file or a folder, but {path} does not exist")
    return [path]


def _listed(X: Any) -> Sequence[Any]:
    """Split a container into its items, arrays into their rows."""
    if hasattr(X, "toarray"):
        raise ValueError("X must be dense, not a sparse matrix: pass X.toarray()")
    if isinstance(X, list | tuple):
        return X
    if isinstance(X, Iterator):
        raise TypeError(f"X must be a list, not a {type(X).__name__}: give list(X)")
    array = _numpy(X)
    if array.dtype.kind in "OUT" and array.ndim == 1:
        return list(array)
    if array.ndim < 2:
        raise ValueError(
            f"X must hold utterances, not one waveform alone of shape {array.shape}. Reshape your "
            "data: pass [X] or X.reshape(1, -1)"
        )
    if array.shape[0] and array.shape[1] == 0:
        raise ValueError(
            f"X has 0 feature(s) (shape={array.shape}) while a minimum of 1 is required: pass "
            "waveforms of at least one sample"
        )
    return _numbers(array, "X")  # type: ignore[return-value]


def _numpy(X: Any) -> np.ndarray:
    if hasattr(X, "detach"):  # a torch tensor, recognized without importing torch
        X = X.detach().cpu()
        X = (X.float() if str(X.dtype) == "torch.bfloat16" else X).numpy()
    return np.asarray(X)


def _numbers(item: Any, name: str) -> np.ndarray:
    """Return a numeric array of at least one dimension, of the type that was given."""
    array = _numpy(item)
    if array.dtype.kind == "O":  # as from a DataFrame of mixed columns
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name} must be numeric: {error}") from error
    if array.dtype.kind == "c":
        raise ValueError(f"{name} must be real, not {array.dtype}: Complex data not supported")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold samples, real numbers, not dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(
            f"{name} must be a waveform, not a single number: pass [X] for one waveform alone"
        )
    return array


def _without_channels(array: np.ndarray) -> np.ndarray:
    """The mean of the channels of what can only be a waveform with a channel axis."""
    if array.ndim == 2 and min(array.shape) in (1, 2) and max(array.shape) > _LONGEST_FRAME:
        with np.errstate(over="ignore"):
            mean: np.ndarray = reading.scaled(array).mean(int(np.argmin(array.shape)))
        return mean
    return array


def _told(path: Path, error: Exception) -> str:
    """Say in a few words why a file could not be read."""
    if os.path.islink(path) and not os.path.exists(path):
        return f"it is a link to {os.readlink(path)}, where nothing is"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, ValueError):  # of our own
        return str(error)
    said = getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)
    return f"it could not be read as audio ({said.strip().rstrip('.') or type(error).__name__})"
