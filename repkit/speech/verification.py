"""`SpeakerVerifier`: who is it, and is it who they say? Of anybody's speaker vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from scipy.linalg import block_diag
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from repkit import _arguments
from repkit._random import generator
from repkit.base.all_or_nothing import all_or_nothing
from repkit.metrics.speaker._pairs import unit_rows
from repkit.metrics.speaker._verification import (
    Cosines,
    enrolled_error,
    rows_of_speakers,
    speaker_means,
)
from repkit.speech.plda import RIDGE, TwoCovariance, within
from repkit.speech.speakers import read_speakers

__all__ = ["SpeakerVerifier"]

CPU = torch.device("cpu")
FOLDS = 5
DRAWS = 10  # of the utterances that enroll


class SpeakerVerifier(BaseEstimator):
    """Speakers enrolled by a few utterances, and the score from which on a claim is believed.

    ``fit`` learns from speakers for whom there are many utterances; `enroll` takes those who are
    to be told, who may be others. Every vector is brought to length 1.

    Parameters
    ----------
    n_enrolled : int, default=5
        Utterances by which speakers will be enrolled, about. The threshold is that of equal errors
        with so many, see `repkit.metrics.enrolled_eer`.
    whiten : bool, default=False
        Whether vectors are first brought to a basis in which those of one speaker vary equally in
        all directions, as the speakers of ``fit`` do (Hatch et al. 2006, WCCN). It needs many
        utterances, several for each number of a vector. With ``scoring="plda"`` they always are.
    scoring : {"cosine", "plda"}, default="cosine"
        What two voices are compared by. With "cosine" a voice is the mean of the vectors of a
        speaker, brought to length 1 again. With "plda" the score is the natural logarithm of a
        likelihood ratio, that the vector is of this speaker to that it is of anybody, where
        vectors are normal about a speaker and speakers about a mean (Brümmer and de Villiers
        2010; Garcia-Romero and Espy-Wilson 2011). It weighs how many utterances enroll. It makes
        far fewer errors than a cosine on `repkit.audio.voice_statistics`; on the vectors of a
        network that learned from the same speakers, as many.
    blocks : sequence of int, optional
        How many columns each kind of vector has, where several stand beside each other. Each is
        brought to length 1 and compared for itself; cosines are averaged, and logarithms of
        likelihood ratios summed. Statistics beside i-vectors (`IVectorExtractor`) make fewer errors
        so than as one vector. Default: all columns are one vector.
    random_state : int, RandomState, Generator or None, default=0
        Draws the utterances from which the threshold is learned, and the folds.

    Attributes
    ----------
    threshold_ : float
        The score from which on an utterance is taken as of the speaker: that of equal errors. With
        ``whiten`` or "plda" it is the mean over speakers who are left out in turn, in up to five
        folds, where four have more than ``n_enrolled`` utterances.
    eer_ : float
        The equal error rate at it, likewise.
    speakers_ : ndarray of shape (k,)
        Who is enrolled: the speakers of ``fit``, until `enroll` names others.
    voices_ : ndarray of shape (k, n_features)
        Their voices: of length 1, or with "plda" the expected vectors in its basis.
    variances_ : ndarray of shape (k, n_features), or None
        How far the voices may be from what is expected, with "plda": variances in its basis.
    mean_, matrix_ : ndarray of shape (n_features,) and (n_features, n_features)
        What is taken off vectors, and what they are multiplied by, where they are whitened.
    n_features_in_ : int
        Numbers of a vector.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.speech import SpeakerVerifier
    >>> rng = np.random.default_rng(0)
    >>> speaker = np.repeat(np.arange(8), 10)
    >>> vectors = rng.normal(size=(8, 16))[speaker] + 0.3 * rng.normal(size=(80, 16))
    >>> verifier = SpeakerVerifier(3).fit(vectors[:60], speaker[:60])
    >>> verifier.enroll(vectors[[60, 61, 62, 70, 71, 72]], ["ann"] * 3 + ["bob"] * 3)
    SpeakerVerifier(n_enrolled=3)
    >>> verifier.predict(vectors[[65, 75]]).tolist()
    ['ann', 'bob']
    >>> verifier.verify(vectors[[65, 75, 5]], ["ann", "ann", "ann"]).tolist()
    [True, False, False]
    """

    def __init__(
        self,
        n_enrolled: int = 5,
        *,
        whiten: bool = False,
        scoring: str = "cosine",
        blocks: Sequence[int] | None = None,
        random_state: Any = 0,
    ) -> None:
        self.n_enrolled = n_enrolled
        self.whiten = whiten
        self.scoring = scoring
        self.blocks = blocks
        self.random_state = random_state

    @all_or_nothing
    def fit(self, X: Any, y: Any) -> Self:
        """Learn the threshold, and enroll these speakers.

        Parameters
        ----------
        X : array of shape (n, n_features)
            Speaker vectors, as `repkit.SpeechAutoencoder.transform_speaker` gives them.
        y : array-like of shape (n,)
            The speaker of each; -1 where it is unknown.

        Returns
        -------
        SpeakerVerifier
            Itself, fitted.

        Raises
        ------
        ValueError
            If X is not finite, fewer than two speakers have more than ``n_enrolled`` vectors, or
            ``blocks`` do not sum to the columns of X.
        """
        n_enrolled = _arguments.integer(self.n_enrolled, "n_enrolled")
        _arguments.choice(self.whiten, "whiten", (False, True))
        _arguments.choice(self.scoring, "scoring", ("cosine", "plda"))
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        labels = read_speakers(y, len(X))
        known, place = X[labels.known], labels.codes[labels.known]
        self._learn(known, place)
        self.eer_, self.threshold_ = self._left_out(known, place, n_enrolled)
        return self._enroll(X, labels.classes, labels.codes)

    def _learn(self, X: np.ndarray, place: np.ndarray) -> Self:
        """Learn how vectors vary, from rows of known speakers, numbered."""
        place = np.unique(place, return_inverse=True)[1]
        for name in ("mean_", "matrix_"):  # of a fit before
            self.__dict__.pop(name, None)
        self._blocks = _slices(self.blocks, X.shape[1])
        if self._learns():
            found = [_within_whitening(X[:, block], place) for block in self._blocks]
            self.mean_ = np.concatenate([mean for mean, _ in found])
            self.matrix_ = block_diag(*(matrix for _, matrix in found))
        self._model: Any = Cosines()
        if self.scoring == "plda":
            self._model = TwoCovariance.of_blocks(self._unit(X), place, self._blocks)
        return self

    def _learns(self) -> bool:
        return bool(self.whiten) or self.scoring == "plda"

    def _left_out(self, X: np.ndarray, place: np.ndarray, n_enrolled: int) -> tuple[float, float]:
        """Equal error rate and its threshold, of speakers from whom nothing is learned.

        Of those learned from, if fewer than four have enough rows.
        """
        speakers = rows_of_speakers(place, n_enrolled)
        rng = generator(self.random_state)
        if not self._learns() or len(speakers) < 4:
            return self._error(X, speakers, n_enrolled, rng)
        errors = []
        for fold in np.array_split(rng.permutation(len(speakers)), min(FOLDS, len(speakers) // 2)):
            rows = [speakers[k] for k in fold]
            seen = np.ones(len(X), dtype=bool)
            seen[np.concatenate(rows)] = False
            judge = clone(self)._learn(X[seen], place[seen])
            errors.append(judge._error(X, rows, n_enrolled, rng))
        eer, threshold = np.mean(errors, axis=0)
        return float(eer), float(threshold)

    def _error(
        self, X: np.ndarray, rows: list[np.ndarray], n_enrolled: int, rng: np.random.Generator
    ) -> tuple[float, float]:
        """Equal error rate and its threshold, of speakers with rows of X."""
        return enrolled_error(self._unit(X), rows, n_enrolled, DRAWS, rng, self._model)

    @all_or_nothing
    def enroll(self, X: Any, y: Any) -> Self:
        """Take in speakers, in the place of those before.

        Parameters
        ----------
        X : array of shape (n, n_features)
            Speaker vectors, one or more of each speaker.
        y : array-like of shape (n,)
            The speaker of each; -1 where it is unknown.

        Returns
        -------
        SpeakerVerifier
            Itself, with other ``voices_``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        labels = read_speakers(y, len(X))
        if not len(labels.classes):
            raise ValueError("y must name a speaker: all are unknown")
        return self._enroll(X, labels.classes, labels.codes)

    def _enroll(self, X: np.ndarray, names: np.ndarray, codes: np.ndarray) -> Self:
        known = codes >= 0
        self.voices_, self.variances_ = self._model.enrolled(self._unit(X[known]), codes[known])
        self.speakers_ = names
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Score utterances with all who are enrolled.

        Parameters
        ----------
        X : array of shape (n, n_features)
            Speaker vectors.

        Returns
        -------
        ndarray of shape (n, k)
            Cosines with ``voices_``, or logarithms of likelihood ratios.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return self._model.scores(self._unit(X), self.voices_, self.variances_)

    def predict(self, X: Any) -> np.ndarray:
        """Name who of those enrolled scores highest, however low that is.

        Parameters
        ----------
        X : array of shape (n, n_features)
            Speaker vectors.

        Returns
        -------
        ndarray of shape (n,)
            Labels of ``speakers_``.
        """
        nearest = self.decision_function(X).argmax(1)
        names: np.ndarray = self.speakers_[nearest]
        return names

    def verify(self, X: Any, y: Any) -> np.ndarray:
        """Tell whether each utterance is of the speaker who is claimed.

        Parameters
        ----------
        X : array of shape (n, n_features)
            Speaker vectors.
        y : array-like of shape (n,)
            Who is claimed, each of ``speakers_``.

        Returns
        -------
        bool ndarray of shape (n,)
            Whether the score reaches ``threshold_``.

        Raises
        ------
        ValueError
            If somebody is claimed who is not enrolled.
        """
        scores = self.decision_function(X)
        claimed = np.asarray(y)
        if claimed.shape != (len(scores),):
            raise ValueError(
                f"y must have one label for each of the {len(scores)} rows of X; it has the shape "
                f"{claimed.shape}"
            )
        place = {name: k for k, name in enumerate(self.speakers_.tolist())}
        wrong = [name for name in claimed.tolist() if name not in place]
        if wrong:
            raise ValueError(f"y names {wrong[0]!r}, who is not enrolled: call enroll first")
        chosen = [place[name] for name in claimed.tolist()]
        accepted: np.ndarray = scores[np.arange(len(scores)), chosen] >= self.threshold_
        return accepted

    def score(self, X: Any, y: Any) -> float:
        """Give 1 less the equal error rate of speakers, who may be others than those of ``fit``.

        Parameters
        ----------
        X : array of shape (n, n_features)
            Speaker vectors.
        y : array-like of shape (n,)
            The speaker of each; -1 where it is unknown. Two must have more than ``n_enrolled``.

        Returns
        -------
        float
            1 is perfect, .5 is chance. The rate is that of `repkit.metrics.enrolled_eer`, by this
            verifier's scores, at their own threshold.

        Raises
        ------
        ValueError
            If fewer than two speakers have more than ``n_enrolled`` vectors.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        labels = read_speakers(y, len(X))
        rows = rows_of_speakers(labels.codes[labels.known], self.n_enrolled)
        rng = generator(self.random_state)
        return 1.0 - self._error(X[labels.known], rows, self.n_enrolled, rng)[0]

    def _unit(self, X: np.ndarray) -> np.ndarray:
        """Rows as they are compared: of length 1, and so is each block but for one factor."""
        X = np.asarray(X, dtype=np.float64)
        if hasattr(self, "matrix_"):
            X = (X - self.mean_) @ self.matrix_
        units = [unit_rows(X[:, block], "X", CPU, 1).numpy() for block in self._blocks]
        return np.hstack(units) / len(units) ** 0.5

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _slices(blocks: Any, n: int) -> list[slice]:
    """Blocks of n columns, from their sizes."""
    if blocks is None:
        return [slice(0, n)]
    with _arguments.named("blocks", "a sequence of whole numbers"):
        sizes = [_arguments.integer(size, f"blocks[{i}]") for i, size in enumerate(blocks)]
    if sum(sizes) != n:
        raise ValueError(f"blocks must sum to the {n} columns of X, not {sum(sizes)}: {blocks!r}")
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _within_whitening(X: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and the inverse root of the covariance within speakers with a small ridge.

    ``(n, d)``, numbers of speakers ``(n,) -> (d,)``, ``(d, d)``.
    """
    scale = 1.0 / np.maximum(np.std(X, axis=0, dtype=np.float64), 1e-12)
    X = np.asarray(X, dtype=np.float64)
    mean, X = X.mean(0), X * scale
    values, vectors = np.linalg.eigh(within(X, speaker_means(X, place), place))
    values = values + RIDGE * max(float(values.mean()), 1e-12)
    return mean, scale[:, None] * vectors / np.sqrt(values)
