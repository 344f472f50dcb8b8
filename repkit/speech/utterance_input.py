"""What an estimator of speech needs: utterances in any form to frames, and vectors of pieces."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from repkit.audio import FrontEnd, Skipped, Utterances, as_utterances, extract
from repkit.base.estimator import BLOCK, Estimator
from repkit.speech.batches import Frames

ROUND = 16  # frames outside training are padded to multiples of this
AREA = 4096  # rows times frames of the least batch, about
QUIET = -12.0  # the lowest level kept, below an utterance's mean


class Rows(Utterances):
    """Waveforms of an array that scikit-learn has checked: a row of zeros is silence, no error."""

    def blocks(self, i: int, size: int) -> Iterator[np.ndarray]:
        """Yield float32 blocks (n,) of at most `size` samples."""
        return self._raw(i, size)


@dataclass
class Speech:
    """Frames of the usable utterances of an input.

    Attributes
    ----------
    frames : list of ndarray of shape (T, D)
        As the networks' statistics take them: the level of log-mel frames is taken out.
    levels : ndarray of shape (n_kept,)
        What was taken out of the static columns.
    kept : ndarray of shape (n_kept,)
        Places in the input.
    n : int
        Utterances in the input.
    skipped : list of Skipped
    dtype : type
        Of what is made of them.
    kind : str
        "audio" or "frames".
    """

    frames: list[np.ndarray]
    levels: np.ndarray
    kept: np.ndarray
    n: int
    skipped: list[Skipped]
    dtype: type
    kind: str

    def spread(self, values: np.ndarray) -> np.ndarray:
        """A row for every utterance of the input: NaN for those skipped."""
        values = values.astype(self.dtype, copy=False)
        if len(self.kept) == self.n:
            return values
        out = np.full((self.n, *values.shape[1:]), np.nan, dtype=self.dtype)
        out[self.kept] = values
        return out


class Spoken(Estimator):
    """Base of estimators of speech.

    Attributes
    ----------
    kind_ : str
        "audio", or "frames" made by somebody else.
    mean_, std_ : ndarray of shape (D,)
        Of the columns of all training frames.
    skipped_ : list of Skipped
        Utterances that ``fit`` left out: index, name and reason.
    """

    sample_rate: int
    features: str
    n_mels: int
    deltas: bool
    max_frames: int
    on_error: str
    kind_: str
    mean_: np.ndarray
    std_: np.ndarray
    skipped_: list[Skipped]

    # ---------------------------------------------------------------- input

    def _front_end(self) -> FrontEnd:
        return FrontEnd(
            self.features, sample_rate=self.sample_rate, n_mels=self.n_mels, deltas=self.deltas
        )

    def _utterances(self, X: Any, *, reset: bool) -> tuple[Utterances, type]:
        """Whatever holds speech; and float64 if that is what an array of waveforms holds."""
        if not reset:
            check_is_fitted(self)
        else:
            for name in ("n_features_in_", "feature_names_in_"):
                self.__dict__.pop(name, None)
        if isinstance(X, Tensor):
            X = X.detach().cpu().numpy()
        dtype: type = np.float32
        table = is_table(X)
        if table:
            # Waveforms of one length: scikit-learn's own kind of input, with its checks.
            X = validate_data(self, X, reset=reset, ensure_min_samples=2 if reset else 1)
            dtype = np.float64 if X.dtype == np.float64 else np.float32
        utterances = as_utterances(X, sample_rate=self.sample_rate, on_error=self.on_error)
        if table:
            utterances = Rows(utterances.items, "audio", utterances.sample_rate, self.on_error)
        if reset and len(utterances) < 2:
            raise ValueError(
                f"X has {len(utterances)} utterance (n_samples={len(utterances)}) while a minimum "
                "of 2 is required to fit"
            )
        if not reset and (utterances.kind, utterances.n_features or self.input_shape_[0]) != (
            self.kind_,
            self.input_shape_[0],
        ):
            width = utterances.n_features
            raise ValueError(
                f"X holds {utterances.kind}{f' of {width} columns' if width else ''}, but "
                f"{type(self).__name__} was fitted on {self.kind_} of {self.input_shape_[0]} "
                "columns"
            )
        return utterances, dtype

    def _speech(self, utterances: Utterances, dtype: type, device: torch.device) -> Speech:
        """Read them and make frames."""
        front_end = self._front_end()
        found = extract(utterances, front_end, device)
        frames, levels = found.frames, np.zeros(len(found.frames), dtype=np.float32)
        if utterances.kind == "audio" and front_end.kind == "logmel":
            levels = np.array([level(x[:, : self.n_mels]) for x in frames], dtype=np.float32)
            for x, own in zip(frames, levels, strict=True):
                x[:, : self.n_mels] = np.logaddexp(x[:, : self.n_mels] - own, np.float32(QUIET))
        return Speech(
            frames, levels, found.kept, len(utterances), found.skipped, dtype, utterances.kind
        )

    def _read(self, X: Any) -> Speech:
        """The same for a fitted estimator; tells of skipped utterances."""
        speech = self._speech(*self._utterances(X, reset=False), self._where())
        if speech.skipped:
            first = speech.skipped[0]
            warnings.warn(
                f"{len(speech.skipped)} of {speech.n} utterances were skipped, and have NaN rows "
                f"or no frames; the first, {first.name}, because {first.reason}",
                stacklevel=3,
            )
        return speech

    def _as_frames(self, x: np.ndarray, own: float) -> np.ndarray:
        """What a decoder gives, as the front end makes frames, at this level."""
        x = x * self.std_ + self.mean_
        if self.kind_ == "audio" and self.features == "logmel":
            x[:, : self.n_mels] += own
        return x.astype(np.float32, copy=False)

    # ---------------------------------------------------------------- use

    def _pieces(self, store: Frames) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, first frame and length of equal pieces of at most ``max_frames``."""
        counts = -(-store.lengths // self.max_frames)
        rows = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        edges = [place * store.lengths[rows] // counts[rows]]
        edges.append((place + 1) * store.lengths[rows] // counts[rows])
        return rows, edges[0], edges[1] - edges[0]

    def _padded(
        self, store: Frames, pieces: tuple[np.ndarray, np.ndarray, np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray, Tensor, Tensor]]:
        """Yield ``(wanted, index, x, length)``: pieces in batches whose shapes hardly vary.

        A piece is padded to a multiple of `ROUND` frames whatever comes with it, and the rows to
        a whole number of blocks: matrix kernels round differently for odd sizes, and what an
        utterance gives should not depend on its company. ``index[: len(wanted)]`` is ``wanted``.
        """
        rows, starts, lengths = pieces
        times = -(-lengths // ROUND) * ROUND
        for time in np.unique(times):
            block = int(np.clip(AREA // time, 1, BLOCK))
            chosen = np.flatnonzero(times == time)
            for k in range(0, len(chosen), 8 * block):
                wanted = chosen[k : k + 8 * block]
                index = np.pad(wanted, (0, -len(wanted) % block), mode="edge")
                x, length = store.take(rows[index], starts[index], lengths[index], int(time))
                yield wanted, index, x, length


def is_table(X: Any) -> bool:
    """Whether it is an array, data frame or sparse matrix of two dimensions."""
    if isinstance(X, list | tuple | str | Path):
        return False
    n_dims = getattr(X, "ndim", None)
    return (np.asarray(X).ndim if n_dims is None else n_dims) == 2


def level(x: np.ndarray) -> float:
    """Logarithm of the mean energy of log-mel frames."""
    return float(np.log(np.exp(x, dtype=np.float64).mean()))
