"""Internal. What can be done with a phonetic vector for every few frames: give it, name it, use it.

A recording is read piece by piece, whatever its length, and nothing is averaged over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from repkit._arguments import choice
from repkit.audio import stream
from repkit.base.surroundings import in_settled
from repkit.speech.batches import FrameStore
from repkit.speech.erasure import erased_by, erasure
from repkit.speech.inference import along_time
from repkit.speech.utterance_input import framed, standardization

if TYPE_CHECKING:
    from repkit.speech.vectors import TwoVectors as Base
else:
    Base = object  # a mixin: it stands beside the estimators' chain, not on it

MOST_FRAMES = 2**18  # that an erasure is found from


class FrameVectors(Base):
    """Methods of an estimator whose encoder gives vectors of frames."""

    frame_mean_: np.ndarray
    frame_basis_: np.ndarray
    frame_erasure_mean_: np.ndarray
    frame_erasure_matrix_: np.ndarray

    @overload
    def transform_frames(
        self, X: Any, *, return_times: Literal[False] = ...
    ) -> list[np.ndarray]: ...
    @overload
    def transform_frames(
        self, X: Any, *, return_times: Literal[True]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]: ...
    def transform_frames(self, X: Any, *, return_times: bool = False) -> Any:
        """Give what is said along the time: a phonetic vector for every ``encoder__stack`` frames.

        Needs ``encoder__pooling="frames"`` or ``"both"`` in ``fit``.

        Parameters
        ----------
        X : list, array, str or Path
            Utterances of any speakers and any length, in the forms that ``fit`` takes.
        return_times : bool, default=False
            Whether to return the times, too.

        Returns
        -------
        vectors : list of ndarray of shape (K, phonetic_dim)
            K is a little above a ``stack``-th of the frames, without vectors if it was skipped. To
            be compared by cosine as they are: see ``encoder__whiten``. Erased if ``erase`` was set
            in ``fit``.
        times : list of ndarray of shape (K,), with ``return_times``
            The middle of what each vector stands for: seconds, or, of ready frames, their number.

        Raises
        ------
        repkit.audio.AudioError
            (a ``ValueError``) If an utterance cannot be used, and ``on_error="raise"``.
        NotFittedError
            If the model is not fitted.
        ValueError
            If the model was fitted without vectors of frames.
        """
        return_times = choice(return_times, "return_times", (False, True))
        self._check_frames()
        found, _ = self._heard(X)
        vectors = [np.empty((0, self._built.phonetic_dim), dtype=np.float32)] * found.n
        store = FrameStore(found.frames, self._where())
        for place, v in zip(found.kept, self._frame_vectors(store), strict=True):
            vectors[place] = v
        if not return_times:
            return vectors
        return vectors, [self._times(len(v)) for v in vectors]

    def iter_frames(self, X: Any) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Give vectors and times of one utterance after the other, ordered by length.

        No more than the frames of one utterance are in memory, whatever the size of the corpus: an
        hour of sound, read from a file, took 380 MB.

        Parameters
        ----------
        X : list, array, str or Path
            Utterances of any speakers and any length, in the forms that ``fit`` takes.

        Yields
        ------
        index : int
            Index of the utterance in the input; those that cannot be used are left out with
            ``on_error="skip"``.
        vectors : ndarray of shape (K, phonetic_dim)
            As `transform_frames` gives them.
        times : ndarray of shape (K,)
            The middle of what each vector stands for.
        """
        self._check_frames()
        utterances, _ = self._like_those_of_fit(X)
        return self._streamed(utterances)

    def _streamed(self, utterances: Any) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        front_end, device = self._front_end(), self._where()
        for index, x in stream(utterances, front_end, device):
            x, _ = framed(x, utterances.kind, front_end)
            (vectors,) = self._frame_vectors(FrameStore([x], device))
            yield index, vectors, self._times(len(vectors))

    def transform_units(self, X: Any) -> list[np.ndarray]:
        """Give what is said along the time as the numbers of clusters.

        Needs ``prototypes__frame_size`` and two known speakers in ``fit``, beside what
        `transform_frames` needs.

        Parameters
        ----------
        X : list, array, str or Path
            Utterances of any speakers and any length, in the forms that ``fit`` takes.

        Returns
        -------
        list of ndarray of int of shape (K,)
            One number for each vector of `transform_frames`, from 0 to ``prototypes__frame_size`` -
            1; see `repkit.speech.merge_repeats` and `repkit.speech.unit_counts`.

        Raises
        ------
        repkit.audio.AudioError
            (a ``ValueError``) If an utterance cannot be used, and ``on_error="raise"``.
        NotFittedError
            If the model is not fitted.
        ValueError
            If the model was fitted without vectors of frames, or without clusters of them.
        """
        self._check_frames()
        if "Kf" not in self.networks_:
            raise ValueError(
                "there are no clusters of frames: fit with prototypes__frame_size=64, say, and two "
                "known speakers"
            )
        found, _ = self._heard(X)
        units = [np.empty(0, dtype=np.int64)] * found.n
        store = FrameStore(found.frames, self._where())
        for place, f in zip(found.kept, self._trained_vectors(store), strict=True):
            units[place] = self._units(f)
        return units

    @in_settled
    def _units(self, f: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            (cosines,) = self.networks_["Kf"](torch.from_numpy(f).to(self._where()))
        found: np.ndarray = cosines.argmax(1).cpu().numpy()
        return found

    def _check_frames(self) -> None:
        check_is_fitted(self)
        if "F" not in self.networks_:
            raise ValueError(
                "the model gives no vectors of frames: fit it with encoder__pooling='both', or "
                "'frames'"
            )

    def _stack(self) -> int:
        stack: int = self.networks_["F"].stack  # type: ignore[assignment]
        return stack

    def _times(self, n: int) -> np.ndarray:
        middles = np.arange(n) * self._stack() + 0.5 * (self._stack() - 1)
        if self.kind_ != "audio":
            return middles
        front_end = self._front_end()
        return middles * (front_end.hop_length / front_end.sample_rate)

    @in_settled
    def _trained_vectors(self, store: FrameStore) -> list[np.ndarray]:
        """Vectors of the frames of each utterance, as decoder and clusters know them."""
        prepare = standardization(self.mean_, self.std_, store.device)
        Ep, stack = self.networks_["Ep"], self._stack()
        return along_time(
            lambda x, length, rows: Ep.both(x, length)[1],  # type: ignore[operator]
            store,
            prepare,
            self.max_frames,
            stack,
            stack,
        )

    def _frame_vectors(self, store: FrameStore, *, erase: bool = True) -> list[np.ndarray]:
        """Vectors of the frames of each utterance, as they are given."""
        vectors = self._trained_vectors(store)
        if hasattr(self, "frame_basis_"):
            vectors = [(v - self.frame_mean_) @ self.frame_basis_ for v in vectors]
        if not erase or not hasattr(self, "frame_erasure_matrix_"):
            return vectors
        s = self._vectors_of(store)[1]
        return [
            erased_by(
                v, own[None].repeat(len(v), 0), self.frame_erasure_mean_, self.frame_erasure_matrix_
            )
            for v, own in zip(vectors, s, strict=True)
        ]

    def _learn_frame_erasure(self, store: FrameStore, s: np.ndarray, speaker: np.ndarray) -> None:
        """Find the map of ``erase`` for vectors of frames, from as many as are enough."""
        vectors = self._frame_vectors(store, erase=False)
        rows = np.repeat(np.arange(len(vectors)), [len(v) for v in vectors])
        chosen = slice(None, None, 1 + len(rows) // MOST_FRAMES)
        rows = rows[chosen]
        self.frame_erasure_mean_, self.frame_erasure_matrix_ = erasure(
            self._built.erase, np.concatenate(vectors)[chosen], s[rows], speaker[rows]
        )

    def _decode(self, store: FrameStore, s: np.ndarray) -> list[np.ndarray]:
        """From vectors of frames, where there are any."""
        if "F" not in self.networks_:
            return super()._decode(store, s)
        prepare = standardization(self.mean_, self.std_, store.device)
        Ep, F = self.networks_["Ep"], self.networks_["F"]
        voices = torch.from_numpy(s).to(store.device)

        def run(x: torch.Tensor, length: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            f = Ep.both(x, length)[1]  # type: ignore[operator]
            out: torch.Tensor = F(f, voices[rows], length, x.shape[1])
            return out

        return along_time(run, store, prepare, self.max_frames, self._stack(), 1)
