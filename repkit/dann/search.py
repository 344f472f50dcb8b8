"""`AdaptationSearch`: several ways of adapting, and none; which one the target rows speak for."""

from __future__ import annotations

import math
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from repkit import _arguments
from repkit._arguments import shown
from repkit._caller import outside
from repkit.base.parameters import Constant
from repkit.base.surroundings import in_settled
from repkit.dann.by_domain import ByDomain, Classifying
from repkit.dann.estimator import DANN
from repkit.dann.monitor import GuardWarning
from repkit.dann.parts import Entropy
from repkit.dann.rows import Domains, check_domains
from repkit.engine.batches import rows_of
from repkit.engine.ranks import joined
from repkit.engine.rng import Kind, generator_of
from repkit.metrics import ensemble_agreement, ensemble_order

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AdaptationSearch"]

NONE = "no adaptation"
GIVEN = "as given"
ROWS = 10_000  # target rows on which the candidates are compared, at most
BYTES = 2**27  # of them
MOST_CANDIDATES = 1000


class AdaptationSearch(MetaEstimatorMixin, Classifying, ByDomain, BaseEstimator):
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
        without adaptation always comes first; as "no adaptation" it can be given parameters, too.
        By default, the estimator as given; its other terms without a divergence, if it has any; and
        in place of its divergence and its terms of entropy, the conditional adversary, "coral",
        minimum class confusion, and the information term. Those that would be equal are one, and
        those that the data or other parameters do not allow are left out.
    margin : float, default=0.1
        How much more than the candidate without adaptation another must agree with the ensemble,
        from 0 to below 1. On 23 pairs of domains with known labels, 0.05 gained as much and did
        harm more often, and 0.2 gained less and did harm less often; see the benchmark
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
        All candidates that could be fitted, by name; those of a list are named by their place,
        from 0.
    results_ : DataFrame
        One row a candidate: agreement (with the ensemble, from 0 to 1), differs (share of the
        target rows to which it gives another class than the one without adaptation), chosen,
        seconds of its fit, and failed, what went wrong with that, if anything. A fit that failed
        has no agreement, and is not chosen.
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
    The fits come one after another, so that it takes up to seven times as long as one.
    ``checkpoint`` of the estimator has a sub-folder for each candidate, and callbacks are copied
    for each. Its ``warm_start`` and guard have no effect. Warnings about how a fit went are those
    of the candidate that is taken.

    Without adaptation means no term on target rows. Batch norm of a network that has it still sees
    them.

    It is no guarantee. Where the shares of the classes differ between the domains, all ways of
    adapting can be wrong alike, and then they outvote the one without adaptation.

    Examples
    --------
    >>> from repkit import DANN, AdaptationSearch
    >>> from repkit.datasets import make_domains
    >>> data = make_domains(random_state=0)
    >>> short = DANN(max_epochs=10, steps_per_epoch=20, learning_rate=3e-3, random_state=0)
    >>> search = AdaptationSearch(short, {"adversary": {}, "CDAN": {"conditional": True}})
    >>> search.fit(data.X, data.y, sample_domain=data.sample_domain).best_candidate_
    'CDAN'
    """

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
        return self._search(X, y, sample_domain, source, sample_weight)

    @in_settled
    def _search(self, X: Any, y: Any, sample_domain: Any, source: Any, sample_weight: Any) -> Self:
        margin = _arguments.number(self.margin, "margin", 0.0, 1.0, below=True)
        candidates = self.make_candidates()  # all are checked before the first is fitted
        alone = sample_domain is None  # a fit without a target, which says itself what there is
        fitted: dict[str, DANN] = {}
        rows: dict[str, dict[str, Any]] = {}
        for name, model in candidates.items():
            if fitted and len(fitted[NONE].domains_) == fitted[NONE].n_source_domains_:
                break  # there is no target
            start, failed = time.perf_counter(), ""
            fits = 1 if alone else 0 if fitted else len(candidates)
            try:
                model._fit(X, y, sample_domain, source, sample_weight, fits=fits)
            except (TypeError, ValueError) as error:
                if self.candidates is not None or name in (NONE, GIVEN):
                    raise
                failed = str(error)
            else:
                fitted[name] = model
                if "failed_step" in model.history_:
                    failed = "its training stopped, see history_"
            rows[name] = {"seconds": time.perf_counter() - start, "failed": failed}
        sound = [name for name in fitted if not rows[name]["failed"]]
        best = NONE
        with joined(fitted[NONE].device_) as ranks:
            if len(fitted) > 1:
                domains = check_domains(sample_domain, len(np.asarray(sample_domain)), source)
                labels, agreement = _compared(fitted, sound, X, domains)
                for name in sound:
                    rows[name]["agreement"] = agreement[name]
                    rows[name]["differs"] = float(np.mean(labels[name] != labels[NONE]))
                best = ranks.first(lambda: _best(agreement, margin))
        self._keep(fitted, best)
        self.results_ = _table(rows, best)
        if not (ranks.rank or alone):  # rank 0 says what there is to say
            self.best_estimator_._judge()
            self._tell(bool(sound), margin)
        return self

    def _tell(self, sound: bool, margin: float) -> None:
        """Warn where what is in use has not adapted."""
        if not sound:
            warnings.warn(
                "the trainings of all candidates stopped, see results_ and their history_; the "
                "last good weights of the one without adaptation are in use",
                ConvergenceWarning,
                stacklevel=outside(),
            )
        elif self.best_candidate_ == NONE and len(self.estimators_) > 1:
            warnings.warn(
                f"no candidate agrees with the ensemble of all by more than margin={margin:g} more "
                "than the one without adaptation, which is in use; results_ has the figures, and "
                "estimators_ the others",
                GuardWarning,
                stacklevel=outside(),
            )

    def _keep(self, fitted: dict[str, DANN], best: str) -> None:
        self.estimators_, self.best_candidate_ = fitted, best
        self.best_params_, self.best_estimator_ = self._params()[best], fitted[best]
        model = self.best_estimator_
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
        found: dict[str, DANN] = {}
        seen: list[dict[str, str]] = []
        for k, (name, own) in enumerate(self._params().items()):
            model = clone(self._base())
            if self.candidates is None:
                model.set_params(**own)
                if (key := _key(model)) in seen:
                    continue
                seen.append(key)
            else:
                with _arguments.named(f"candidates[{name!r}]", "parameters of DANN"):
                    model.set_params(**own)._resolved()
            if model.checkpoint is not None:
                folder = _arguments.path(model.checkpoint, "checkpoint", "a folder")
                model.set_params(checkpoint=folder / f"{k}-{re.sub('[^A-Za-z0-9]+', '-', name)}")
            found[name] = model
        return found

    def _base(self) -> DANN:
        base = DANN() if self.estimator is None else self.estimator
        if not isinstance(base, DANN):
            raise TypeError(f"estimator must be a DANN, or None, not {shown(base)}")
        return base

    def _params(self) -> dict[str, dict[str, Any]]:
        """What each candidate sets in the estimator, by name."""
        base, given = self._base()._resolved(), self.candidates
        named: Mapping[Any, Any]
        if given is None:
            named = dict(_ways(base))
        elif isinstance(given, Mapping):
            named = given
        elif isinstance(given, str) or not hasattr(given, "__len__"):  # an iterator is used up
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
        found = {NONE: {**_unadapted(base), **named.get(NONE, {})}}
        rest = {name: {**_common(base), **own} for name, own in named.items() if name != NONE}
        return found | rest

    # ---------------------------------------------------------------- use

    def _used(self) -> DANN:
        check_is_fitted(self)
        return self.best_estimator_

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
        return self._used().transform(X, sample_domain)

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

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        like = self.estimator if isinstance(self.estimator, DANN) else DANN()
        own = like.__sklearn_tags__()
        tags.input_tags, tags.transformer_tags = own.input_tags, own.transformer_tags
        return tags


# -------------------------------------------------------------------- candidates


def _common(base: DANN) -> dict[str, Any]:
    """What every candidate sets: the search has the twin that a guard would train."""
    return {"select__guard": False} if base.select.guard else {}


def _unadapted(base: DANN) -> dict[str, Any]:
    """What takes all terms on target rows out of a DANN."""
    return {**_without_d(base), "entropy": 0.0, "consistency": 0.0}


def _without_d(base: DANN) -> dict[str, Any]:
    """No divergence, and nothing that is of its network."""
    found: dict[str, Any] = {**_common(base), "divergence": None, "conditional": False}
    if base.heads.domain is not None:
        found["heads__domain"] = None
    if isinstance(base.learning_rate, Mapping):
        rates = base._rates_without_d()
        found["learning_rate"] = DANN.learning_rate if rates is None else rates
    return found


def _ways(base: DANN) -> Iterator[tuple[str, dict[str, Any]]]:
    """The candidates by default of a resolved estimator, but for that without adaptation."""
    none = _without_d(base)
    kind = None if base.lam == Constant(0.0) else base.divergence.kind
    certain = base.entropy
    more = any((certain.weight, certain.smoothness, certain.confusion, base.consistency.weight))
    if kind is not None or more:
        yield GIVEN, {}
    if kind is not None and more:
        yield "no divergence", none
    conditional: dict[str, Any] = {"divergence": "adversarial", "conditional": True}
    if kind != "adversarial":  # weights of other kinds are of other sizes
        conditional["lam"] = "ramp"
    if base.heads.domain is not None and not base.conditional:  # D has other inputs, or outputs
        conditional["heads__domain"] = None
    yield "conditional", {**conditional, "entropy": 0.0}
    # Covariances of features are close: weights from 1 to 100 are usual.
    yield "coral", {**none, "divergence": "coral", "lam": 100.0, "entropy": 0.0}
    yield "confusion", {**none, "entropy": Entropy(confusion=1.0)}
    yield "information", {**none, "entropy": Entropy(1.0, prior=certain.prior)}


def _key(model: DANN) -> dict[str, str]:
    """What tells one candidate from another."""
    resolved = model._resolved()
    names = [f.name for f in fields(resolved) if f.name not in ("checkpoint", "callbacks")]
    return {name: repr(getattr(resolved, name)) for name in names}


# -------------------------------------------------------------------- choice


def _compared(
    fitted: Mapping[str, DANN], sound: Sequence[str], X: Any, domains: Domains
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Classes that each candidate predicts for target rows, and its agreement with all of them."""
    first = fitted[NONE]
    count = min(ROWS, max(1, BYTES // (4 * math.prod(first.input_shape_))))
    rows = np.sort(generator_of(first.seed_, Kind.GUARD).permutation(domains.target)[:count])
    # A data frame keeps the names of its columns, which the estimators have seen.
    named = hasattr(X, "iloc")
    part = X.iloc[rows] if named else rows_of(first._check_X(X, reset=False), rows)
    domain = first.domains_[domains.rows[rows]]
    names = dict.fromkeys([NONE, *sound])
    probas = {name: fitted[name].predict_proba(part, domain) for name in names}
    labels = {name: proba.argmax(1) for name, proba in probas.items()}
    if not sound:
        return labels, {}
    agreement = ensemble_agreement([probas[name] for name in sound])
    return labels, dict(zip(sound, agreement.tolist(), strict=True))


def _best(agreement: Mapping[str, float], margin: float) -> str:
    """The name of the candidate to take."""
    known = {NONE: -1.0, **agreement}  # if that failed, less than any other
    order = ensemble_order(list(known.values()), baseline=0, margin=margin)
    return list(known)[order[0]]


def _table(rows: Mapping[str, Mapping[str, Any]], best: str) -> pd.DataFrame:
    import pandas as pd

    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis("candidate")
    found["chosen"] = found.index == best
    columns = ["agreement", "differs", "chosen", "seconds", "failed"]
    return found.reindex(columns=columns)
