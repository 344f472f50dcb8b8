import pickle
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from repkit.metrics import (
    BNMScorer,
    ClassAMIScorer,
    DEVScorer,
    EntropyScorer,
    InfoMaxScorer,
    IWVScorer,
    MaNoScorer,
    MixValScorer,
    ReverseValidationScorer,
    ScorerError,
    SNDScorer,
    TransferScorer,
    deep_embedded_validation,
    importance_weighted_validation,
    importance_weights,
    information_maximization,
    prediction_entropy,
    soft_neighborhood_density,
)
from repkit.metrics._domains import halves

ALL = [
    EntropyScorer(),
    InfoMaxScorer(),
    SNDScorer(),
    BNMScorer(),
    MaNoScorer(),
    ClassAMIScorer(),
    ClassAMIScorer(features="input"),
    TransferScorer(),
    MixValScorer(),
    IWVScorer(),
    IWVScorer(loss="log"),
    DEVScorer(),
    DEVScorer(loss="log", features="input"),
    ReverseValidationScorer(),
]


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


class OneColumn(ClassifierMixin, BaseEstimator):
    """Logistic regression on one column of the source rows: a stand-in for an adapted model."""

    __metadata_request__fit: ClassVar = {"sample_domain": True}

    def __init__(self, column=0):
        self.column = column

    def fit(self, X, y, sample_domain=None):
        source = np.full(len(X), True) if sample_domain is None else np.asarray(sample_domain) >= 0
        y = np.asarray(y)[source]
        assert not (y == MASK).any(), "a masked target label was read"
        self.model_ = LogisticRegression().fit(self.transform(X)[source], y.astype(int))
        self.classes_ = self.model_.classes_
        self.domains_seen_ = None if sample_domain is None else set(np.unique(sample_domain))
        return self

    def transform(self, X):
        return np.asarray(X)[:, [self.column]]

    def predict(self, X):
        return self.model_.predict(self.transform(X))

    def predict_proba(self, X):
        return self.model_.predict_proba(self.transform(X))


MASK = -9


class Recorder(OneColumn):
    """Keeps what `fit` was given."""

    calls: ClassVar[list] = []

    def fit(self, X, y, sample_domain=None):
        Recorder.calls.append((np.asarray(X), np.asarray(y), sample_domain))
        return super().fit(X, y, sample_domain=sample_domain)


def shift(moved, n=200, seed=0):
    """Two classes told apart by both columns in the source; in the target column 0 still does so,
    column 1 is whatever `moved` makes of the generator, the true classes and the size.
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 2 * n)
    X = rng.normal(size=(2 * n, 2)) + (4 * y - 2)[:, None]
    X[n:, 1] = moved(rng, y[n:], n)
    domain = np.repeat([1, -2], n)
    return X, np.where(domain >= 0, y, MASK), domain, y


def collapsed(rng, y, n):
    return rng.normal(size=n) + 9


def ambiguous(rng, y, n):
    return rng.normal(size=n) / 4


def unrelated(rng, y, n):
    return 2 * rng.permuted(2 * y - 1.0) + rng.normal(size=n)


def good_and_bad(scorer, moved):
    X, y, domain, _ = shift(moved)
    models = [OneColumn(c).fit(X, y, sample_domain=domain) for c in (0, 1)]
    return [scorer(m, X, y, sample_domain=domain) for m in models]


@pytest.mark.parametrize(
    ("scorer", "moved"),
    [
        (EntropyScorer(), ambiguous),
        (InfoMaxScorer(), ambiguous),
        (InfoMaxScorer(), collapsed),
        (ReverseValidationScorer(), collapsed),
        (BNMScorer(), ambiguous),
        (BNMScorer(), collapsed),
        (MaNoScorer(), ambiguous),
        (ClassAMIScorer(features="input"), ambiguous),
        (ClassAMIScorer(), collapsed),
        (MixValScorer(), collapsed),
        (TransferScorer(), ambiguous),
        (TransferScorer(), collapsed),
    ],
)
def test_a_good_model_beats_a_bad_one(scorer, moved):
    good, bad = good_and_bad(scorer, moved)
    assert good > bad + 0.1


@pytest.mark.parametrize(
    ("scorer", "moved"),
    [
        (EntropyScorer(), collapsed),  # confident collapse
        (SNDScorer(), collapsed),  # one dense blob
        (ReverseValidationScorer(), unrelated),  # a useless feature leads there and back
        (MaNoScorer(), collapsed),  # confident collapse
        (BNMScorer(), unrelated),  # confident mistakes
        (ClassAMIScorer(), unrelated),  # clusters of the useless feature
        (MixValScorer(), unrelated),  # with a clear boundary
        (TransferScorer(), unrelated),
    ],
)
def test_where_the_docstrings_say_it_misleads(scorer, moved):
    good, bad = good_and_bad(scorer, moved)
    assert bad > good - 0.02


class Given:
    """A model on one input x that holds fixed answers."""

    classes_ = np.array([0, 1])

    def __init__(self, predict):
        self._predict = predict

    def predict(self, X):
        return self._predict(X[:, 0]).astype(int)

    def predict_proba(self, X):
        p = np.where(self.predict(X) == 1, 0.9, 0.1)
        return np.stack([1 - p, p], axis=1)

    def transform(self, X):
        return X


@pytest.mark.parametrize("loss", ["zero_one", "log"])
@pytest.mark.parametrize("scorer", [IWVScorer, DEVScorer])
def test_weights_reverse_the_order_of_the_source_risk(scorer, loss):
    # source N(0, 1), target N(1.5, 0.7), true class x > 0: `good` errs left of -0.5, where no
    # target lies; `bad` right of 1, where most of it lies but little of the source
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=1000), 1.5 + 0.7 * rng.normal(size=1000)])
    X, y, domain = x[:, None], (x > 0).astype(int), np.repeat([0, -1], 1000)
    good, bad = Given(lambda x: (x > 0) | (x < -0.5)), Given(lambda x: (x > 0) & (x < 1))
    errors = [np.mean(m.predict(X[:1000]) != y[:1000]) for m in (good, bad)]
    assert errors[0] > errors[1]
    score = scorer(loss=loss)
    assert score(good, X, y, domain) > score(bad, X, y, domain) + 0.1


def test_snd_scorer_prefers_clusters():
    rng = np.random.default_rng(0)
    scattered, clusters = rng.dirichlet(np.ones(5), 100), np.eye(5)[rng.integers(0, 5, 100)]
    scores = []
    for proba in (scattered, clusters):
        model = Given(None)
        model.predict_proba = lambda X, proba=proba: proba
        scores.append(SNDScorer()(model, np.zeros((100, 1)), sample_domain=np.full(100, -1)))
        assert scores[-1] == soft_neighborhood_density(proba)
    assert scores[1] > scores[0]


def test_scores_are_the_functions_of_the_target_rows():
    X, y, domain, _ = shift(ambiguous)
    model = OneColumn(1).fit(X, y, domain)
    proba = model.predict_proba(X[domain < 0])
    assert EntropyScorer()(model, X, None, domain) == -prediction_entropy(proba)
    assert InfoMaxScorer()(model, X, sample_domain=domain) == information_maximization(proba)
    other = SNDScorer(temperature=0.5)(model, X, sample_domain=domain)
    assert other == soft_neighborhood_density(proba, temperature=0.5)


@pytest.mark.parametrize("loss", ["zero_one", "log"])
def test_weighted_scores_hold_rows_out(loss):
    X, y, domain, _ = shift(ambiguous, n=50)
    model = OneColumn(1).fit(X, y, domain)
    train, val = halves(50, 0.3, 7)  # of the source rows, which come first
    assert len(val) == 15
    assert sorted([*train, *val]) == list(range(50))
    if loss == "zero_one":
        losses = model.predict(X[val]) != y[val]
    else:
        losses = -np.log(model.predict_proba(X[val])[range(15), y[val]])
    own = {"loss": loss, "val_size": 0.3, "random_state": 7, "C": 0.5}
    weights = importance_weights(X[train], X[50:], X[val], C=0.5)
    wanted = -importance_weighted_validation(losses, weights)
    assert IWVScorer(**own)(model, X, y, domain) == pytest.approx(wanted)
    parts = [model.transform(rows) for rows in (X[train], X[val], X[50:])]
    wanted = -deep_embedded_validation(*parts, losses, C=0.5)
    assert DEVScorer(**own)(model, X, y, domain) == pytest.approx(wanted)


class Trap:
    """A label that may be carried about, but not looked at."""

    def __eq__(self, other):
        raise AssertionError("a target label was read")

    __ne__ = __lt__ = __gt__ = __hash__ = __int__ = __float__ = __bool__ = __eq__


@pytest.mark.parametrize("scorer", ALL, ids=str)
def test_target_labels_are_never_read(scorer):
    X, y, domain, _ = shift(ambiguous)
    model = OneColumn(1).fit(X, y, domain)
    wanted = scorer(model, X, y, domain)
    assert np.isfinite(wanted)
    rng = np.random.default_rng(1)
    target = domain < 0
    scrambled, missing, trapped = y.copy(), y.astype(float), y.astype(object)
    scrambled[target] = rng.integers(0, 99, target.sum())
    missing[target] = np.nan
    trapped[target] = [Trap() for _ in range(target.sum())]
    for labels in (scrambled, missing, trapped):
        assert scorer(model, X, labels, domain) == wanted


@pytest.mark.parametrize("scorer", ALL, ids=str)
def test_containers(scorer):
    X, y, domain, _ = shift(ambiguous, n=60)
    model = OneColumn(1).fit(X, y, domain)
    wanted = scorer(model, X, y, domain)
    frame = pd.DataFrame(X, index=np.arange(len(X))[::-1])  # an index that is not the position
    assert scorer(model, frame, pd.Series(y), pd.Series(domain)) == pytest.approx(wanted)
    assert scorer(model, X.tolist(), y.tolist(), domain.tolist()) == pytest.approx(wanted)
    if scorer.__class__ is not ReverseValidationScorer:  # scikit-learn fits on no tensors
        tensors = torch.tensor(X), torch.tensor(y), torch.tensor(domain)
        assert scorer(model, *tensors) == pytest.approx(wanted)


@pytest.mark.parametrize("scorer", ALL, ids=str)
def test_grid_search_by_metadata_routing(scorer, routing):
    X, y, domain, _ = shift(collapsed)
    cv = ShuffleSplit(2, test_size=0.5, random_state=0)
    search = GridSearchCV(OneColumn(), {"column": [0, 1]}, scoring=scorer, cv=cv)
    search.fit(X, y, sample_domain=domain)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    if isinstance(scorer, (InfoMaxScorer, ReverseValidationScorer)):
        assert search.best_params_ == {"column": 0}
    copy = clone(search)
    assert copy.scoring is not scorer
    copy.fit(X, y, sample_domain=domain)  # the request survives the clone


def test_cross_validation_several_scorers_pipeline_and_renamed_metadata(routing):
    X, y, domain, truth = shift(collapsed)
    model = make_pipeline(StandardScaler(), OneColumn())
    cv = ShuffleSplit(2, test_size=0.5, random_state=0)
    scores = cross_val_score(
        model, X, y, scoring=InfoMaxScorer(), cv=cv, params={"sample_domain": domain}
    )
    train, test = next(cv.split(X))
    model.fit(X[train], y[train], sample_domain=domain[train])
    assert scores[0] == InfoMaxScorer()(model, X[test], y[test], domain[test])
    # the routed Pipeline hands sample_domain to the reverse classifier as well
    recorder = make_pipeline(StandardScaler(), Recorder()).fit(X, y, sample_domain=domain)
    Recorder.calls.clear()
    assert ReverseValidationScorer()(recorder, X, y, domain) > 0.9
    assert set(Recorder.calls[0][2]) == {1, -2}

    search = GridSearchCV(
        model,
        {"onecolumn__column": [1, 0]},
        scoring={"info": InfoMaxScorer(), "entropy": EntropyScorer()},
        refit="info",
        cv=cv,
    ).fit(X, y, sample_domain=domain)
    assert search.best_params_ == {"onecolumn__column": 0}
    best = search.cv_results_["mean_test_entropy"].argmax()
    assert search.cv_results_["params"][best] == {"onecolumn__column": 1}  # fooled, as documented

    renamed = EntropyScorer().set_score_request(sample_domain="where")
    plain = LogisticRegression().fit(X, truth)
    direct = EntropyScorer()(plain, X, truth, domain)
    routed = cross_val_score(
        plain,
        X,
        truth,
        scoring=renamed,
        cv=[(np.arange(400), np.arange(400))],
        params={"where": domain},
    )
    assert routed[0] == pytest.approx(direct)


def test_without_routing_the_error_says_what_to_switch_on():
    X, _, _, truth = shift(collapsed, n=30)
    with pytest.raises(ScorerError, match="enable_metadata_routing=True"):
        cross_val_score(LogisticRegression(), X, truth, scoring=EntropyScorer())


def test_reverse_validation_swaps_the_domains():
    X, y, domain, _ = shift(ambiguous, n=50)
    domain[:10] = 0  # a second source, whose code is its own mirror's neighbor
    model = Recorder(0).fit(X, y, domain)
    Recorder.calls.clear()
    score = ReverseValidationScorer(val_size=0.4)(model, X, y, domain)
    ((X_fit, y_fit, d_fit),) = Recorder.calls
    # all target rows, pseudo-labeled, are the source now: -2 became 1
    np.testing.assert_array_equal(X_fit[d_fit >= 0], X[50:])
    np.testing.assert_array_equal(y_fit[d_fit >= 0], model.predict(X[50:]))
    assert set(d_fit[d_fit >= 0]) == {1}
    # 60% of the source rows are the unlabeled target: 0 became -1, and 1 became -2
    seen = {tuple(row) for row in X_fit[d_fit < 0]}
    assert len(seen) == 30
    assert seen < {tuple(row) for row in X[:50]}
    assert set(d_fit[d_fit < 0]) == {-1, -2}
    # the score is the accuracy on the others
    held_out = np.array([tuple(row) not in seen for row in X[:50]])
    reverse = OneColumn(0).fit(X_fit, y_fit, d_fit)
    assert score == np.mean(reverse.predict(X[:50][held_out]) == y[:50][held_out])
    # the labels given to the new target come from the pseudo-labels, never from y
    assert len(set(y_fit[d_fit < 0])) == 1


def test_reverse_validation_of_a_collapsed_or_plain_classifier():
    X, y, domain, _ = shift(collapsed)
    collapsed_model = OneColumn(1).fit(X, y, domain)
    assert len(set(collapsed_model.predict(X[domain < 0]))) == 1
    score = ReverseValidationScorer()(collapsed_model, X, y, domain)
    assert score == pytest.approx(0.5, abs=0.1)
    # without sample_domain in fit, the reverse classifier learns from the target alone
    plain = LogisticRegression().fit(X[:200, :1], y[:200])
    assert ReverseValidationScorer()(plain, X[:, :1], y, domain) > 0.9


@pytest.mark.parametrize("scorer", ALL, ids=str)
@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (None, r".* needs sample_domain \(source >= 0, target < 0\), not None"),
        ([0] * 12, "found no target rows"),
        ([0, -1], "sample_domain has 2 entries for 12 rows"),
        (["s"] * 12, r"sample_domain must hold integers .* or names of domains .* not \['s'\]"),
        ([np.nan] * 12, "sample_domain is missing"),
        ([None, pd.NA, *[0] * 10], "sample_domain is missing"),
        ([0.5] * 12, "sample_domain must hold integers or names, not dtype float64"),
    ],
)
def test_errors_of_sample_domain(scorer, domain, message):
    with pytest.raises(ValueError, match=message):
        scorer(Given(np.sign), np.zeros((12, 1)), np.zeros(12), domain)


LABELED = [s for s in ALL if isinstance(s, (IWVScorer, DEVScorer, ReverseValidationScorer))]


@pytest.mark.parametrize("scorer", LABELED, ids=str)
def test_errors_of_source_labels(scorer):
    X, domain = np.zeros((12, 1)), np.repeat([0, -1], 6)
    y = np.zeros(12)
    with pytest.raises(ValueError, match="needs y, the labels of the source"):
        scorer(Given(np.sign), X, None, domain)
    with pytest.raises(ValueError, match="y has 5 entries for 12 rows"):
        scorer(Given(np.sign), X, y[:5], domain)
    y[0] = np.nan
    with pytest.raises(ValueError, match=r"y of the source rows is missing .* 1 of 6"):
        scorer(Given(np.sign), X, y, domain)
    with pytest.raises(
        ValueError, match=r".* needs at least 4 source rows \(sample_domain >= 0\), which"
    ):
        scorer(Given(np.sign), X, y, np.repeat([0, -1], [3, 9]))


def test_errors_of_the_estimator_and_the_parameters():
    X, y, domain, _ = shift(ambiguous, n=20)
    plain = LogisticRegression().fit(X[:20], y[:20])
    with pytest.raises(TypeError, match=r"DEVScorer needs estimator.transform.*features='input'"):
        DEVScorer()(plain, X, y, domain)
    with pytest.raises(TypeError, match=r"EntropyScorer needs estimator.predict_proba, which Sta"):
        EntropyScorer()(StandardScaler(), X, y, domain)
    with pytest.raises(ValueError, match="features must be 'transform', 'input' or a function"):
        DEVScorer(features="hidden")(plain, X, y, domain)
    with pytest.raises(ValueError, match=r"loss must be one of \['zero_one', 'log'\], not"):
        IWVScorer(loss="hinge")(plain, X, y, domain)
    with pytest.raises(ValueError, match="val_size must be a number above 0 and below 1, not 1"):
        IWVScorer(val_size=1)(plain, X, y, domain)
    with pytest.raises(ValueError, match="y must hold no source label that is missing from"):
        IWVScorer(loss="log")(plain, X, y + 5, domain)
    by_function = DEVScorer(features=lambda estimator, X: X)(plain, X, y, domain)
    assert by_function == DEVScorer(features="input")(plain, X, y, domain)
    assert repr(IWVScorer(C=0.1)) == "IWVScorer(C=0.1)"


def frame_with_text():
    rng = np.random.default_rng(0)
    d = np.tile([1, -1], 40)
    number = rng.normal(size=80) + (d < 0)
    color = rng.choice(["red", "blue"], 80)
    y = ((number > 0.5) ^ (color == "red")).astype(int)
    return pd.DataFrame({"number": number, "color": color}), y, d


@pytest.mark.parametrize("scorer", [IWVScorer(), DEVScorer(features="input")])
def test_a_pipeline_from_text_is_weighed_by_what_its_last_step_sees(scorer):
    X, y, d = frame_with_text()
    encoder = ColumnTransformer([("color", OneHotEncoder(), ["color"])], remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression())
    grid = {"logisticregression__C": [0.01, 1.0]}
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(model, grid, scoring=scorer, cv=2).fit(X, y, sample_domain=d)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


class OnFrames(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return (X["color"] == "red").to_numpy().astype(int)


def test_a_search_shows_that_a_scorer_cannot_work():
    X, y, d = frame_with_text()
    with pytest.raises(ScorerError, match="features must give numbers, not dtype"):
        IWVScorer()(OnFrames().fit(X, y), X, y, sample_domain=d)
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ScorerError, match="encode text columns in a Pipeline"),
    ):
        GridSearchCV(OnFrames(), {}, scoring=IWVScorer(), cv=2).fit(X, y, sample_domain=d)


def test_mixed_numbers_of_a_frame_are_numbers():
    X, y, d = frame_with_text()
    X["color"] = X["color"] == "red"  # the frame's array has the dtype object
    model = make_pipeline(LogisticRegression()).fit(X, y)
    assert np.isfinite(IWVScorer()(model, X, y, sample_domain=d))


# ------------------------------------------------- domains reach every method


class Ledger(OneColumn):
    """Answers as its column says, and notes whose rows each method was told to see."""

    seen: ClassVar[dict] = {}
    __metadata_request__predict: ClassVar = {"sample_domain": True}
    __metadata_request__predict_proba: ClassVar = {"sample_domain": True}
    __metadata_request__transform: ClassVar = {"sample_domain": True}

    def _note(self, method, X, sample_domain):
        assert sample_domain is not None
        assert len(sample_domain) == len(X)
        Ledger.seen.setdefault(method, set()).update(np.asarray(sample_domain).tolist())

    def fit(self, X, y, sample_domain=None):
        column = np.asarray(X)[:, [self.column]]
        source = np.asarray(sample_domain) >= 0
        self.model_ = LogisticRegression().fit(column[source], np.asarray(y)[source].astype(int))
        self.classes_ = self.model_.classes_
        return self

    def transform(self, X, sample_domain=None):
        self._note("transform", X, sample_domain)
        return super().transform(X)

    def predict(self, X, sample_domain=None):
        self._note("predict", X, sample_domain)
        return self.model_.predict(super().transform(X))

    def predict_proba(self, X, sample_domain=None):
        self._note("predict_proba", X, sample_domain)
        return self.model_.predict_proba(super().transform(X))


@pytest.mark.parametrize("scorer", ALL, ids=str)
@pytest.mark.parametrize("kind", ["plain", "pipeline", "routed", "search"])
def test_methods_are_told_the_domains(scorer, kind):
    X, y, domain, _ = shift(ambiguous, n=60)
    domain[:20], domain[70:80] = 4, -7
    model = Ledger(1).fit(X, y, domain)
    if kind in ("pipeline", "routed"):
        model = make_pipeline(StandardScaler(with_mean=False, with_std=False).fit(X), model)
    with sklearn.config_context(enable_metadata_routing=kind in ("routed", "search")):
        if kind == "search":
            cv = [(np.arange(120), np.arange(120))]
            model = GridSearchCV(Ledger(1), {"column": [1]}, scoring=EntropyScorer(), cv=cv)
            model.fit(X, y, sample_domain=domain)
        Ledger.seen.clear()
        found = scorer(model, X, y, domain)
    source, target = {1, 4}, {-2, -7}
    seen = {k: v - {0, -5, 6} for k, v in Ledger.seen.items()}  # of the reverse classifier
    for method, ids in seen.items():
        assert ids <= source | target, method
    if isinstance(scorer, ReverseValidationScorer):
        assert target <= Ledger.seen["predict"]
        assert Ledger.seen["predict"] - target <= {-2, -5}  # the mirrors of 1 and 4
    elif isinstance(scorer, DEVScorer) and scorer.features == "transform":
        assert seen["transform"] == source | target
        assert seen["predict"] == source
    elif isinstance(scorer, DEVScorer | IWVScorer):
        assert seen == {"predict" if scorer.loss == "zero_one" else "predict_proba": source}
    else:
        methods = {ClassAMIScorer: {"predict"}, MixValScorer: {"predict"}}
        wanted = methods.get(type(scorer), {"predict_proba"})
        if getattr(scorer, "features", None) == "transform":
            wanted = wanted | {"transform"}
        assert seen == dict.fromkeys(wanted, target)
    assert found == scorer(OneColumn(1).fit(X, y, domain), X, y, domain)


def test_features_may_ask_for_the_domains():
    X, y, domain, _ = shift(ambiguous, n=60)
    model = OneColumn(1).fit(X, y, domain)
    seen = []

    def features(estimator, X, sample_domain):
        seen.append(set(sample_domain.tolist()))
        return estimator.transform(X)

    assert DEVScorer(features=features)(model, X, y, domain) == DEVScorer()(model, X, y, domain)
    assert seen == [{1}, {-2}]


class Skada(Ledger):
    """Refuses source rows, as estimators of skada do."""

    def predict(self, X, sample_domain=None, allow_source=False):
        assert allow_source or (np.asarray(sample_domain) < 0).all()
        return super().predict(X, sample_domain)


def test_source_rows_are_meant():
    X, y, domain, _ = shift(ambiguous, n=60)
    assert np.isfinite(DEVScorer()(Skada(1).fit(X, y, domain), X, y, domain))


class Told(OneColumn):
    """Was told which domains are its sources."""

    def fit(self, X, y, sample_domain=None, source=None):
        ids = np.unique(sample_domain)
        first = np.isin(ids, source)
        self.domains_ = np.concatenate([ids[first], ids[~first]])
        self.n_source_domains_ = int(first.sum())
        return super().fit(X, y, np.where(np.isin(sample_domain, source), 0, -1))


@pytest.mark.parametrize("scorer", ALL, ids=str)
@pytest.mark.parametrize(
    ("source", "target"), [("a", "b"), (1, 2), (-1, 0), (-2, 5), (0, 7)], ids=str
)
def test_the_estimator_knows_its_sources(scorer, source, target):
    X, y, domain, _ = shift(ambiguous, n=60)
    wanted = scorer(OneColumn(1).fit(X, y, domain), X, y, domain)
    named = np.where(domain >= 0, source, target)
    model = Told(1).fit(X, y, named, source=[source])
    kinds = [np.asarray, list, pd.Series]
    kinds += (
        [lambda v: v.astype(object)] if isinstance(source, str) else [lambda v: v.astype(float)]
    )
    for kind in kinds:
        if isinstance(scorer, ReverseValidationScorer):
            model = OneColumn(1).fit(X, y, domain)  # of which a plain clone can be fitted
            model.domains_, model.n_source_domains_ = np.array([source, target]), 1
        assert scorer(model, X, y, kind(named)) == wanted
    with pytest.raises(ValueError, match=r"sample_domain must hold integers .* not .*'west'"):
        scorer(model, X, y, np.where(domain >= 0, str(source), "west"))


def test_labels_of_any_kind_beside_those_of_the_source():
    """In one array a text among the labels would make texts of all."""
    X, y, domain, _ = shift(ambiguous, n=60)
    model = OneColumn(1).fit(X, y, domain)
    wanted = DEVScorer()(model, X, y, domain)
    for mark in ("?", None, np.nan, pd.NA):
        labels = [v if d >= 0 else mark for v, d in zip(y.tolist(), domain, strict=True)]
        assert DEVScorer()(model, X, labels, domain) == wanted
        assert DEVScorer()(model, X, pd.Series(labels), domain) == wanted


def test_sparse_rows_go_back():
    from scipy.sparse import csr_array

    X, y, domain, _ = shift(ambiguous, n=60)
    plain = LogisticRegression().fit(X[:60], y[:60])
    wanted = ReverseValidationScorer()(plain, X, y, domain)
    assert ReverseValidationScorer()(plain, csr_array(X), y, domain) == pytest.approx(wanted)


def test_small_domains_stay_in_the_fit_of_the_way_back():
    for seed in range(20):
        domain = np.repeat([0, 1, 2], [40, 2, 3])
        kept, held_out = halves(45, 0.5, seed, domain)
        assert sorted([*kept, *held_out]) == list(range(45))
        assert np.bincount(domain[kept]).min() >= 2
        assert len(held_out) > 0
    assert len(halves(4, 0.5, 0, np.array([0, 0, 1, 1]))[1]) == 2  # nothing else is left


# ------------------------------------------------- what a search shows


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (DEVScorer(), "DEVScorer needs estimator.transform"),
        (DEVScorer(features="hidden"), "features must be"),
        (IWVScorer(loss="hinge"), "loss must be"),
        (IWVScorer(C=0), "C must be a number above 0, not 0"),
        (IWVScorer(C="1"), "C must be a number above 0"),
        (ReverseValidationScorer(val_size=2), "val_size must be a number above 0 and below 1"),
        (ReverseValidationScorer(val_size="half"), "val_size must be a number above 0"),
        (SNDScorer(temperature=0), "temperature must be a number above 0"),
    ],
    ids=str,
)
def test_a_search_stops_where_no_candidate_can_be_scored(scorer, message, routing):
    X, _, domain, truth = shift(ambiguous, n=60)
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, scoring=scorer, cv=2)
    with pytest.raises(ScorerError, match=message):
        search.fit(X, truth, sample_domain=domain)
    several = search.set_params(scoring={"own": scorer}, refit="own")
    with pytest.raises(ScorerError, match=message):
        several.fit(X, truth, sample_domain=domain)
    with pytest.raises((TypeError, ValueError), match=message):
        scorer(LogisticRegression().fit(X, truth), X, truth, domain)


def test_an_error_comes_whole_out_of_a_worker(routing):
    """Threads as workers; from a process it comes pickled, which is tried beside."""
    X, _, domain, truth = shift(ambiguous, n=60)
    search = GridSearchCV(
        LogisticRegression(), {"C": [0.1, 1.0]}, scoring=SNDScorer(temperature=0), cv=2, n_jobs=2
    )
    with parallel_config("threading"), pytest.raises(ScorerError, match="temperature must") as told:
        search.fit(X, truth, sample_domain=domain)
    back = pickle.loads(pickle.dumps(told.value))
    assert (type(back), str(back)) == (ScorerError, str(told.value))


def test_a_fold_without_target_rows_stops_a_search(routing):
    X, _, domain, truth = shift(ambiguous, n=60)
    cv = [(np.arange(120), np.arange(60))]
    search = GridSearchCV(LogisticRegression(), {}, scoring=EntropyScorer(), cv=cv)
    with pytest.raises(ScorerError, match="found no target rows"):
        search.fit(X, truth, sample_domain=domain)


class Diverging(LogisticRegression):
    def predict_proba(self, X):
        return super().predict_proba(X) * (np.nan if self.C > 1 else 1)


@pytest.mark.filterwarnings("ignore:Scoring failed", "ignore:One or more of the test scores")
def test_a_search_goes_on_without_a_candidate_that_diverged(routing):
    X, _, domain, truth = shift(ambiguous, n=60)
    cv = ShuffleSplit(2, test_size=0.5, random_state=0)
    search = GridSearchCV(Diverging(), {"C": [9.0, 0.1]}, scoring=EntropyScorer(), cv=cv)
    search.fit(X, truth, sample_domain=domain)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [True, False]
    assert search.best_params_ == {"C": 0.1}
    diverged = Diverging(C=9.0).fit(X, truth)
    with pytest.raises(ValueError, match="proba contains NaN"):
        EntropyScorer()(diverged, X, truth, sample_domain=domain)
