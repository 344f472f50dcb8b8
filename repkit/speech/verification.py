"""`SpeakerVerifier`: who is it, and is it who they say? Of anybody's speaker vectors."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from repkit import _arguments
from repkit.base.labels import read_labels
from repkit.metrics import enrolled_eer
from repkit.metrics.speaker._verification import enrolled_voices

__all__ = ["SpeakerVerifier"]


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

    def __init__(self, n_enrolled: int = 5, *, random_state: Any = 0) -> None:
        self.n_enrolled = n_enrolled
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
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        labels = read_labels(y, len(X))
        found = enrolled_eer(
            X[labels.known],
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
        labels = read_labels(y, len(X))
        if not len(labels.classes):
            raise ValueError("y must name a speaker: all are unknown")
        return self._enroll(X, labels.classes, labels.codes)

    def _enroll(self, X: np.ndarray, names: np.ndarray, codes: np.ndarray) -> Self:
        unit = _unit(X)
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
        cosines: np.ndarray = _unit(X) @ self.voices_.T
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

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _unit(X: np.ndarray) -> np.ndarray:
    X = np.asarray(X, dtype=np.float64)
    length = np.linalg.norm(X, axis=1, keepdims=True)
    unit: np.ndarray = X / np.maximum(length, 1e-12)
    return unit
