"""Internal. Frames of recordings as one table, for transformers that take single frames, too."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import validate_data

from repkit.metrics.speaker._frames import are_frames, frame_arrays

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

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
    table = validate_data(
        estimator,
        X if frames is None else np.concatenate(frames),
        dtype=np.float32,
        reset=reset,
        ensure_min_samples=2 if reset else 1,
    )
    return table, [1] * len(table) if frames is None else [len(x) for x in frames]


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
