"""`FramePosteriors`: posteriorgrams of frames, learned without labels. Of anybody's frames."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from repkit import _arguments
from repkit.base.all_or_nothing import all_or_nothing
from repkit.speech.by_speaker import BySpeaker
from repkit.speech.frame_table import (
    MOST_FRAMES,
    enough_frames,
    in_blocks,
    mixture,
    read_by_speaker,
)
from repkit.speech.neighbors_in_time import joined
from repkit.speech.speaker_scaler import SpeakerScaler

if TYPE_CHECKING:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

__all__ = ["FramePosteriors"]

FLOOR, FLOOR_WITHIN = 0.01, 0.2  # least variance of a cluster: of scaled frames, and in directions
SHRINKAGE = 0.01  # of the covariance within clusters
MOST, MOST_ROUNDS, MOST_CONTEXT = 2**14, 100, 100


class FramePosteriors(BySpeaker, BaseEstimator):
    """Turn frames of speech into probabilities of clusters that are alike across speakers.

    Frames are brought to mean 0 and deviation 1, speaker by speaker, and a mixture of Gaussians
    finds clusters in them (posteriorgrams: Chen et al. 2015). Each further round looks for the
    linear combinations of a frame and its neighbors that tell the clusters of the round before
    apart (discriminant analysis that trains itself: arXiv 1702.01360), and finds clusters there.
    The probabilities of all rounds stand beside each other.

    Frames are MFCC, as `repkit.audio.extract` gives them, or those of any encoder; vectors of whole
    utterances will do, too. To compare segments, take the mean over the frames, then the square
    root, then the cosine (Hellinger). `FrameNetwork` learns the probabilities from other frames;
    the mean of both is better.

    Parameters
    ----------
    n_components : int, default=64
        Clusters of a round.
    n_rounds : int, default=5
        Rounds after the first. 0 leaves the mixture of the scaled frames alone. There are fewer
        where all frames fall into one cluster.
    n_directions : int, default=32
        Linear combinations of a round. There are fewer where the columns or the clusters allow no
        more.
    context : int, default=1
        Frames on either side that the combinations read, too.
    temperature : float, default=2.0
        What the logarithms of the densities are divided by. 1 gives the mixture's own
        probabilities; more makes them softer.
    random_state : int, RandomState or None, default=None
        Draws where the mixtures start.

    Attributes
    ----------
    scaler_ : SpeakerScaler
        What scales the frames.
    discriminants_ : list of LinearDiscriminantAnalysis
        The linear combinations of each round after the first.
    mixtures_ : list of GaussianMixture
        The clusters of each round.
    n_features_in_ : int
        Columns of a frame.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.speech import FramePosteriors
    >>> rng = np.random.default_rng(0)
    >>> frames = [rng.normal(size=(n, 13)) for n in (80, 120)]
    >>> model = FramePosteriors(8, random_state=0).fit(frames, speaker=["ann", "bob"])
    >>> found = model.transform(frames, speaker=["ann", "bob"])
    >>> found[0].shape, float(found[0][0].sum().round(3))
    ((80, 48), 1.0)
    >>> model.transform_units(frames)[0].shape
    (80,)
    """

    def __init__(
        self,
        n_components: int = 64,
        *,
        n_rounds: int = 5,
        n_directions: int = 32,
        context: int = 1,
        temperature: float = 2.0,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.n_rounds = n_rounds
        self.n_directions = n_directions
        self.context = context
        self.temperature = temperature
        self.random_state = random_state

    @all_or_nothing
    def fit(self, X: Any, y: Any = None, *, speaker: Any = None) -> Self:
        """Find clusters and directions.

        Parameters
        ----------
        X : list of m arrays of shape (T, n_features), or array of shape (n, n_features)
            Frames of recordings; or single frames that have no neighbors.
        y : None
            Not read.
        speaker : array-like of shape (m,) or (n,), optional
            Who speaks in each recording, labels of any kind; -1 where it is unknown. The number of
            the recording will do where it is long. Without names, all are scaled alike.

        Returns
        -------
        FramePosteriors
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, X is not finite, there are fewer than four frames
            for each cluster, or ``speaker`` is of another length.
        """
        k = _arguments.integer(self.n_components, "n_components", 1, MOST)
        rounds = _arguments.integer(self.n_rounds, "n_rounds", 0, MOST_ROUNDS)
        directions = _arguments.integer(self.n_directions, "n_directions", 1, MOST)
        context = _arguments.integer(self.context, "context", 0, MOST_CONTEXT)
        _arguments.number(self.temperature, "temperature", 0.0, above=True)
        rng = check_random_state(self.random_state)
        table, codes, lengths = read_by_speaker(self, X, speaker, reset=True)
        enough_frames(table, k)
        self.scaler_ = SpeakerScaler(0.0).fit(table, speaker=codes)
        table = self.scaler_.transform(table, speaker=codes)
        chosen = np.sort(rng.permutation(len(table))[:MOST_FRAMES])  # the same in every round
        given, wide = table[chosen], joined(table, lengths, context, chosen)
        self.discriminants_: list[LinearDiscriminantAnalysis] = []
        # The frames are NumPy's.
        with config_context(array_api_dispatch=False):
            self.mixtures_ = [mixture(given, k, FLOOR, rng)]
            for _ in range(rounds):
                cluster = self.mixtures_[-1].predict(given)
                if cluster.min() == cluster.max():
                    break  # there is nothing to tell apart
                self.discriminants_.append(_discriminant(wide, cluster, directions))
                given = self.discriminants_[-1].transform(wide)
                self.mixtures_.append(mixture(given, k, FLOOR_WITHIN, rng))
        return self

    def transform(self, X: Any, *, speaker: Any = None) -> Any:
        """Give the probabilities of the clusters.

        Parameters
        ----------
        X : list of m arrays of shape (T, n_features), or array of shape (n, n_features)
            Frames of recordings, of any speakers and any length; or single frames.
        speaker : array-like of shape (m,) or (n,), optional
            Who speaks in each recording, by whose frames in X it is scaled: names of people whom
            ``fit`` has not seen will do. Without, or where it is -1, it is scaled by the mean of
            ``fit`` and the deviation within its speakers.

        Returns
        -------
        list of m ndarray of shape (T, n_out), or ndarray of shape (n, n_out)
            Float32 probabilities, ``n_out = (n_rounds + 1) * n_components``. A row sums to 1, and
            each round to its share of that.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If X is not finite or has another number of columns, or ``speaker`` is of another
            length.
        """

        def beside(rounds: list[np.ndarray]) -> np.ndarray:
            soft = [p ** (1 / self.temperature) for p in rounds]
            parts = [p / p.sum(1, keepdims=True) / len(rounds) for p in soft]
            return np.hstack(parts).astype(np.float32)

        return self._of_rounds(X, speaker, beside)

    def transform_units(self, X: Any, *, speaker: Any = None) -> Any:
        """Give the most probable cluster of each frame, as the last round has it.

        Parameters
        ----------
        X : list of m arrays of shape (T, n_features), or array of shape (n, n_features)
            As in `transform`.
        speaker : array-like of shape (m,) or (n,), optional
            As in `transform`.

        Returns
        -------
        list of m ndarray of int of shape (T,), or ndarray of int of shape (n,)
            From 0 to ``n_components - 1``; see `repkit.speech.merge_repeats`.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            As `transform` does.
        """
        return self._of_rounds(X, speaker, lambda rounds: rounds[-1].argmax(1))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns that `transform` gives.

        Parameters
        ----------
        input_features : array-like of str, optional
            Not read.

        Returns
        -------
        ndarray of str
            "round0_0", "round0_1" and so on.
        """
        check_is_fitted(self)
        names = [
            f"round{i}_{j}" for i, m in enumerate(self.mixtures_) for j in range(m.n_components)
        ]
        return np.array(names, dtype=object)

    def _of_rounds(
        self, X: Any, speaker: Any, make: Callable[[list[np.ndarray]], np.ndarray]
    ) -> Any:
        """What is made of the probabilities that each round's mixture has, block by block."""
        check_is_fitted(self)
        table, codes, lengths = read_by_speaker(self, X, speaker, reset=False)
        table = self.scaler_.transform(table, speaker=codes)

        def made(rows: np.ndarray) -> np.ndarray:
            wide = joined(table, lengths, self.context, rows)
            given = [table[rows], *(d.transform(wide) for d in self.discriminants_)]
            pairs = zip(self.mixtures_, given, strict=True)
            return make([m.predict_proba(x) for m, x in pairs])

        with config_context(array_api_dispatch=False):
            return in_blocks(X, lengths, made)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _discriminant(x: np.ndarray, cluster: np.ndarray, n: int) -> LinearDiscriminantAnalysis:
    """Directions that tell clusters apart, in which those vary by 1 within."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    most = min(n, x.shape[1], len(np.unique(cluster)) - 1)
    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE, n_components=most)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Only one sample available", UserWarning)  # in a cluster
        return analysis.fit(x, cluster)
