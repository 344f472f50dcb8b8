"""`AdaptationSearch`: its candidates, what it chooses between them, and what it leaves alone."""

import pickle
import warnings
from threading import Thread

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from repkit import DANN, AdaptationSearch, Consistency, DANNRegressor, NoTargetWarning, load
from repkit.base import estimator
from repkit.base.forecast import Forecast
from repkit.dann import (
    Divergence,
    Entropy,
    GuardWarning,
    Heads,
    Selection,
    ShareWarning,
    search,
)
from repkit.metrics import EnsVScorer, InfoMaxScorer

FAST = {"max_epochs": 2, "steps_per_epoch": 6, "batch_size": 16, "width": 8, "random_state": 0}
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 120)
X = (RNG.normal(size=(120, 4)) + 2 * np.eye(4)[Y]).astype(np.float32)
DOMAIN = np.repeat([0, -1], [80, 40])
TARGET = DOMAIN < 0
NAMES = ["no adaptation", "as given", "conditional", "coral", "confusion", "information"]


def agreeing(monkeypatch, agreement):
    """Put these agreements in the place of those of the candidates."""
    monkeypatch.setattr(search, "ensemble_agreement", lambda probas: np.array(agreement, float))


def fitted(candidates=None, agreement=None, monkeypatch=None, domain=DOMAIN, **options):
    """A short search, with the agreement given where it is, and the warnings."""
    if agreement is not None:
        agreeing(monkeypatch, agreement)
    margin = options.pop("margin", 0.1)
    model = AdaptationSearch(DANN(**{**FAST, **options}), candidates, margin=margin)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(X, Y, sample_domain=domain)
    return model, told


# ---------------------------------------------------------------- candidates


def test_candidates_are_fits_of_their_own():
    model, _ = fitted()
    assert list(model.estimators_) == NAMES
    none = {"divergence": None}
    own = {
        "no adaptation": none,
        "as given": {},
        "conditional": {"conditional": True},
        "coral": {"divergence": "coral", "lam": 100.0},
        "confusion": {**none, "entropy": Entropy(confusion=1.0)},
        "information": {**none, "entropy": 1.0},
    }
    for name, params in own.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            alone = DANN(**FAST, **params).fit(X, Y, sample_domain=DOMAIN)
        found = model.estimators_[name]
        np.testing.assert_array_equal(found.predict_proba(X), alone.predict_proba(X))
    scores = EnsVScorer().scores(list(model.estimators_.values()), X, sample_domain=DOMAIN)
    np.testing.assert_array_equal(model.results_["agreement"], scores)
    first = model.estimators_["no adaptation"].predict(X[TARGET])
    for name, found in model.estimators_.items():
        differing = np.mean(found.predict(X[TARGET]) != first)
        assert model.results_.loc[name, "differs"] == differing


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"divergence": None}, ["no adaptation", *NAMES[2:]]),
        ({"divergence": None, "entropy": 0.5}, NAMES),
        ({"lam": 0.0}, ["no adaptation", *NAMES[2:]]),
        # What would be equal is one.
        ({"conditional": True}, [*NAMES[:2], *NAMES[3:]]),
        ({"divergence": "coral", "lam": 100.0}, [*NAMES[:3], *NAMES[4:]]),
        ({"divergence": None, "entropy": Entropy(confusion=1.0)}, [*NAMES[:4], NAMES[5]]),
        ({"entropy": 1.0}, [*NAMES[:2], "no divergence", *NAMES[2:5]]),
        ({"heads": Heads(domain=torch.nn.Linear(8, 2))}, NAMES),
        ({"learning_rate": {"D": 1e-4}}, NAMES),
        ({"warm_start": True}, NAMES),
        ({"entropy": 0.5}, [*NAMES[:2], "no divergence", *NAMES[2:]]),
        (
            {"consistency": Consistency(1.0, threshold=0.5), "ema": 0.9},
            [*NAMES[:2], "no divergence", *NAMES[2:]],
        ),
        ({"divergence": "mmd"}, NAMES),
        ({"divergence": Divergence("wasserstein"), "updates": "alternating"}, NAMES),
        ({"conditional": "entropy", "heads": Heads(domain=torch.nn.LazyLinear(2))}, NAMES),
        ({"learning_rate": {"F": 1e-3, "D": 1e-4}}, NAMES),
        ({"select": Selection("infomax", guard=True)}, NAMES),
    ],
    ids=repr,
)
def test_candidates_by_default(options, names):
    model, _ = fitted(**options)
    assert list(model.estimators_) == names
    none = model.estimators_["no adaptation"]
    assert none.divergence is None
    assert not none.conditional
    assert (none.entropy, none.consistency) == (0.0, 0.0)
    assert "D" not in none.networks_
    for found in model.estimators_.values():
        assert not hasattr(found, "guarded_")  # the search has that twin
    assert (model.results_["failed"] == "").all()


def test_weights_of_another_divergence_are_not_kept():
    given = {"divergence": "coral", "lam": 50.0}
    found = AdaptationSearch(DANN(**given)).make_candidates()
    assert (found["as given"].lam, found["conditional"].lam) == (50.0, "ramp")
    assert AdaptationSearch(DANN(lam=0.3)).make_candidates()["conditional"].lam == 0.3
    assert AdaptationSearch(DANN(lam=0.0)).make_candidates()["conditional"].lam == "ramp"


def test_what_the_data_do_not_allow_is_left_out():
    """A covariance needs two rows of each domain in a batch."""
    domain = np.r_[np.arange(80) % 10, np.full(40, -1)]
    model, _ = fitted(domain=domain)
    assert list(model.estimators_) == [*NAMES[:3], *NAMES[4:]]
    assert "batch_size" in model.results_.loc["coral", "failed"]
    assert np.isnan(model.results_.loc["coral", "agreement"])
    with pytest.raises(ValueError, match="batch_size=16 leaves 1 row of a domain"):
        fitted({"coral": {"divergence": "coral"}}, domain=domain)


def test_the_shares_that_are_aimed_at_stay():
    found = AdaptationSearch(DANN(entropy=Entropy(0.5, prior="estimate"))).make_candidates()
    assert found["information"].get_params()["entropy__prior"] == "estimate"


def test_candidates_can_be_had_before():
    model = AdaptationSearch(DANN(**FAST, checkpoint="runs"))
    found = model.make_candidates()
    assert list(found) == NAMES
    assert not any(hasattr(one, "networks_") for one in found.values())
    assert found["confusion"].get_params()["entropy__confusion"] == 1.0
    assert str(found["coral"].checkpoint) == "runs/3-coral"
    names = ["..", "", "a/b"]
    found = AdaptationSearch(DANN(checkpoint="runs"), {n: {} for n in names}).make_candidates()
    assert [str(found[n].checkpoint) for n in names] == ["runs/1--", "runs/2-", "runs/3-a-b"]


def test_errors_of_the_estimator_as_given_are_raised():
    spoiled = X.copy()
    spoiled[3, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        AdaptationSearch(DANN(**FAST)).fit(spoiled, Y, sample_domain=DOMAIN)
    domain = np.r_[np.arange(80) % 10, np.full(40, -1)]
    with pytest.raises(ValueError, match="batch_size=16 leaves 1 row of a domain"):
        fitted(divergence="coral", domain=domain)


def test_own_candidates():
    model, _ = fitted({"slow": {"learning_rate": 1e-4}, "cdan": {"conditional": True}})
    assert list(model.estimators_) == ["no adaptation", "slow", "cdan"]
    assert model.estimators_["slow"].learning_rate == 1e-4
    model, _ = fitted([{"entropy__weight": 0.3}, {"lam": 0.5}])
    assert list(model.estimators_) == ["no adaptation", "0", "1"]
    assert model.estimators_["0"].get_params()["entropy__weight"] == 0.3
    model, _ = fitted(ParameterGrid({"lam": [0.1, 0.2]}))
    assert [m.lam for m in model.estimators_.values()] == ["ramp", 0.1, 0.2]
    given = {"no adaptation": {"learning_rate": 1e-2}, "a": {}}
    assert fitted(given)[0].estimators_["no adaptation"].learning_rate == 1e-2
    assert list(fitted(given)[0].estimators_) == ["no adaptation", "a"]
    assert fitted(given)[0].estimators_["no adaptation"].divergence is None


# ---------------------------------------------------------------- choice


@pytest.mark.parametrize(
    ("agreement", "margin", "best"),
    [
        ([0.5, 0.9, 0.8], 0.1, "a"),
        ([0.5, 0.7, 0.8], 0.1, "b"),
        ([0.8, 0.9, 0.7], 0.05, "a"),
        ([0.8, 0.85, 0.7], 0.1, "no adaptation"),
        ([0.5, 0.625, 0.7], 0.25, "no adaptation"),
        ([0.5, 0.75, 0.7], 0.25, "no adaptation"),  # more than the margin is asked for
        ([0.5, 0.5, 0.5], 0.0, "no adaptation"),
        ([0.5, 0.6, 0.6], 0.0, "a"),
    ],
)
def test_the_choice(agreement, margin, best, monkeypatch, tmp_path):
    ways = {"a": {"lam": 0.5}, "b": {"conditional": True}}
    model, told = fitted(ways, agreement, monkeypatch, margin=margin)
    assert model.best_candidate_ == best
    assert model.best_estimator_ is model.estimators_[best]
    assert model.results_.index[model.results_["chosen"]].tolist() == [best]
    guard = [w for w in told if w.category is GuardWarning]
    assert len(guard) == (best == "no adaptation")
    assert all(w.filename == __file__ for w in guard)
    if best != "no adaptation":
        assert model.best_params_ == ways[best]
    used = model.best_estimator_
    np.testing.assert_array_equal(model.predict_proba(X), used.predict_proba(X))
    np.testing.assert_array_equal(model.predict(X), used.predict(X))
    np.testing.assert_array_equal(model.transform(X), used.transform(X))
    assert model.score(X, Y) == used.score(X, Y)
    used.save(tmp_path / "m.safetensors")
    assert (load(tmp_path / "m.safetensors").predict(X) == model.predict(X)).all()


def test_a_fit_that_fails_is_not_chosen(monkeypatch):
    wild = {"learning_rate": 1e30}  # beyond what float32 holds
    model, told = fitted({"wild": wild, "a": {}}, [0.2, 0.9], monkeypatch)
    assert model.best_candidate_ == "a"
    assert model.results_.loc["wild", ["agreement", "differs"]].isna().all()
    assert "training stopped" in model.results_.loc["wild", "failed"]
    assert not [w for w in told if "not finite" in str(w.message)]
    assert fitted({"wild": wild}, [0.9], monkeypatch)[0].best_candidate_ == "no adaptation"


def test_if_the_fit_without_adaptation_fails_another_is_taken(monkeypatch):
    real = search._unadapted
    monkeypatch.setattr(search, "_unadapted", lambda m: {**real(m), "learning_rate": 1e30})
    model, _ = fitted({"a": {}, "b": {"lam": 0.1}}, [0.1, 0.2], monkeypatch)
    assert model.best_candidate_ == "b"


def test_if_all_fits_fail_it_is_said():
    model, told = fitted([{}], learning_rate=1e30)
    assert model.best_candidate_ == "no adaptation"
    assert model.results_["agreement"].isna().all()
    assert [w.category for w in told] == [ConvergenceWarning]
    assert "trainings of all candidates stopped" in str(told[0].message)
    assert told[0].filename == __file__


@pytest.mark.parametrize("domain", [None, np.zeros(120, int)])
def test_a_failure_without_targets_is_said_once(domain):
    _, told = fitted(learning_rate=1e30, domain=domain)
    assert [w.category for w in told] == [NoTargetWarning, ConvergenceWarning]


def test_searches_in_threads_leave_warnings_alone():
    before = warnings._showwarnmsg_impl
    models = [AdaptationSearch(DANN(**{**FAST, "max_epochs": 1 + k}), [{}]) for k in range(3)]
    work = [Thread(target=m.fit, args=(X, Y), kwargs={"sample_domain": DOMAIN}) for m in models]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in work:
            one.start()
        for one in work:
            one.join(60)
    assert not any(one.is_alive() for one in work)
    assert warnings._showwarnmsg_impl is before
    assert all(hasattr(m, "results_") for m in models)


def test_a_forecast_is_of_all_fits(monkeypatch):
    made = []
    monkeypatch.setattr(estimator, "is_wanted", lambda model: True)
    monkeypatch.setattr(estimator, "Forecast", lambda m, n: made.append(n) or Forecast(m, n))
    fitted()
    assert made == [6]
    made.clear()
    fitted(domain=None)
    assert made == [1]


def test_warnings_that_are_errors_come_last(monkeypatch):
    agreeing(monkeypatch, [0.9, 0.1])
    model = AdaptationSearch(DANN(**FAST), [{}])
    with pytest.raises(GuardWarning):  # an error in these tests
        model.fit(X, Y, sample_domain=DOMAIN)
    assert model.results_["chosen"].tolist() == [True, False]
    assert model.predict(X).shape == (120,)


@pytest.mark.parametrize("best", ["a", "b"])
def test_warnings_of_a_fit_are_those_of_the_chosen(best, monkeypatch):
    judged = []

    def judge(model):
        judged.append(model)
        warnings.warn("shares", ShareWarning, stacklevel=5)  # 6 from a function that this calls

    monkeypatch.setattr(DANN, "_judge", judge)
    agreement = [0.1, 0.9, 0.5] if best == "a" else [0.1, 0.5, 0.9]
    model, told = fitted({"a": {"lam": 1.0}, "b": {}}, agreement, monkeypatch)
    assert judged == [model.estimators_[best]]
    assert [(w.category, w.filename) for w in told] == [(ShareWarning, __file__)]
    judged.clear()
    with pytest.warns(ShareWarning):
        DANN(**FAST).fit(X, Y, sample_domain=DOMAIN)
    assert len(judged) == 1


# ---------------------------------------------------------------- data


def test_target_labels_are_never_read():
    first, _ = fitted()
    y = Y.copy()
    y[TARGET] = RNG.permutation(y[TARGET])
    again = AdaptationSearch(DANN(**FAST))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again.fit(X, y, sample_domain=DOMAIN)
    pd.testing.assert_frame_equal(
        first.results_.drop(columns="seconds"), again.results_.drop(columns="seconds")
    )
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))


def test_without_target_rows_there_is_one_candidate():
    for domain in (None, np.zeros(120, int)):
        model, told = fitted(domain=domain)
        assert told[0].filename == __file__
        assert list(model.estimators_) == ["no adaptation"]
        assert [w.category for w in told] == [NoTargetWarning]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "make",
    [
        sparse.csr_matrix,
        sparse.coo_matrix,
        sparse.dia_array,
        pd.DataFrame,
        torch.tensor,
        lambda X: torch.tensor(X).to_sparse(),
        list,
        np.asarray,
    ],
)
def test_kinds_of_rows_and_names_of_domains(make, monkeypatch):
    monkeypatch.setattr(search, "ROWS", 25)
    names = np.where(TARGET, "south", "north")
    rows = make(X)
    if make is pd.DataFrame:
        rows.columns = list("abcd")
    model = AdaptationSearch(DANN(**FAST), [{}, {"conditional": True}])
    model.fit(rows, Y, sample_domain=names, source="north")
    wanted = AdaptationSearch(DANN(**FAST), [{}, {"conditional": True}])
    wanted.fit(X, Y, sample_domain=DOMAIN)
    same = AdaptationSearch(DANN(**FAST), [{}, {"conditional": True}])
    same.fit(X, Y, sample_domain=~TARGET, source=True)
    np.testing.assert_array_equal(same.results_["agreement"], wanted.results_["agreement"])
    np.testing.assert_array_equal(model.results_["agreement"], wanted.results_["agreement"])
    assert (model.results_["agreement"] * 25 % 1 == 0).all()  # of so many rows
    assert model.n_features_in_ == 4
    assert hasattr(model, "feature_names_in_") == (make is pd.DataFrame)
    model.fit(X, Y, sample_domain=DOMAIN)
    assert not hasattr(model, "feature_names_in_")


def norm_net(shape_in, width):
    return torch.nn.Sequential(
        torch.nn.Linear(shape_in[0], width), torch.nn.BatchNorm1d(width), torch.nn.ReLU()
    )


@pytest.mark.filterwarnings("ignore")
def test_weights_and_domains_reach_the_estimator():
    own = DANN(norm_net, domain_norm="separate", **FAST)
    weight = RNG.random(120) + (Y == 1)
    model = AdaptationSearch(own, [{}])
    features = model.fit_transform(X, Y, sample_domain=DOMAIN, sample_weight=weight)
    alone = clone(own).fit(X, Y, sample_domain=DOMAIN, sample_weight=weight)
    found = model.estimators_["0"]
    np.testing.assert_array_equal(found.predict_proba(X, DOMAIN), alone.predict_proba(X, DOMAIN))
    used = model.best_estimator_
    np.testing.assert_array_equal(features, used.transform(X, DOMAIN))
    for method in ("transform", "predict_proba", "predict"):
        given, wanted = (getattr(m, method)(X, DOMAIN) for m in (model, used))
        np.testing.assert_array_equal(given, wanted)
    assert (model.predict_proba(X, DOMAIN) != model.predict_proba(X)).any()
    right = used.predict(X, DOMAIN) == Y
    assert model.score(X, Y, weight, DOMAIN) == pytest.approx(np.average(right, weights=weight))


def test_few_rows_are_compared_where_rows_are_large(monkeypatch):
    monkeypatch.setattr(search, "BYTES", 16 * 7)  # rows of four numbers of four bytes
    model, _ = fitted([{}])
    assert (model.results_["agreement"] * 7 % 1 == 0).all()
    assert (model.results_["differs"] * 7 % 1).between(1e-9, 1 - 1e-9).sum() == 0


@pytest.mark.filterwarnings("ignore")
def test_images_and_memory_maps(tmp_path):
    images = RNG.integers(0, 255, (60, 1, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "x.npy", images)
    y, domain = np.arange(60) % 2, np.repeat([1, -2], [40, 20])
    found = [
        AdaptationSearch(DANN(**FAST), [{"augment": torch.nn.Identity()}])
        .fit(rows, y, sample_domain=domain)
        .predict_proba(images)
        for rows in (images, np.load(tmp_path / "x.npy", mmap_mode="r"))
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.filterwarnings("ignore")
def test_pipelines_frames_and_pickles():
    model = AdaptationSearch(DANN(**FAST), [{}]).set_output(transform="pandas")
    frame = model.fit_transform(X, Y, sample_domain=DOMAIN)
    assert list(frame.columns) == [f"dann{k}" for k in range(8)]
    np.testing.assert_array_equal(frame, model.best_estimator_.transform(X))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert clone(model).get_params()["estimator__width"] == 8
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(StandardScaler(), AdaptationSearch(DANN(**FAST), [{}]))
        pipe.fit(X, Y, sample_domain=DOMAIN)
        assert list(pipe[-1].estimators_) == ["no adaptation", "0"]
        assert 0 <= pipe.score(X, Y, sample_domain=DOMAIN) <= 1


@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_search_goes_on(tmp_path):
    ways, seen = {"a": {}, "b/c": {"conditional": True}}, []

    def stop(row):
        seen.append(row["epoch"])
        if len(seen) == 5:  # in the second epoch of the third candidate
            raise KeyboardInterrupt

    def run(folder, **more):
        model = AdaptationSearch(DANN(**FAST, checkpoint=folder, **more), ways)
        return model.fit(X, Y, sample_domain=DOMAIN)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "one", callbacks=stop)
    seen.clear()
    resumed = run(tmp_path / "one", callbacks=lambda row: seen.append(row["epoch"]))
    assert len(seen) < 6
    folders = ["0-no-adaptation", "1-a", "2-b-c"]
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == folders
    whole = run(tmp_path / "two")
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"estimator": DANNRegressor()}, TypeError, "estimator must be a DANN, or None, not"),
        ({"estimator": DANN}, TypeError, "estimator must be a DANN"),
        ({"margin": 1.0}, ValueError, "margin must be"),
        ({"margin": "wide"}, TypeError, "margin must be"),
        ({"candidates": "coral"}, TypeError, "candidates must be a dict or list of dicts"),
        ({"candidates": 3}, TypeError, "candidates must be a dict or list of dicts"),
        ({"candidates": iter([{}])}, TypeError, "candidates must be a dict or list of dicts"),
        ({"candidates": []}, ValueError, "candidates must hold 1 to 1000 sets"),
        ({"candidates": {"a": 1}}, TypeError, "map names to dicts of parameters; it has 'a': 1"),
        ({"candidates": {1: {}}}, TypeError, "map names to dicts of parameters"),
        ({"candidates": [{}, {"lamda": 1}]}, ValueError, r"candidates\['1'\].*'?lamda"),
        ({"candidates": [{}, {"lam": "?"}]}, ValueError, r"candidates\['1'\].*lam must be"),
    ],
)
def test_errors(options, kind, said, monkeypatch):
    monkeypatch.setattr(DANN, "_fit", lambda *a, **k: pytest.fail("nothing is fitted before"))
    with pytest.raises(kind, match=said):
        AdaptationSearch(**options).fit(X, Y, sample_domain=DOMAIN)


def test_a_wrong_estimator_can_be_shown():
    assert "AdaptationSearch" in AdaptationSearch(3)._repr_html_()


def test_scorers_see_through_searches():
    names = np.where(TARGET, "south", "north")
    ways = GridSearchCV(AdaptationSearch(DANN(**FAST), [{}]), {"margin": [0.1]}, cv=2)
    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ways.fit(X, Y, sample_domain=names, source="north")
        best = ways.best_estimator_.best_estimator_
        found, wanted = (InfoMaxScorer()(m, X, sample_domain=names) for m in (ways, best))
    assert found == wanted


def test_not_fitted():
    with pytest.raises(sklearn.exceptions.NotFittedError):
        AdaptationSearch().predict(X)
