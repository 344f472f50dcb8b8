"""What can be done with two vectors of an utterance: give them, decode them, mix them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from repkit.audio import to_waveform
from repkit.speech.batches import Frames
from repkit.speech.erasure import erased
from repkit.speech.networks import inside
from repkit.speech.utterance_input import Speech, Spoken


class TwoVectors(TransformerMixin, Spoken):
    """Base of an estimator with the networks Ep, Es and R, and K where vectors are quantized."""

    phonetic_dim: int
    speaker_dim: int
    output: str
    quantize: float | None
    erasure_mean_: np.ndarray
    erasure_matrix_: np.ndarray

    def _prepare(self, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """Stored frames and their lengths to what the networks see."""
        mean = torch.from_numpy(self.mean_).to(device)
        scale = torch.from_numpy(1.0 / self.std_).to(device)
        return lambda x, length: (x - mean) * scale * inside(length, x.shape[1])

    # ---------------------------------------------------------------- use

    @torch.no_grad()
    def _vectors_of(self, store: Frames, *, erase: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Phonetic and speaker vector of each utterance: means over its pieces."""
        pieces, prepare = self._pieces(store), self._prepare(store.device)
        p = np.empty((len(pieces[0]), self.phonetic_dim), dtype=np.float32)
        s = np.empty((len(pieces[0]), self.speaker_dim), dtype=np.float32)
        for wanted, _, x, length in self._padded(store, pieces):
            x = prepare(x, length)
            p[wanted] = self._phonetic(x, length).cpu().numpy()[: len(wanted)]
            s[wanted] = self.networks_["Es"](x, length).float().cpu().numpy()[: len(wanted)]
        p, s = (mean_of_pieces(v, pieces[0], pieces[2]) for v in (p, s))
        if erase and hasattr(self, "erasure_matrix_"):
            p = erased(p, self.erasure_mean_, self.erasure_matrix_)
        return p, s / np.maximum(np.linalg.norm(s, axis=1, keepdims=True), 1e-12)

    def _phonetic(self, x: Tensor, length: Tensor) -> Tensor:
        p: Tensor = self.networks_["Ep"](x, length).float()
        if self.quantize is not None and "K" in self.networks_:
            p = self.networks_["K"].quantized(p, self.quantize)  # type: ignore[operator]
        return p

    def _vectors(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        read = self._read(X)
        p, s = self._vectors_of(Frames(read.frames, self._where()), erase=True)
        return read.spread(p), read.spread(s)

    def transform(self, X: Any) -> np.ndarray:
        """The vectors that ``output`` names.

        Parameters
        ----------
        X : list, array, str or Path
            As for `fit`, of any speakers.

        Returns
        -------
        ndarray of shape (n, phonetic_dim + speaker_dim), or of one of them
            float64 for a 2-D array of that type, else float32. An utterance gives the same row
            whatever comes with it. NaN where it was skipped.
        """
        p, s = self._vectors(X)
        if self.output == "both":
            return np.hstack([p, s])
        return p if self.output == "phonetic" else s

    def transform_phonetic(self, X: Any) -> np.ndarray:
        """What is said: ``(n, phonetic_dim)``, erased if ``erase`` is set."""
        return self._vectors(X)[0]

    def transform_speaker(self, X: Any) -> np.ndarray:
        """Who says it: ``(n, speaker_dim)``, rows of length 1."""
        return self._vectors(X)[1]

    def reconstruct(self, X: Any) -> list[np.ndarray]:
        """Frames rebuilt from both vectors of each utterance.

        Returns
        -------
        list of ndarray of shape (T, D)
            As the front end makes frames, at the utterance's level; no frames for one skipped.
        """
        return self._decoded(self._read(X), None)

    def convert(self, X: Any, reference: Any) -> list[np.ndarray]:
        """Frames with the words of X in the voice of the reference.

        Parameters
        ----------
        X : list, array, str or Path
        reference : list, array, str or Path
            One utterance for each of X, or one for all; of any words, any speaker.

        Returns
        -------
        list of ndarray of shape (T, D)
            T as in X. The phonetic vectors are those before any erasure.

        Raises
        ------
        ValueError
            If the reference has another number of utterances, or one was skipped.
        """
        read, voices = self._read(X), self._read(reference)
        if voices.n not in (1, read.n):
            raise ValueError(
                f"reference must have one utterance, or as many as X, {read.n}; it has {voices.n}"
            )
        if voices.skipped:
            raise ValueError(f"the reference {voices.skipped[0].name} has no voice: it was skipped")
        s = self._vectors_of(Frames(voices.frames, self._where()))[1]
        return self._decoded(read, s[read.kept] if voices.n > 1 else s[[0] * len(read.kept)])

    @torch.no_grad()
    def _decoded(self, read: Speech, s: np.ndarray | None) -> list[np.ndarray]:
        """Frames of every utterance, in its own voice or in those given for each."""
        device, R = self._where(), self.networks_["R"]
        store = Frames(read.frames, device)
        pieces, prepare = self._pieces(store), self._prepare(device)
        voices = torch.from_numpy(self._vectors_of(store)[1] if s is None else s).to(device)
        parts: list[list[np.ndarray]] = [[] for _ in range(read.n)]
        found: dict[int, np.ndarray] = {}
        for wanted, index, x, length in self._padded(store, pieces):
            p = self._phonetic(prepare(x, length), length)
            rows = torch.from_numpy(pieces[0][index]).to(device)
            out = R(p, voices[rows], length, x.shape[1]).float().cpu().numpy()
            for k, piece in enumerate(wanted):
                found[int(piece)] = out[k, : pieces[2][piece]]
        for piece, row in enumerate(pieces[0]):
            frames = self._as_frames(found[piece], read.levels[row])
            parts[read.kept[row]].append(frames)
        none = np.empty((0, self.input_shape_[0]), dtype=np.float32)
        return [np.concatenate(own) if own else none for own in parts]

    def to_waveform(self, frames: Any, *, n_iter: int = 32) -> Any:
        """Sound of frames, by Griffin and Lim's algorithm.

        Parameters
        ----------
        frames : array of shape (T, D), or list of them
            As `reconstruct` and `convert` give them.
        n_iter : int, default=32

        Returns
        -------
        ndarray of shape (samples,), or list of them
            At ``sample_rate``; see `repkit.audio.to_waveform`.

        Raises
        ------
        ValueError
            If the model was fitted on ready frames: how they were made is not known.
        """
        check_is_fitted(self)
        if self.kind_ != "audio":
            raise ValueError("the model was fitted on ready frames: how to undo them is not known")
        if isinstance(frames, list | tuple):
            return [self.to_waveform(x, n_iter=n_iter) for x in frames]
        return to_waveform(frames, self._front_end(), n_iter=n_iter, device=self._where())

    # ---------------------------------------------------------------- scikit-learn

    def _probe(self, X: np.ndarray) -> None:
        width = self.input_shape_[0]
        if not self.mean_.shape == self.std_.shape == (width,):
            raise ValueError(f"mean_ and std_ must have shape ({width},)")
        store = Frames([np.zeros((8, width), dtype=np.float32)], torch.device("cpu"))
        self._vectors_of(store, erase=True)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """``phonetic<k>`` and ``speaker<k>``."""
        check_is_fitted(self)
        sizes = {"phonetic": self.phonetic_dim, "speaker": self.speaker_dim}
        wanted = sizes if self.output == "both" else (self.output,)
        names = [f"{kind}{k}" for kind in wanted for k in range(sizes[kind])]
        return np.array(names, dtype=object)


def mean_of_pieces(values: np.ndarray, rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Means over the pieces of each utterance, by their lengths: ``(pieces, d) -> (n, d)``."""
    if len(rows) == rows[-1] + 1:
        return values
    out = np.zeros((rows[-1] + 1, values.shape[1]), dtype=np.float64)
    np.add.at(out, rows, values * lengths[:, None])
    return (out / np.bincount(rows, lengths)[:, None]).astype(np.float32)
