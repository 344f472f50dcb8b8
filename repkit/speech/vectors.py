"""Internal. What can be done with two vectors of an utterance: give them, decode them, mix them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from repkit._arguments import integer as integer_of
from repkit._arguments import named, shown
from repkit.audio import FrontEnd, Skipped, Utterances, as_utterances, to_waveform
from repkit.audio.reading import RATES
from repkit.base.estimator import Estimator
from repkit.base.exporting import Program
from repkit.base.parameters import MOST_UNITS, choice, fitted, integer, parameters, part
from repkit.base.samples import refuse_dataset
from repkit.base.surroundings import in_settled, settled
from repkit.metrics._arrays import feature_matrix
from repkit.speech.batches import FrameStore
from repkit.speech.erasure import erased_by
from repkit.speech.exporting import speech_program
from repkit.speech.inference import by_vocoder, decoded_frames, utterance_vectors
from repkit.speech.parts import SpeechFrames
from repkit.speech.utterance_input import (
    TableRows,
    UtteranceFrames,
    is_table,
    standardization,
    utterance_frames,
)


@parameters
class TwoVectors(TransformerMixin, Estimator):
    """Base of an estimator of speech with the networks Ep, Es and R.

    Attributes
    ----------
    kind_ : str
        "audio", or "frames" made by somebody else.
    mean_, std_ : ndarray of shape (D,)
        Of the columns of all training frames.
    skipped_ : list of Skipped
        Utterances that ``fit`` left out: index, name and reason.
    erasure_mean_, erasure_matrix_ : ndarray of shape (p,) and (p, p), p being ``phonetic_dim``
        What erases phonetic vectors, if something does. With ``erase="regression"`` the map is of
        both vectors, and the shapes are (p + s,) and (p, p + s).
    """

    phonetic_dim: int = integer(1, MOST_UNITS, default=32, kw_only=False)
    speaker_dim: int = integer(1, MOST_UNITS, default=16, kw_only=False)
    output: str = choice("both", "phonetic", "speaker", default="both")
    sample_rate: int = integer(*RATES, default=16000)
    front_end: Any = part(SpeechFrames, default="logmel")
    n_mels: int = integer(1, 1000, default=40)
    max_frames: int = integer(1, 10**6, default=400)
    on_error: str = choice("raise", "skip", default="raise")

    _fitted: ClassVar = (
        *Estimator._fitted,
        "kind_",
        "mean_",
        "std_",
        "erasure_mean_",
        "erasure_matrix_",
    )

    kind_: str = fitted()
    mean_: np.ndarray = fitted()
    std_: np.ndarray = fitted()
    skipped_: list[Skipped] = fitted()
    erasure_mean_: np.ndarray = fitted()
    erasure_matrix_: np.ndarray = fitted()

    # ---------------------------------------------------------------- input

    def _front_end(self) -> FrontEnd:
        frames = SpeechFrames.of(self._built.front_end)
        return FrontEnd(
            frames.kind,
            sample_rate=self._built.sample_rate,
            n_mels=self._built.n_mels,
            deltas=frames.deltas,
        )

    def _utterances(self, X: Any, *, reset: bool) -> tuple[Utterances, type]:
        """Whatever holds speech; and float64 if that is what an array of waveforms holds."""
        refuse_dataset(X)
        if isinstance(X, Tensor):
            X = X.detach().cpu().numpy()
        dtype: type = np.float32
        table = is_table(X)
        if table:
            # Waveforms of one length: scikit-learn's own kind of input, with its checks.
            with named("X", "utterances"):
                X = validate_data(
                    self,
                    X,
                    reset=reset,
                    ensure_min_samples=2 if reset else 1,
                    ensure_all_finite=self.on_error == "raise",  # else rows are skipped, and listed
                )
            dtype = np.float64 if X.dtype == np.float64 else np.float32
        utterances = as_utterances(X, sample_rate=self._built.sample_rate, on_error=self.on_error)
        if table:
            utterances = TableRows(utterances.items, "audio", utterances.sample_rate, self.on_error)
        return utterances, dtype

    def _like_those_of_fit(self, X: Any) -> tuple[Utterances, type]:
        """What holds speech of the kind and width that the fitted model knows."""
        check_is_fitted(self)
        utterances, dtype = self._utterances(X, reset=False)
        columns = self.input_shape_[0]
        if (utterances.kind, utterances.n_features or columns) != (self.kind_, columns):
            width = utterances.n_features
            raise ValueError(
                f"X must hold {self.kind_}"
                f"{f' of {columns} columns' if self.kind_ == 'frames' else ''}, as in fit, not "
                f"{utterances.kind}{f' of {width} columns' if width else ''}"
            )
        return utterances, dtype

    def _heard(self, X: Any) -> tuple[UtteranceFrames, type]:
        """Frames of what a fitted model is given; tells of skipped utterances."""
        utterances, dtype = self._like_those_of_fit(X)
        with settled():
            found = utterance_frames(utterances, self._front_end(), self._where())
        found.warn("{} of {} utterances were skipped, and have NaN rows or no frames", stacklevel=5)
        return found, dtype

    # ---------------------------------------------------------------- vectors

    def _phonetic(self, x: Tensor, length: Tensor) -> Tensor:
        """Phonetic vectors of what the networks see."""
        p: Tensor = self.networks_["Ep"](x, length).float()
        return p

    @in_settled
    def _vectors_of(
        self, store: FrameStore, *, erase: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Phonetic and speaker vector of each utterance."""
        prepare = standardization(self.mean_, self.std_, store.device)
        Es = self.networks_["Es"]
        p, s = utterance_vectors(self._phonetic, Es, store, prepare, self.max_frames)
        if erase and hasattr(self, "erasure_matrix_"):
            p = erased_by(p, s, self.erasure_mean_, self.erasure_matrix_)
        return p, s

    def _frames_and_vectors(self, X: Any) -> tuple[UtteranceFrames, np.ndarray]:
        """Frames of the usable utterances, and their phonetic vectors."""
        found, _ = self._heard(X)
        store = FrameStore(found.frames, self._where())
        return found, self._vectors_of(store, erase=True)[0]

    def _vectors(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        found, dtype = self._heard(X)
        p, s = self._vectors_of(FrameStore(found.frames, self._where()), erase=True)
        return (
            found.spread(p.astype(dtype, copy=False)),
            found.spread(s.astype(dtype, copy=False)),
        )

    def transform(self, X: Any) -> np.ndarray:
        """Give the vectors that ``output`` names.

        Parameters
        ----------
        X : list, array, str or Path
            Utterances of any speakers, in the forms that ``fit`` takes.

        Returns
        -------
        ndarray of shape (n, phonetic_dim + speaker_dim), (n, phonetic_dim) or (n, speaker_dim)
            An utterance gives the same row whatever comes with it, and NaN if it was skipped.
            float64 for a 2-D array of that type, else float32.

        Raises
        ------
        repkit.audio.AudioError
            (a ``ValueError``) If an utterance cannot be used, and ``on_error="raise"``.
        NotFittedError
            If the model is not fitted.
        ValueError
            If X holds frames and the model was fitted on audio, the reverse, or frames of another
            width.

        Warns
        -----
        UserWarning
            If utterances were skipped.
        """
        p, s = self._vectors(X)
        if self.output == "both":
            return np.hstack([p, s])
        return p if self.output == "phonetic" else s

    def transform_phonetic(self, X: Any) -> np.ndarray:
        """Give what is said, whatever ``output`` is.

        Parameters
        ----------
        X : list, array, str or Path
            Utterances of any speakers, in the forms that ``fit`` takes.

        Returns
        -------
        ndarray of shape (n, phonetic_dim)
            Erased if ``erase`` was set in ``fit``.
        """
        return self._vectors(X)[0]

    def transform_speaker(self, X: Any) -> np.ndarray:
        """Give who says it, whatever ``output`` is.

        Parameters
        ----------
        X : list, array, str or Path
            Utterances of any speakers, in the forms that ``fit`` takes.

        Returns
        -------
        ndarray of shape (n, speaker_dim)
            Rows of length 1.
        """
        return self._vectors(X)[1]

    # ---------------------------------------------------------------- frames

    def reconstruct(self, X: Any) -> list[np.ndarray]:
        """Rebuild the frames of each utterance from its two vectors.

        Parameters
        ----------
        X : list, array, str or Path
            Utterances of any speakers, in the forms that ``fit`` takes.

        Returns
        -------
        list of ndarray of shape (T, D)
            As the front end makes frames, at the utterance's level; no frames for one skipped.
        """
        found, _ = self._heard(X)
        store = FrameStore(found.frames, self._where())
        return self._decoded(found, store, self._vectors_of(store)[1])

    def convert(self, X: Any, reference: Any) -> list[np.ndarray]:
        """Rebuild frames with the words of X in the voice of the reference.

        Parameters
        ----------
        X : list, array, str or Path
            Utterances of any speakers, in the forms that ``fit`` takes.
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

        Notes
        -----
        Where there are more recordings of the voice, `repkit.speech.match_moments` gives what comes
        out the spectrum and the variance of that voice, which is then kept far better at no cost of
        words. `repkit.speech.blend_source` gives back some of what was said, for voices of the
        training. `repkit.speech.match_frames` can put frames of the voice itself in the place of
        those that come out: the voice is then kept best, and the words worse.
        """
        found, _ = self._heard(X)
        with named("reference", "utterances, one or as many as X"):
            voices, _ = self._heard(reference)
        if voices.n not in (1, found.n):
            raise ValueError(
                f"reference must have one utterance, or as many as X, {found.n}; it has {voices.n}"
            )
        if voices.skipped:
            raise ValueError(f"the reference {voices.skipped[0].name} has no voice: it was skipped")
        device = self._where()
        s = self._vectors_of(FrameStore(voices.frames, device))[1]
        s = s[found.kept] if voices.n > 1 else s[[0] * len(found.kept)]
        return self._decoded(found, FrameStore(found.frames, device), s)

    @in_settled
    def _decoded(
        self, found: UtteranceFrames, store: FrameStore, s: np.ndarray
    ) -> list[np.ndarray]:
        """Frames of every utterance of the input, in the voice given for each that was kept."""
        decoded = self._decode(store, s)
        frames = [np.empty((0, self.input_shape_[0]), dtype=np.float32)] * found.n
        for place, x, own in zip(found.kept, decoded, found.levels, strict=True):
            frames[place] = self._as_frames(x, own)
        return frames

    def _decode(self, store: FrameStore, s: np.ndarray) -> list[np.ndarray]:
        """Standardized frames of each utterance in the voice given for it."""
        prepare = standardization(self.mean_, self.std_, store.device)
        R = self.networks_["R"]
        return decoded_frames(self._phonetic, R, s, store, prepare, self.max_frames)

    def _as_frames(self, x: np.ndarray, own: float) -> np.ndarray:
        """What a decoder gives, as the front end makes frames, at this level."""
        x = x * self.std_ + self.mean_
        if self.kind_ == "audio" and SpeechFrames.of(self._built.front_end).kind == "logmel":
            x[:, : self._built.n_mels] += own
        return x.astype(np.float32, copy=False)

    @in_settled
    def to_waveform(
        self,
        frames: Any,
        *,
        n_iter: int = 32,
        vocoder: Callable[[np.ndarray], Any] | None = None,
    ) -> Any:
        """Make sound of frames, by Griffin and Lim's algorithm or by a vocoder of your own.

        Parameters
        ----------
        frames : array of shape (T, D), or list of them
            As `reconstruct` and `convert` give them.
        n_iter : int, default=32
            Rounds of Griffin and Lim's algorithm.
        vocoder : callable, optional
            Maps frames (T, D) of one utterance, float32, to its waveform (samples,) in the place of
            that algorithm: natural logarithms of mel energies, as `repkit.audio.FrontEnd` makes
            them, or whatever frames the model was fitted on.

        Returns
        -------
        ndarray of shape (samples,), or list of them
            At ``sample_rate``; see `repkit.audio.to_waveform`. With a vocoder, what it gives, as
            float32.

        Raises
        ------
        TypeError
            If the vocoder cannot be called.
        ValueError
            If the model was fitted on ready frames and there is no vocoder: how they were made is
            not known. If the vocoder does not give a waveform.
        """
        check_is_fitted(self)
        integer_of(n_iter, "n_iter", 1, 10**4)
        if vocoder is not None and not callable(vocoder):
            raise TypeError(f"vocoder must be callable, or None, not {shown(vocoder)}")
        if self.kind_ != "audio" and vocoder is None:
            raise ValueError(
                "the model was fitted on ready frames: how to undo them is not known; give a "
                "vocoder"
            )
        if isinstance(frames, list | tuple):
            return [self.to_waveform(x, n_iter=n_iter, vocoder=vocoder) for x in frames]
        with named("frames", "an array of frames (T, D), or a list of them"):
            if vocoder is None:
                return to_waveform(frames, self._front_end(), n_iter=n_iter, device=self._where())
            x = feature_matrix(np.asarray(frames, dtype=np.float32), "frames")
        return by_vocoder(vocoder, x)

    # ---------------------------------------------------------------- a program of its own

    def _functions(self) -> dict[str, Any]:
        return {"transform": None}

    def _input_type(self) -> str:
        return "float32"

    def _program(self, method: str, dtype: str, wanted: Any) -> Program:
        if dtype != "float32":
            raise ValueError(f"dtype must be 'float32', of frames of speech, not {dtype!r}")
        return speech_program(self)

    # ---------------------------------------------------------------- scikit-learn

    def _probe(self, X: np.ndarray) -> None:
        width = self.input_shape_[0]
        if not self.mean_.shape == self.std_.shape == (width,):
            raise ValueError(f"mean_ and std_ must have shape ({width},)")
        if self.kind_ == "audio":
            self._check_front_end(width)
        store = FrameStore([np.zeros((8, width), dtype=np.float32)], torch.device("cpu"))
        self._vectors_of(store, erase=True)

    def _check_front_end(self, width: int) -> None:
        """Raise a ValueError unless the front end gives frames, of this width."""
        try:
            made = self._front_end().n_features
        except ImportError:  # it is not needed to open a file
            return
        if made != width:
            raise ValueError(
                f"its front end gives frames of {made} columns, but input_shape_ is ({width},)"
            )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns that `transform` gives.

        Parameters
        ----------
        input_features : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        ndarray of str
            ``phonetic<k>`` and ``speaker<k>``.
        """
        check_is_fitted(self)
        sizes = {"phonetic": self._built.phonetic_dim, "speaker": self._built.speaker_dim}
        wanted = sizes if self.output == "both" else (self.output,)
        names = [f"{kind}{k}" for kind in wanted for k in range(sizes[kind])]
        return np.array(names, dtype=object)
