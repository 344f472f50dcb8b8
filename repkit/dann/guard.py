"""Internal. The part of `DANN` that trains a twin without adaptation, and uses it where safer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit._random import SEEDS
from repkit.base import saving
from repkit.engine.batches import rows_of
from repkit.engine.ranks import here
from repkit.engine.rng import Kind, generator_of, seed_of

if TYPE_CHECKING:
    from repkit.dann.base import DomainAdaptation as Base
    from repkit.dann.base import Rows
else:
    Base = object  # a mixin: it stands beside the estimator's classes, not on them

ROWS = 1000  # target rows that are looked at, at most
NEIGHBORS = 5
COLUMNS = 128  # of the rows that are compared
SIDE = 16  # pixels of an image that is compared
SAME = 0.02  # differing in no more rows than that, adapted weights can do little harm
GAIN = 0.3  # chosen on 23 pairs of domains: see benchmarks/guarding.py
CPU = torch.device("cpu")


class Guarded(Base):
    """The part of an estimator of classes that keeps an adaptation that hurts out of use."""

    guarded_: bool

    def _afterwards(
        self, data: Rows, start: Mapping[str, nn.Module], failure: str | None, *, shown_on: Any
    ) -> str | None:
        if not (self.select.guard and self._is_adapting()):
            return failure
        twin = self._twin()
        if twin._train(data, 1, start, shown_on=shown_on) is not None:
            return failure  # there is nothing safer
        adapted = self.used_weights_
        self.weights_["source"] = {
            **saving.states_of(self.networks_),
            **{name: self._for_targets(state) for name, state in twin.weights_["last"].items()},
        }
        rng = generator_of(self.seed_, Kind.GUARD)
        rows = np.sort(rng.permutation(data.domains.target)[:ROWS])
        X, domain = rows_of(data.X, rows), self.domains_[data.domains.rows[rows]]
        with_it, without = (
            self.use(which).predict_proba(X, domain).argmax(1) for which in (adapted, "source")
        )
        seed = seed_of(self.seed_, Kind.GUARD, 1) % SEEDS
        x = as_seen(self._scaler(CPU)(torch.from_numpy(self._converted(X))), seed)
        self.guarded_ = here().first(
            lambda: failure is not None or not speaks_for(x, with_it, without, seed)
        )
        self.use("source" if self.guarded_ else adapted)
        return failure and f"{failure}; the weights of the twin are in use (select__guard)"

    def _twin(self) -> Any:
        """A copy that learns from the labeled rows alone, in as many steps."""
        twin: Any = copy.copy(self)
        twin._source_only = True
        twin.steps_per_epoch = int(self.history_["step"].iloc[0])
        twin.callbacks, twin.random_state = (), self.seed_
        twin.learning_rate = self._rates_without_d()
        return twin

    def _for_targets(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a twin, with the mean statistics of its sources for every target."""
        n = self.n_source_domains_
        if self.domain_norm == "shared":
            return {**state}
        found = {}
        for name, value in state.items():
            if name.rpartition(".")[2] in ("running_mean", "running_var") and value.ndim == 2:
                value = value.clone()
                value[n:] = value[:n].mean(0)
            found[name] = value
        return found


# -------------------------------------------------------------------- evidence


def speaks_for(x: np.ndarray, adapted: np.ndarray, source: np.ndarray, seed: int) -> bool:
    """Whether target rows as they came speak for the adapted predictions.

    The adapted predictions must gain in both measures of `gains`, or differ in next to no row.
    """
    differing = float(np.mean(adapted != source))
    return differing <= SAME or bool(min(gains(x, adapted, source, seed)) > GAIN * differing)


def gains(x: np.ndarray, adapted: np.ndarray, source: np.ndarray, seed: int) -> tuple[float, float]:
    """What the adapted predictions gain in two measures that only the rows of X have shaped.

    Parameters
    ----------
    x : ndarray of shape (n, columns)
        Target rows, see `as_seen`.
    adapted, source : ndarray of int of shape (n,)
        Places of the predicted classes, with adaptation and without.
    seed : int
        Draws the starts of k-means.

    Returns
    -------
    neighbors : float
        Gain in the share of pairs of a row and a near one that are of one predicted class.
    clusters : float
        Gain in the adjusted mutual information of predicted classes and clusters.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=min(NEIGHBORS, len(x) - 1)).fit(x)
    others = near.kneighbors(return_distance=False)
    n_classes = min(len(np.union1d(adapted, source)), len(x))
    found = KMeans(n_classes, n_init=3, random_state=seed).fit_predict(x)
    both = [
        (np.mean(y[others] == y[:, None]), adjusted_mutual_info_score(found, y))
        for y in (adapted, source)
    ]
    return both[0][0] - both[1][0], both[0][1] - both[1][1]


def as_seen(x: Tensor, seed: int) -> np.ndarray:
    """Target rows as vectors of at most `COLUMNS` numbers, in which near rows are alike.

    Columns of a table get one scale, images are averaged down; the main components are kept.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    if x.ndim > 2:
        x = x.reshape(len(x), -1, *x.shape[-2:])
        x = F.adaptive_avg_pool2d(x, (min(x.shape[-2], SIDE), min(x.shape[-1], SIDE)))
        rows = x.flatten(1).numpy()
    else:
        rows = StandardScaler().fit_transform(x.numpy().astype(np.float64))
    if rows.shape[1] <= COLUMNS:
        return rows
    return PCA(min(COLUMNS, len(rows)), random_state=seed).fit_transform(rows)
