"""`FramePosteriors`: posteriorgrams of frames, learned without labels. Of anybody's frames."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from repkit import _arguments
from repkit.audio import statistics
from repkit.base.labels import read_labels
from repkit.metrics.speaker._frames import are_frames, frame_arrays
from repkit.speech.neighbors_in_time import joined

__all__ = ["FramePosteriors"]

MOST_FRAMES = 2**17  # from which clusters and directions are learned
ROWS = 2**14  # of a table that are read at once
FLOOR, FLOOR_WITHIN = 0.01, 0.2  # least variance of a cluster: of scaled frames, and in directions
SHRINKAGE = 0.01  # of the covariance within clusters
MOST, MOST_ROUNDS, MOST_CONTEXT = 2**14, 100, 100


class FramePosteriors(TransformerMixin, BaseEstimator):
    """Turn frames of speech into probabilities of clusters that are alike across speakers.

    Frames are brought to mean 0 and deviation 1, speaker by speaker, and a mixture of Gaussians
    finds clusters in them (posteriorgrams: Chen et al. 2015). Each further round looks for the
    linear combinations of a frame and its neighbors that tell the clusters of the round before
    apart (discriminant analysis without labels: Heck, Sakti and Nakamura 2016), and finds clusters
    there. The probabilities of all rounds stand beside each other.

    Frames are MFCC, as `repkit.audio.extract` gives them, or those of any encoder. To compare
    segments, take the mean over the frames, then the square root, then the cosine (Hellinger).

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
    mean_, std_ : ndarray of shape (n_features,)
        Of all frames of ``fit``; recordings of unknown speakers are scaled by them.
    directions_ : list of ndarray of shape ((2 context + 1) n_features, k)
        The linear combinations of each round after the first.
    mixtures_ : list of GaussianMixture
        One for each round.
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
        frames, _ = self._read(X, reset=True)
        total = sum(len(x) for x in frames)
        if total < 4 * k:
            raise ValueError(
                f"n_components={k} needs at least {4 * k} frames, four for each cluster; there "
                f"are {total} (n_samples={total}): lower n_components"
            )
        codes = _codes(speaker, len(frames))
        self.mean_, self.std_ = statistics(frames)
        self.directions_: list[np.ndarray] = []
        self.mixtures_: list[GaussianMixture] = []
        # The same frames in every round, in the order of the recordings.
        chosen = np.sort(rng.permutation(total)[:MOST_FRAMES])
        ends = np.cumsum([len(x) for x in frames])
        places = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
        wide = np.concatenate(
            [
                joined(x, context)[rows - end + len(x)]
                for x, rows, end in zip(self._scaled(frames, codes), places, ends, strict=True)
            ]
        )
        columns = frames[0].shape[1]
        given = wide[:, context * columns : (context + 1) * columns]
        self._cluster(given, k, FLOOR, rng)
        for _ in range(rounds):
            cluster = _log_densities(given, self.mixtures_[-1]).argmax(1)
            if cluster.min() == cluster.max():
                break  # there is nothing to tell apart
            self.directions_.append(_discriminant(wide, cluster, directions))
            given = wide @ self.directions_[-1]
            self._cluster(given, k, FLOOR_WITHIN, rng)
        return self

    def fit_transform(self, X: Any, y: Any = None, *, speaker: Any = None) -> Any:
        """Fit, and transform the same frames.

        Parameters
        ----------
        X : list of m arrays of shape (T, n_features), or array of shape (n, n_features)
            As in `fit`.
        y : None
            Not read.
        speaker : array-like of shape (m,) or (n,), optional
            As in `fit`; both use it.

        Returns
        -------
        list of m ndarray of shape (T, n_out), or ndarray of shape (n, n_out)
            As `transform` gives them.

        Raises
        ------
        TypeError, ValueError
            As `fit` does.
        """
        return self.fit(X, speaker=speaker).transform(X, speaker=speaker)

    def transform(self, X: Any, *, speaker: Any = None) -> Any:
        """Give the probabilities of the clusters.

        Parameters
        ----------
        X : list of m arrays of shape (T, n_features), or array of shape (n, n_features)
            Frames of recordings, of any speakers and any length; or single frames.
        speaker : array-like of shape (m,) or (n,), optional
            Who speaks in each recording, by whose frames in X it is scaled: names of people whom
            ``fit`` has not seen will do. Without, or where it is -1, it is scaled by all frames
            of ``fit``.

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
            return np.hstack([_probabilities(d, self.temperature) for d in rounds]) / len(rounds)

        return self._of_each(X, speaker, beside)

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
        return self._of_each(X, speaker, lambda rounds: rounds[-1].argmax(1))

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

    def _read(self, X: Any, reset: bool) -> tuple[list[np.ndarray], bool]:
        """Recordings of frames, and whether they were single frames of a table."""
        if not (isinstance(X, np.ndarray | list | tuple) and are_frames(X, "X")):
            table = validate_data(
                self, X, dtype=np.float32, reset=reset, ensure_min_samples=2 if reset else 1
            )
            return list(table[:, None]), True
        frames = [x.astype(np.float32, copy=False) for x in frame_arrays(X, "X")]
        columns = frames[0].shape[1]
        if reset:
            self.n_features_in_ = columns
            self.__dict__.pop("feature_names_in_", None)
        elif columns != self.n_features_in_:
            raise ValueError(
                f"X has {columns} features, but FramePosteriors is expecting "
                f"{self.n_features_in_} features as input"
            )
        return frames, False

    def _of_each(self, X: Any, speaker: Any, make: Callable[[list[np.ndarray]], np.ndarray]) -> Any:
        """What is made of the log densities of all rounds, recording by recording."""
        check_is_fitted(self)
        frames, tabular = self._read(X, reset=False)
        codes = _codes(speaker, len(frames))
        pieces: Iterable[np.ndarray] = self._scaled(frames, codes)
        if tabular:  # many frames at once, each of which is its own neighbor
            table = np.concatenate(list(pieces))
            pieces = np.array_split(table, 1 + len(table) // ROWS)
        found = []
        for x in pieces:
            wide = np.tile(x, 2 * self.context + 1) if tabular else joined(x, self.context)
            given = [x, *(wide @ basis for basis in self.directions_)]
            found.append(
                make([_log_densities(z, m) for z, m in zip(given, self.mixtures_, strict=True)])
            )
        return np.concatenate(found) if tabular else found

    def _scaled(self, frames: list[np.ndarray], codes: np.ndarray) -> Iterator[np.ndarray]:
        """Frames at the mean and deviation of their speakers, or of ``fit`` where none is known."""
        moments = {-1: (self.mean_, self.std_)}
        for code in np.unique(codes[codes >= 0]):
            moments[code] = statistics(frames[k] for k in np.flatnonzero(codes == code))
        for x, code in zip(frames, codes, strict=True):
            mean, std = moments[code]
            yield (x - mean) / std

    def _cluster(self, x: np.ndarray, k: int, floor: float, rng: np.random.RandomState) -> None:
        mixture = GaussianMixture(
            k,
            covariance_type="diag",
            reg_covar=floor,
            max_iter=60,
            random_state=rng.randint(2**31 - 1),
        )
        # The frames are NumPy's, and the last digits of a cluster are of no matter.
        with config_context(array_api_dispatch=False), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.mixtures_.append(mixture.fit(x))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _codes(speaker: Any, n: int) -> np.ndarray:
    """Numbers of the speakers, -1 where none is known."""
    if speaker is None:
        return np.full(n, -1)
    return read_labels(speaker, n, name="speaker").codes


def _discriminant(x: np.ndarray, cluster: np.ndarray, n: int) -> np.ndarray:
    """Directions that tell clusters apart, in which those vary by 1 within: ``(d, k)``."""
    most = min(n, x.shape[1], len(np.unique(cluster)) - 1)
    analysis = LinearDiscriminantAnalysis(
        solver="eigen", shrinkage=SHRINKAGE, n_components=most
    ).fit(x, cluster)
    found: np.ndarray = analysis.scalings_[:, :most].astype(np.float32)
    return found


def _log_densities(x: np.ndarray, mixture: GaussianMixture) -> np.ndarray:
    """Logarithms of weight and density, but for a constant of the frame: ``(T, d) -> (T, k)``."""
    precision = mixture.precisions_cholesky_**2
    constant = (
        np.log(mixture.weights_)
        + 0.5 * np.log(precision).sum(1)
        - 0.5 * (precision * mixture.means_**2).sum(1)
    )
    products = (
        np.hstack([-0.5 * np.square(x), x]).astype(np.float64)
        @ np.hstack([precision, precision * mixture.means_]).T
    )
    found: np.ndarray = products + constant
    return found


def _probabilities(log_densities: np.ndarray, temperature: float) -> np.ndarray:
    scores = log_densities / temperature
    scores = np.exp(scores - scores.max(1, keepdims=True))
    found: np.ndarray = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
    return found
