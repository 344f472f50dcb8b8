"""`AdaptationSearch`: several ways of adapting, and none; which one the target rows speak for."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from repkit import _arguments
from repkit._arguments import shown
from repkit.base.parts import Consistency
from repkit.dann.estimator import DANN
from repkit.dann.monitor import GuardWarning
from repkit.dann.parts import Divergence, Entropy, Heads, Selection
from repkit.dann.rows import check_domains
from repkit.engine.ranks import here
from repkit.engine.rng import Kind, generator_of
from repkit.metrics import EnsVScorer, ensemble_order
from repkit.metrics._domains import n_rows, take

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AdaptationSearch"]

NONE = "no adaptation"
GIVEN = "as given"
ROWS = 10_000  # target rows on which the candidates are compared, at most
MOST_CANDIDATES = 1000


class AdaptationSearch(MetaEstimatorMixin, ClassifierMixin, TransformerMixin, BaseEstimator):
    """Several ways of adapting, and none: the one that the target rows speak for is used.

    No target label is needed, and nothing has to be chosen by hand. Each candidate is a fit of the
    estimator with other parameters, one of them without adaptation. The mean of their predictions
    on target rows is a better model than most of them, and the candidate that agrees with it most
    is taken (EnsV, Hu et al. 2024) if it agrees by more than ``margin`` more than the one without
    adaptation; else that one is.

    Parameters
    ----------
    estimator : DANN, optional
        What all candidates have in common: networks, augmentation, length of the training. By
        default `DANN` as it is.
    candidates : dict of str to dict, or list of dict, optional
        Parameters of the estimator for each candidate, as ``set_params`` takes them. A candidate
        without adaptation always comes first, and need not be named. By default, the estimator as
        given; its other terms without a divergence, if it has any; and in place of its divergence
        and its terms of entropy, the conditional adversary, "coral", minimum class confusion, and
        the information term.
    margin : float, default=0.1
        How much more than the candidate without adaptation another must agree with the ensemble,
        from 0 to below 1. 0.1 was best on 23 pairs of domains with known labels; see the benchmark
        ``guarding``.

    Attributes
    ----------
    best_estimator_ : DANN
        The fitted candidate that is used. Its ``save`` writes a model file.
    best_candidate_ : str
        The name of it.
    best_params_ : dict
        What it sets in ``estimator``.
    estimators_ : dict of str to DANN
        All candidates, fitted, by name; those of a list are named by their place, from 0.
    results_ : DataFrame
        One row a candidate: agreement (with the ensemble, from 0 to 1, NaN for a fit that failed),
        differs (share of the target rows to which it gives another class than the one without
        adaptation), chosen, and seconds of its fit.
    classes_ : ndarray of shape (classes,)
        The labels.
    n_features_in_ : int
        Columns of X, or channels of images.

    See Also
    --------
    repkit.metrics.EnsVScorer : The same for candidates that you have fitted yourself.
    repkit.dann.Selection : A guard for a single fit.

    Notes
    -----
    The fits come one after another, so that it takes up to seven times as long as one. Warnings of
    candidates that are not chosen are not shown. ``checkpoint`` of the estimator has a sub-folder
    for each candidate.

    It is no guarantee. Where the shares of the classes differ between the domains, all ways of
    adapting can be wrong alike, and then they outvote the one without adaptation.

    Examples
    --------
    >>> from repkit import DANN
    >>> from repkit.dann import AdaptationSearch
    >>> from repkit.datasets import make_domains
    >>> data = make_domains(random_state=0)
    >>> short = DANN(max_epochs=10, steps_per_epoch=20, learning_rate=3e-3, random_state=0)
    >>> search = AdaptationSearch(short, {"adversary": {}, "CDAN": {"conditional": True}})
    >>> search.fit(data.X, data.y, sample_domain=data.sample_domain).best_candidate_
    'CDAN'
    """

    __metadata_request__fit: ClassVar = {"sample_domain": True, "source": True}
    __metadata_request__predict: ClassVar = {"sample_domain": True}
    __metadata_request__predict_proba: ClassVar = {"sample_domain": True}
    __metadata_request__score: ClassVar = {"sample_domain": True}
    __metadata_request__transform: ClassVar = {"sample_domain": True}

    def __init__(
        self,
        estimator: DANN | None = None,
        candidates: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]] | None = None,
        *,
        margin: float = 0.1,
    ) -> None:
        self.estimator = estimator
        self.candidates = candidates
        self.margin = margin

    # ---------------------------------------------------------------- fit

    def fit(
        self,
        X: Any,
        y: Any,
        sample_domain: Any = None,
        source: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Fit all candidates, and choose one.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            Source and target rows, as `DANN` takes them.
        y : array-like of shape (n,)
            Labels of the source rows. What stands at target rows is never read, unless the
            estimator's ``target_labels`` says so.
        sample_domain : array-like of shape (n,), optional
            The domain of each row: at least 0 for a source, below 0 for a target, or a name.
            Without target rows, a candidate is fitted without adaptation, and no other.
        source : scalar or list, optional
            The domains that are sources, all others being targets.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows in the label loss, at least 0.

        Returns
        -------
        AdaptationSearch
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, or `DANN` cannot be fitted with a candidate's.

        Warns
        -----
        GuardWarning
            If the candidate without adaptation is used.
        """
        margin = _arguments.number(self.margin, "margin", 0.0, 1.0, below=True)
        candidates = self.make_candidates()  # all are checked before the first is fitted
        if sample_domain is None:
            target = np.empty(0, dtype=int)
        else:
            target = check_domains(sample_domain, n_rows(X, "X"), source).target
        if not len(target):
            candidates = {NONE: candidates[NONE]}
        given = {"sample_domain": sample_domain, "source": source, "sample_weight": sample_weight}
        fitted: dict[str, DANN] = {}
        seconds: dict[str, float] = {}
        told: dict[str, list[warnings.WarningMessage]] = {}
        for name, model in candidates.items():
            start = time.perf_counter()
            with warnings.catch_warnings(record=True) as told[name]:
                warnings.simplefilter("always")
                fitted[name] = model.fit(X, y, **given)
            seconds[name] = time.perf_counter() - start
        best = NONE
        agreement, differs = np.ones(len(fitted)), np.zeros(len(fitted))
        if len(fitted) > 1:
            seed = fitted[NONE].seed_
            rows = np.sort(generator_of(seed, Kind.GUARD).permutation(target)[:ROWS])
            domain = np.asarray(sample_domain)[rows]
            agreement, differs = _compared(fitted, take(X, rows), domain)
            best = here().first(lambda: list(fitted)[_best(agreement, margin)])
        self._keep(fitted, best)
        self.results_ = _table(fitted, best, agreement, differs, seconds)
        for warning in told[best]:
            warnings.warn(warning.message, warning.category, stacklevel=2)
        if best == NONE and len(fitted) > 1:
            warnings.warn(
                f"no candidate agrees with the ensemble of all by more than margin={margin:g} more "
                "than the one without adaptation, which is in use; results_ has the figures, and "
                "estimators_ the others",
                GuardWarning,
                stacklevel=2,
            )
        return self

    def fit_transform(
        self,
        X: Any,
        y: Any = None,
        sample_domain: Any = None,
        source: Any = None,
        sample_weight: Any = None,
    ) -> np.ndarray:
        """Fit, then give the features of the same rows.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            Source and target rows.
        y : array-like of shape (n,)
            Labels of the source rows.
        sample_domain : array-like of shape (n,), optional
            The domain of each row: at least 0 for a source, below 0 for a target, or a name.
        source : scalar or list, optional
            The domains that are sources, all others being targets.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows in the label loss, at least 0.

        Returns
        -------
        ndarray of shape (n, features)
            Outputs of the backbone, float64 if X is, else float32.
        """
        fit = self.fit(X, y, sample_domain, source, sample_weight)
        return fit.transform(X, sample_domain)

    def _keep(self, fitted: dict[str, DANN], best: str) -> None:
        self.estimators_, self.best_candidate_ = fitted, best
        self.best_estimator_ = model = fitted[best]
        self.best_params_ = self._params()[best]
        self.classes_ = model.classes_
        self.n_features_in_ = model.n_features_in_
        self.__dict__.pop("feature_names_in_", None)  # of a fit before
        if hasattr(model, "feature_names_in_"):
            self.feature_names_in_ = model.feature_names_in_

    def make_candidates(self) -> dict[str, DANN]:
        """Make the candidates that `fit` fits.

        Returns
        -------
        dict of str to DANN
            Not fitted, that without adaptation first.

        Raises
        ------
        TypeError, ValueError
            If ``estimator`` is no `DANN`, or ``candidates`` does not hold parameters of it.
        """
        found = {}
        for name, params in self._params().items():
            with _arguments.named(f"candidates[{name!r}]", "parameters of DANN"):
                model = clone(self._base()).set_params(**params)
            if model.checkpoint is not None:
                folder = _arguments.path(model.checkpoint, "checkpoint", "a folder")
                model.set_params(checkpoint=folder / name.replace("/", "-"))
            found[name] = model
        return found

    def _base(self) -> DANN:
        base = DANN() if self.estimator is None else self.estimator
        if not isinstance(base, DANN):
            raise TypeError(f"estimator must be a DANN, or None, not {shown(base)}")
        return base

    def _params(self) -> dict[str, dict[str, Any]]:
        """What each candidate sets in the estimator, by name."""
        base, given = self._base(), self.candidates
        named: Mapping[Any, Any]
        if given is None:
            named = dict(_ways(base))
        elif isinstance(given, Mapping):
            named = given
        elif isinstance(given, str) or not hasattr(given, "__iter__"):
            raise TypeError(
                "candidates must be a dict or list of dicts of parameters, or None, not "
                f"{shown(given)}"
            )
        else:
            named = {str(k): params for k, params in enumerate(given)}
        if not 1 <= len(named) <= MOST_CANDIDATES:
            raise ValueError(
                f"candidates must hold 1 to {MOST_CANDIDATES} sets of parameters, not {len(named)}"
            )
        for name, params in named.items():
            if not isinstance(name, str) or not isinstance(params, Mapping):
                raise TypeError(
                    "candidates must map names to dicts of parameters; it has "
                    f"{shown(name)}: {shown(params)}"
                )
        named = {NONE: _unadapted(base), **{k: v for k, v in named.items() if k != NONE}}
        return {name: dict(params) for name, params in named.items()}

    # ---------------------------------------------------------------- use

    def _used(self) -> DANN:
        check_is_fitted(self)
        return self.best_estimator_

    def predict(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """The most probable label of each row; see `DANN.predict`.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        sample_domain : array-like of shape (n,), optional
            The domain of each row.

        Returns
        -------
        ndarray of shape (n,)
            Values of ``classes_``.
        """
        return self._used().predict(X, sample_domain)

    def predict_proba(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """Predict the probabilities of the classes; see `DANN.predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        sample_domain : array-like of shape (n,), optional
            The domain of each row.

        Returns
        -------
        ndarray of shape (n, classes)
            Columns as in ``classes_``.
        """
        return self._used().predict_proba(X, sample_domain)

    def transform(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """Give the adapted features; see `DANN.transform`.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        sample_domain : array-like of shape (n,), optional
            The domain of each row.

        Returns
        -------
        ndarray of shape (n, features)
            Outputs of the backbone, float64 if X is, else float32.
        """
        return np.asarray(self._used().transform(X, sample_domain))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Give the names of the columns of `transform`.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the columns of X; they are checked, and do not matter.

        Returns
        -------
        ndarray of str
            One for each feature.
        """
        return self._used().get_feature_names_out(input_features)

    def score(self, X: Any, y: Any, sample_weight: Any = None, sample_domain: Any = None) -> float:
        """Accuracy of `predict`.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        y : array-like of shape (n,)
            True labels.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.
        sample_domain : array-like of shape (n,), optional
            The domain of each row.

        Returns
        -------
        float
            From 0 to 1.
        """
        return self._used().score(X, y, sample_weight, sample_domain)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        own = self._base().__sklearn_tags__()
        tags.input_tags, tags.transformer_tags = own.input_tags, own.transformer_tags
        return tags


# -------------------------------------------------------------------- candidates


def _unadapted(base: DANN) -> dict[str, Any]:
    """What takes all adaptation out of a DANN."""
    return {**_without_d(base), "entropy": 0.0, "consistency": 0.0}


def _without_d(base: DANN) -> dict[str, Any]:
    """No divergence, and nothing that is of its network."""
    found: dict[str, Any] = {**_unguarded(base), "divergence": None, "conditional": False}
    if Heads.of(base.heads).domain is not None:
        found["heads__domain"] = None
    if isinstance(base.learning_rate, Mapping):
        found["learning_rate"] = base._rates_without_d()
    return found


def _unguarded(base: DANN) -> dict[str, Any]:
    """The search itself has the twin that a guard would train."""
    return {"select__guard": False} if Selection.of(base.select).guard else {}


def _ways(base: DANN) -> Iterator[tuple[str, dict[str, Any]]]:
    """The candidates by default, but for that without adaptation."""
    none = _without_d(base)
    kind = Divergence.of(base.divergence).kind
    certain = Entropy.of(base.entropy)
    terms = (certain.weight, certain.smoothness, certain.confusion)
    more = any(terms) or Consistency.of(base.consistency).weight > 0
    if kind is not None or more:
        yield GIVEN, _unguarded(base)
    if kind is not None and more:
        yield "no divergence", none
    conditional = {**_unguarded(base), "divergence": "adversarial", "conditional": True}
    if kind not in (None, "adversarial"):  # D of another kind has other outputs
        conditional["heads__domain"] = None
    yield "conditional", {**conditional, "entropy": 0.0}
    # Covariances of features are close: weights from 1 to 100 are usual.
    yield "coral", {**none, "divergence": "coral", "lam": 100.0, "entropy": 0.0}
    yield "confusion", {**none, "entropy": Entropy(confusion=1.0)}
    yield "information", {**none, "entropy": Entropy(1.0, prior=certain.prior)}


# -------------------------------------------------------------------- choice


def _compared(
    fitted: Mapping[str, DANN], X: Any, domain: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Agreement of each candidate with the ensemble, and how far it differs from the first."""
    models = list(fitted.values())
    sound = [k for k, m in enumerate(models) if "failed_step" not in m.history_]
    agreement = np.full(len(models), np.nan)
    if sound:
        found = EnsVScorer().scores([models[k] for k in sound], X, sample_domain=domain)
        agreement[sound] = found
    labels = [m.predict(X, domain) for m in models]
    return agreement, np.array([np.mean(y != labels[0]) for y in labels])


def _best(agreement: np.ndarray, margin: float) -> int:
    """The place of the candidate to take; the first is that without adaptation."""
    known = np.nan_to_num(agreement, nan=-1.0)  # of fits that failed: less than any other
    return int(ensemble_order(known, baseline=0, margin=margin)[0])


def _table(
    fitted: Mapping[str, DANN],
    best: str,
    agreement: np.ndarray,
    differs: np.ndarray,
    seconds: Mapping[str, float],
) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "agreement": agreement,
            "differs": differs,
            "chosen": [name == best for name in fitted],
            "seconds": [seconds[name] for name in fitted],
        },
        index=pd.Index(list(fitted), name="candidate"),
    )
