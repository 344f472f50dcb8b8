"""Scorers that also read the labels of the source rows: weighted risks and the way back.

They share the convention and the signature of :mod:`repkit.metrics.scorers`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit._random import legacy_generator
from repkit.metrics import selection
from repkit.metrics._arrays import as_numpy, probability_matrix
from repkit.metrics.scorers import Domains, DomainScorer, call, take


class _WeightedScorer(DomainScorer):
    """Minus a weighted risk: some source rows train the domain classifier, the rest are weighed."""

    _needs_labels = True

    def __init__(
        self,
        features: Any = "transform",
        loss: str = "zero_one",
        C: float = 1.0,
        val_size: float = 0.5,
        random_state: Any = 0,
    ) -> None:
        self.features = features
        self.loss = loss
        self.C = C
        self.val_size = val_size
        self.random_state = random_state

    def _score(self, estimator: Any, rows: Domains) -> float:
        assert rows.y_source is not None  # _needs_labels
        train, val = halves(len(rows.y_source), self.val_size, self.random_state)
        F = as_numpy(self._embed(estimator, rows.X_source))
        loss = self._losses(estimator, take(rows.X_source, val), rows.y_source[val])
        target = as_numpy(self._embed(estimator, rows.X_target))
        return -self._risk(F[train], F[val], target, loss)

    def _risk(self, train: Any, val: Any, target: Any, loss: np.ndarray) -> float:
        raise NotImplementedError

    def _embed(self, estimator: Any, X: Any) -> Any:
        if callable(self.features):
            return self.features(estimator, X)
        if self.features == "input":
            return X
        if self.features == "transform":
            return call(self, estimator, "transform", X)
        raise ValueError(
            "features must be 'transform', 'input' or a function (estimator, X) -> "
            f"features, not {self.features!r}"
        )

    def _losses(self, estimator: Any, X: Any, y: np.ndarray) -> np.ndarray:
        if self.loss == "zero_one":
            return (as_numpy(call(self, estimator, "predict", X)) != y).astype(float)
        if self.loss == "log":
            proba = probability_matrix(call(self, estimator, "predict_proba", X))
            member = y[:, None] == np.asarray(estimator.classes_)[None, :]
            if not member.any(axis=1).all():
                raise ValueError(
                    "y must hold no source label that is missing from estimator.classes_: fit on "
                    "all classes, or use loss='zero_one'"
                )
            return -np.log(np.maximum(proba[member], np.finfo(np.float32).eps))
        raise ValueError(f"loss must be 'zero_one' or 'log', not {self.loss!r}")


class IWVScorer(_WeightedScorer):
    """Minus the importance-weighted risk of held-out source rows (Sugiyama et al. 2007).

    Needs ``predict`` and source labels (``predict_proba`` and ``classes_`` for the log loss). See
    :func:`~repkit.metrics.importance_weighted_validation`.

    *When it misleads*: the weights are a ratio of input densities, so the target must lie within
    the source's support and labels must depend on the inputs alike in both domains. On images
    neither holds: a few rows take all the weight, or the classifier tells the domains apart
    perfectly and all weights vanish. A score of 0 then means "no source row looks like the
    target", not "no error".

    Parameters
    ----------
    features : {"input", "transform"} or callable, default="input"
        Space of the weights: `X` itself, ``estimator.transform(X)``, or a function
        ``(estimator, X) -> features``.
    loss : {"zero_one", "log"}, default="zero_one"
        Loss of a source row. The log loss tells models apart that make no errors on the source.
    C : float, default=1.0
        Inverse strength of the domain classifier's penalty.
    val_size : float, default=0.5
        Fraction of the source rows that are weighed; the others train the domain classifier.
    random_state : int, RandomState or None, default=0
        Draws that split.
    """

    def __init__(
        self,
        features: Any = "input",
        loss: str = "zero_one",
        C: float = 1.0,
        val_size: float = 0.5,
        random_state: Any = 0,
    ) -> None:
        super().__init__(features, loss, C, val_size, random_state)

    def _risk(self, train: Any, val: Any, target: Any, loss: np.ndarray) -> float:
        weights = selection.importance_weights(train, target, val, C=self.C)
        return selection.importance_weighted_validation(loss, weights)


class DEVScorer(_WeightedScorer):
    """Minus the deep embedded validation risk (You et al. 2019).

    Needs ``predict``, ``transform`` and source labels (``predict_proba`` and ``classes_`` for the
    log loss). See :func:`~repkit.metrics.deep_embedded_validation`.

    *When it misleads*: weights in the adapted space are mild exactly when the model has merged the
    domains, even if it merged the wrong classes; the risk is then the source's. Few distinct
    weights make the control variate's coefficient noisy, which can push the score above 0. Models
    of different feature spaces get different domain classifiers, so that the scores of, say, two
    layer widths compare less well than those of two training runs.

    Parameters
    ----------
    features : {"transform", "input"} or callable, default="transform"
        Space of the weights: ``estimator.transform(X)``, `X` itself, or a function
        ``(estimator, X) -> features``.
    loss, C, val_size, random_state
        As in :class:`IWVScorer`.
    """

    def _risk(self, train: Any, val: Any, target: Any, loss: np.ndarray) -> float:
        return selection.deep_embedded_validation(train, val, target, loss, C=self.C)


class ReverseValidationScorer(DomainScorer):
    r"""Accuracy of the reverse classifier on held-out source rows (Zhong et al. 2010).

    The variant of Ganin et al. 2016, section 5.1.2. The fitted classifier :math:`\eta` labels the
    target rows; the same algorithm, cloned and fitted anew, learns a reverse classifier
    :math:`\eta_r` with :math:`\{(x, \eta(x))\}` as its source and unlabeled source rows as its
    target; the score is the accuracy of :math:`\eta_r` on the other source rows,
    :math:`1 - R_{S_V}(\eta_r)`.

    Needs ``predict`` and an estimator that ``sklearn.base.clone`` can copy. One whose ``fit``
    takes no `sample_domain` cannot use unlabeled rows: its reverse classifier learns from the
    pseudo-labeled target alone. The paper starts :math:`\eta_r` from the weights of :math:`\eta`;
    here it starts afresh, as `clone` does. Within a cross-validation the fold that is scored also
    trains the reverse classifier, so use few, large folds or call the scorer with all training
    rows.

    *When it misleads*: it asks for a consistent way there and back, not for the right classes. A
    feature that tells the classes apart in the source but not in the target still gives
    pseudo-labels that a reverse classifier learns from that same feature, and it leads back to
    the right source labels. It costs one more fit for each candidate.

    Parameters
    ----------
    val_size : float, default=0.5
        Fraction of the source rows that are held out for the score.
    random_state : int, RandomState or None, default=0
        Draws that split.
    """

    _needs_labels = True

    def __init__(self, val_size: float = 0.5, random_state: Any = 0) -> None:
        self.val_size = val_size
        self.random_state = random_state

    def _score(self, estimator: Any, rows: Domains) -> float:
        from sklearn.base import clone

        assert rows.y_source is not None  # _needs_labels
        seen, held_out = halves(len(rows.y_source), self.val_size, self.random_state)
        pseudo = as_numpy(call(self, estimator, "predict", rows.X_target))
        y_val = rows.y_source[held_out]
        if len(np.unique(pseudo)) == 1:
            # nothing to learn from one class: the reverse classifier is that constant
            return float(np.mean(y_val == pseudo[0]))
        reverse = clone(estimator)
        if not _takes_domain(estimator):
            reverse.fit(rows.X_target, pseudo)
        else:
            X = _stack(rows.X_target, take(rows.X_source, seen))
            # the new target's labels are not to be read; any class that occurs will do
            y = np.concatenate([pseudo, np.repeat(pseudo[:1], len(seen))])
            # -1 - d exchanges source (>= 0) and target (< 0) and keeps every domain apart
            domain = -1 - np.concatenate([rows.domain_target, rows.domain_source[seen]])
            reverse.fit(X, y, sample_domain=domain)
        predicted = as_numpy(reverse.predict(take(rows.X_source, held_out)))
        return float(np.mean(predicted == y_val))


def halves(n_samples: int, val_size: float, random_state: Any) -> tuple[np.ndarray, np.ndarray]:
    """Split row numbers at random into two parts, the second of `val_size`, each of 2 or more."""
    if not 0 < val_size < 1:
        raise ValueError(f"val_size must lie between 0 and 1, such as 0.5, not {val_size!r}")
    order = legacy_generator(random_state).permutation(n_samples)
    n_val = min(max(2, round(val_size * n_samples)), n_samples - 2)
    return order[n_val:], order[:n_val]


def _takes_domain(estimator: Any) -> bool:
    """Tell whether `fit` takes `sample_domain`, itself or by routing (a Pipeline)."""
    from sklearn.utils.metadata_routing import get_routing_for_object
    from sklearn.utils.validation import has_fit_parameter

    if has_fit_parameter(estimator, "sample_domain"):
        return True
    routing = get_routing_for_object(estimator)
    return "sample_domain" in routing.consumes("fit", ["sample_domain"])


def _stack(A: Any, B: Any) -> Any:
    """Put the rows of B under those of A, in the container they came in."""
    if hasattr(A, "iloc"):
        import pandas as pd

        return pd.concat([A, B])
    if hasattr(A, "detach"):
        import torch

        return torch.cat([A, B])
    return np.concatenate([A, B]) if hasattr(A, "shape") else [*A, *B]
