"""`SpeakerVerifier`: who is it, and is it who they say? Of anybody's speaker vectors."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from repkit import _arguments
from repkit.metrics import enrolled_eer
from repkit.metrics.speaker._verification import enrolled_voices
from repkit.speech.speakers import read_speakers

__all__ = ["SpeakerVerifier"]

RIDGE = 0.02  # of the mean variance within speakers, of columns of one deviation


class SpeakerVerifier(BaseEstimator):
    """Speakers enrolled by a few utterances, and the cosine from which on a claim is believed.

    ``fit`` learns the threshold from speakers for whom there are many utterances; `enroll` takes
    those who are to be told, who may be others. A voice is the mean of the vectors of a speaker,
    each brought to length 1, brought to length 1 again.

    Parameters
    ----------
    n_enrolled : int, default=5
        Utterances by which speakers will be enrolled, about. The threshold is that of equal errors
        with so many, see `repkit.metrics.enrolled_eer`.
    whiten : bool, default=False
        Whether vectors are first brought to a basis in which those of one speaker vary equally in
        all directions, as the speakers of ``fit`` do (Hatch et al. 2006, WCCN). It needs many
        utterances, several for each number of a vector; mean and deviation of log-mel frames then
        tell speakers as well as many a network. ``eer_`` is then of the speakers that it was
        learned from.
    random_state : int, RandomState, Generator or None, default=0
        Draws the utterances from which the threshold is learned.

    Attributes
    ----------
    threshold_ : float
        The cosine from which on an utterance is taken as of the speaker.
    eer_ : float
        The equal error rate of the speakers of ``fit``.
    speakers_ : ndarray of shape (k,)
        Who is enrolled: the speakers of ``fit``, until `enroll` names others.
    voices_ : ndarray of shape (k, n_features)
        Their voices, of length 1.
    mean_, matrix_ : ndarray of shape (n_features,) and (n_features, n_features)
        What is taken off vectors, and what they are multiplied by; with ``whiten``.
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

    def __init__(self, n_enrolled: int = 5, *, whiten: bool = False, random_state: Any = 0) -> None:
        self.n_enrolled = n_enrolled
        self.whiten = whiten
        self.random_state = random_state

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
            If X is not finite, or fewer than two speakers have more than ``n_enrolled`` vectors.
        """
        n_enrolled = _arguments.integer(self.n_enrolled, "n_enrolled")
        whiten = _arguments.choice(self.whiten, "whiten", (False, True))
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        labels = read_speakers(y, len(X))
        for name in ("mean_", "matrix_"):  # of a fit before
            self.__dict__.pop(name, None)
        if whiten:
            known = labels.known
            self.mean_, self.matrix_ = _within_whitening(X[known], labels.codes[known])
        found = enrolled_eer(
            self._unit(X[labels.known]),
            labels.codes[labels.known],
            n_enrolled=n_enrolled,
            random_state=self.random_state,
        )
        self.eer_, self.threshold_ = found["eer"], found["threshold"]
        return self._enroll(X, labels.classes, labels.codes)

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
        unit = self._unit(X)
        self.voices_ = enrolled_voices([unit[codes == k] for k in range(len(names))])
        self.speakers_ = names
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Compare utterances with all who are enrolled.

        Parameters
        ----------
        X : array of shape (n, n_features)
            Speaker vectors.

        Returns
        -------
        ndarray of shape (n, k)
            Cosines with ``voices_``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        cosines: np.ndarray = self._unit(X) @ self.voices_.T
        return cosines

    def predict(self, X: Any) -> np.ndarray:
        """Name who of those enrolled is nearest, however far that is.

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
            Whether the cosine reaches ``threshold_``.

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

    def _unit(self, X: np.ndarray) -> np.ndarray:
        """Rows as they are compared, of length 1."""
        X = np.asarray(X, dtype=np.float64)
        if hasattr(self, "matrix_"):
            X = (X - self.mean_) @ self.matrix_
        length = np.linalg.norm(X, axis=1, keepdims=True)
        unit: np.ndarray = X / np.maximum(length, 1e-12)
        return unit

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _within_whitening(X: np.ndarray, speaker: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and the inverse root of the covariance within speakers with a small ridge.

    ``(n, d)``, ``(n,) -> (d,)``, ``(d, d)``.
    """
    scale = 1.0 / np.maximum(np.std(X, axis=0, dtype=np.float64), 1e-12)
    mean: np.ndarray = np.asarray(X, dtype=np.float64).mean(0)
    X = np.asarray(X, dtype=np.float64) * scale
    _, place = np.unique(speaker, return_inverse=True)
    counts = np.bincount(place)
    means = np.stack([np.bincount(place, column) for column in X.T], 1) / counts[:, None]
    rest = X - means[place]
    W = rest.T @ rest / max(len(X) - len(counts), 1)
    values, vectors = np.linalg.eigh(W)
    values = values + RIDGE * max(float(values.mean()), 1e-12)
    return mean, scale[:, None] * vectors / np.sqrt(values)
