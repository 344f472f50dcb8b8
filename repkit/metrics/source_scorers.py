"""Scorers that also read the labels of the source rows: weighted risks and the way back.

They share the convention and the signature of :mod:`repkit.metrics.scorers`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit import _arguments
from repkit._random import check_seed
from repkit.metrics import selection
from repkit.metrics._arrays import as_numpy, probability_matrix
from repkit.metrics._domains import (
    Domains,
    call,
    check_method,
    fit_arguments,
    halves,
    mirrored,
    model_of,
    stack,
    take,
)
from repkit.metrics._feature_scorer import FeatureScorer
from repkit.metrics.scorers import DomainScorer, ScorerError

__all__ = [
    "DEVScorer",
    "IWVScorer",
    "ReverseValidationScorer",
    "ScorerError",
]


class _WeightedScorer(FeatureScorer):
    """Minus a weighted risk: some source rows train the domain classifier, the rest are weighed."""

    _needs_labels = True
    _methods = ()

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

    def _check_parameters(self) -> None:
        super()._check_parameters()
        _arguments.choice(self.loss, "loss", ("zero_one", "log"))
        _arguments.number(self.C, "C", above=True)
        _check_split(self.val_size, self.random_state)

    def _checked(self, estimator: Any, X: Any, y: Any, sample_domain: Any) -> Domains:
        if isinstance(self.loss, str) and self.loss in ("zero_one", "log"):
            check_method(self, estimator, "predict" if self.loss == "zero_one" else "predict_proba")
        return super()._checked(estimator, X, y, sample_domain)

    def _score(self, estimator: Any, rows: Domains) -> float:
        assert rows.y_source is not None  # _needs_labels
        train, val = halves(len(rows.y_source), self.val_size, self.random_state)
        F = self._embed(estimator, rows.X_source, rows.domain_source)
        loss = self._losses(
            estimator, take(rows.X_source, val), rows.y_source[val], rows.domain_source[val]
        )
        target = self._embed(estimator, rows.X_target, rows.domain_target)
        return -self._risk(F[train], F[val], target, loss)

    def _risk(self, train: Any, val: Any, target: Any, loss: np.ndarray) -> float:
        raise NotImplementedError

    def _losses(self, estimator: Any, X: Any, y: np.ndarray, domain: np.ndarray) -> np.ndarray:
        if self.loss == "zero_one":
            return (as_numpy(call(estimator, "predict", X, domain)) != y).astype(float)
        proba = probability_matrix(call(estimator, "predict_proba", X, domain))
        member = y[:, None] == np.asarray(model_of(estimator).classes_)[None, :]
        if not member.any(axis=1).all():
            raise ValueError(
                "y must hold no source label that is missing from estimator.classes_: fit on "
                "all classes, or use loss='zero_one'"
            )
        return -np.log(np.maximum(proba[member], np.finfo(np.float32).eps))


class IWVScorer(_WeightedScorer):
    """Minus the importance-weighted risk of held-out source rows (Sugiyama et al. 2007).

    Needs ``predict`` and source labels, and ``predict_proba`` and ``classes_`` for the log loss.
    See :func:`~repkit.metrics.importance_weighted_validation`.

    *When it misleads*: the weights are a ratio of input densities. So the target must lie within
    the source's support, and labels must depend on inputs in the same way in both domains. On
    images neither holds: a few rows take all the weight, or the classifier separates the domains
    perfectly and all weights vanish. A score of 0 then means "no source row looks like the
    target", not "no error".

    Parameters
    ----------
    features : {"input", "transform"} or callable, default="input"
        Space of the weights, in numbers. "input": `X` as the estimator sees it, or the last step
        of a Pipeline. "transform": ``estimator.transform(X)``. A callable maps (estimator, X) to
        features; it is given `sample_domain`, too, if it has an argument of that name.
    loss : {"zero_one", "log"}, default="zero_one"
        Loss of a source row. The log loss also ranks models that make no errors on the source.
    C : float, default=1.0
        Inverse strength of the domain classifier's penalty.
    val_size : float, default=0.5
        Fraction of the source rows to weigh. The others train the domain classifier.
    random_state : int, RandomState, Generator or None, default=0
        Draws the split of the source rows.

    Raises
    ------
    ScorerError
        When a score is asked for, if the features are not numbers: a text column, say.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from repkit.datasets import make_domains
    >>> data = make_domains(random_state=0)
    >>> model = LogisticRegression().fit(data.X, data.y)
    >>> score = IWVScorer()(model, data.X, data.y, sample_domain=data.sample_domain)
    >>> -1 < score < 0
    True
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

    Needs ``predict``, ``transform`` and source labels, and ``predict_proba`` and ``classes_`` for
    the log loss. See :func:`~repkit.metrics.deep_embedded_validation`.

    *When it misleads*: weights in the adapted space are mild exactly when the model has merged the
    domains, even if it merged the wrong classes. The risk is then that of the source. Few distinct
    weights make the control variate's coefficient noisy, which can push the score above 0. Models
    with different feature spaces get different domain classifiers, so that scores of two layer
    widths, say, compare less well than those of two training runs.

    Parameters
    ----------
    features : {"transform", "input"} or callable, default="transform"
        Space of the weights, in numbers. "transform": ``estimator.transform(X)``. "input": `X` as
        the estimator sees it, or the last step of a Pipeline. A callable maps (estimator, X) to
        features; it is given `sample_domain`, too, if it has an argument of that name.
    loss : {"zero_one", "log"}, default="zero_one"
        Loss of a source row. The log loss also ranks models that make no errors on the source.
    C : float, default=1.0
        Inverse strength of the domain classifier's penalty.
    val_size : float, default=0.5
        Fraction of the source rows to weigh. The others train the domain classifier.
    random_state : int, RandomState, Generator or None, default=0
        Draws the split of the source rows.

    Raises
    ------
    ScorerError
        When a score is asked for, if the features are not numbers: a text column, say.
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

    Needs ``predict`` and an estimator that ``sklearn.base.clone`` can copy. If its ``fit`` takes no
    `sample_domain`, it cannot use unlabeled rows, and its reverse classifier learns from the
    pseudo-labeled target alone. The paper starts :math:`\eta_r` from the weights of :math:`\eta`.
    Here it starts afresh, as `clone` does. In a cross-validation the fold that is scored also
    trains the reverse classifier: use few, large folds, or call the scorer with all training rows.

    *When it misleads*: it asks for a consistent way there and back, not for the right classes. A
    feature that separates the classes in the source but not in the target still gives pseudo-labels
    that a reverse classifier learns from that same feature, and it leads back to the right source
    labels. The scorer costs one more fit for each candidate.

    Parameters
    ----------
    val_size : float, default=0.5
        Fraction of the source rows that are held out for the score.
    random_state : int, RandomState, Generator or None, default=0
        Draws the split of the source rows.
    """

    _needs_labels = True
    _methods = ("predict",)

    def __init__(self, val_size: float = 0.5, random_state: Any = 0) -> None:
        self.val_size = val_size
        self.random_state = random_state

    def _check_parameters(self) -> None:
        _check_split(self.val_size, self.random_state)

    def _score(self, estimator: Any, rows: Domains) -> float:
        assert rows.y_source is not None  # _needs_labels
        domain = rows.domain_source
        seen, held_out = halves(len(domain), self.val_size, self.random_state, domain)
        pseudo = as_numpy(call(estimator, "predict", rows.X_target, rows.domain_target))
        y_val = rows.y_source[held_out]
        if len(np.unique(pseudo)) == 1:
            # nothing to learn from one class: the reverse classifier is that constant
            return float(np.mean(y_val == pseudo[0]))
        reverse = _afresh(model_of(estimator))
        # source and target change their roles
        new_target, new_source = mirrored(domain, rows.domain_target)
        arguments = fit_arguments(reverse, np.concatenate([new_source, new_target[seen]]))
        if not arguments:
            reverse.fit(rows.X_target, pseudo)
        else:
            X = stack(rows.X_target, take(rows.X_source, seen))
            # the new target's labels are not to be read; any class that occurs will do
            y = np.concatenate([pseudo, np.repeat(pseudo[:1], len(seen))])
            reverse.fit(X, y, **arguments)
        held_rows = take(rows.X_source, held_out)
        predicted = as_numpy(call(reverse, "predict", held_rows, new_target[held_out]))
        return float(np.mean(predicted == y_val))


def _afresh(estimator: Any) -> Any:
    """Clone an estimator for a fit of its own within a score.

    The clone asks no scorer (it might be this one, without end), reads no label of a target, leaves
    no checkpoint, and does not speak to the callbacks of a fit that a scorer watches.
    """
    from sklearn.base import clone

    copy = clone(estimator)
    parameters = copy.get_params(deep=True)
    changed: dict[str, Any] = {}
    for name, value in parameters.items():
        prefix, _, last = name.rpartition("__")
        before = f"{prefix}__" if prefix else ""
        # A part `select` holds the scorer as its score.
        asked = value if callable(value) else parameters.get(f"{name}__score")
        if isinstance(value, DomainScorer) or (last == "select" and callable(asked)):
            changed[name] = None
            if f"{before}callbacks" in parameters:
                changed[f"{before}callbacks"] = None
        elif last == "checkpoint" and value is not None:
            changed[name] = None
        elif last == "target_labels" and value:
            changed[name] = False
    return copy.set_params(**changed)


def _check_split(val_size: Any, random_state: Any) -> None:
    _arguments.number(val_size, "val_size", 0.0, 1.0, above=True, below=True)
    check_seed(random_state)
