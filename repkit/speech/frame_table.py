"""Internal. Frames of recordings as one table, for transformers that take single frames, too."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import validate_data

from repkit._arguments import named
from repkit.metrics.speaker._frames import are_frames, frame_arrays
from repkit.speech.speakers import read_speakers

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

WANTED = (
    "a table of frames, or the frames (T, d) of each recording, as repkit.audio.extract gives them "
    "of sound"
)
BLOCK = 2**14  # frames that are in memory at once beside what is given and made
MOST_FRAMES = 2**17  # from which clusters, and directions that tell them, are learned


def of_recordings(X: Any) -> bool:
    """Whether frames are given recording by recording, and not single ones in a table."""
    return isinstance(X, np.ndarray | list | tuple) and are_frames(X, "X")


def read_table(estimator: BaseEstimator, X: Any, *, reset: bool) -> tuple[np.ndarray, list[int]]:
    """All frames one after the other, float32 ``(n, d)``, and the length of each recording.

    A single frame is a recording of its own.

    Raises
    ------
    ValueError
        If X is not finite, or of another width than that of the fit.
    """
    frames = frame_arrays(X, "X") if of_recordings(X) else None
    with named("X", WANTED):
        table = validate_data(
            estimator,
            X if frames is None else np.concatenate(frames),
            dtype=np.float32,
            reset=reset,
            ensure_min_samples=2 if reset else 1,
        )
    return table, [1] * len(table) if frames is None else [len(x) for x in frames]


def read_by_speaker(
    estimator: BaseEstimator, X: Any, speaker: Any, *, reset: bool
) -> tuple[np.ndarray, np.ndarray | None, list[int]]:
    """`read_table`, with the number of each frame's speaker between, if speakers are told."""
    table, lengths = read_table(estimator, X, reset=reset)
    if speaker is None:
        return table, None, lengths
    codes = read_speakers(speaker, len(lengths), name="speaker").codes
    return table, np.repeat(codes, lengths), lengths


def in_blocks(X: Any, lengths: list[int], make: Callable[[np.ndarray], np.ndarray]) -> Any:
    """What is made of the numbers of some frames after others, in the form of X: by recording."""
    n = sum(lengths)
    found = [make(np.arange(k, min(k + BLOCK, n))) for k in range(0, n, BLOCK)]
    whole = np.concatenate(found)
    return np.split(whole, np.cumsum(lengths)[:-1]) if of_recordings(X) else whole


def enough_frames(table: np.ndarray, n_components: int) -> None:
    """Check that there are four frames for each cluster."""
    if len(table) < 4 * n_components:
        raise ValueError(
            f"n_components={n_components} needs at least {4 * n_components} frames, four for each "
            f"cluster; there are {len(table)} (n_samples={len(table)}): lower n_components"
        )


def mixture(x: np.ndarray, k: int, floor: float, rng: np.random.RandomState) -> GaussianMixture:
    """Clusters of frames ``(n, d)``, each with its own variances, of which none is below a floor.

    The last digits of a cluster are of no matter: it warns of nothing.
    """
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(
            k,
            covariance_type="diag",
            reg_covar=floor,
            max_iter=60,
            random_state=rng.randint(2**31 - 1),
        ).fit(x)
