"""The guard: a twin without adaptation, which is used where nothing speaks for the adapted net."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from scipy import sparse

from repkit import DANN, DANNRegressor, Optimizer, load
from repkit.base import estimator
from repkit.dann import Entropy, GuardWarning, Selection, guard
from repkit.engine.rng import Kind, drawn_seed, seed_of

FAST = {"max_epochs": 3, "steps_per_epoch": 8, "batch_size": 16, "width": 16, "random_state": 0}
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 200)
X = (RNG.normal(size=(200, 4)) + 2 * np.eye(4)[Y]).astype(np.float32)
SOURCE, DOMAIN = np.arange(120), np.repeat([0, -1], [120, 80])
OPTIONS = [
    {},
    {"domain_norm": "separate", "ema": 0.9, "augment": torch.relu},
    {"learning_rate": {"F": 1e-2, "D": 1e-4}, "conditional": True, "entropy": Entropy(1.0)},
    {"updates": "alternating", "divergence": "wasserstein", "optimizer": Optimizer("sgd")},
]


def norm_net(shape_in, width):
    return torch.nn.Sequential(
        torch.nn.Linear(shape_in[0], width), torch.nn.BatchNorm1d(width), torch.nn.ReLU()
    )


def fit(verdict, monkeypatch, score="entropy", **options):
    """A guarded fit for which the evidence is given."""
    monkeypatch.setattr(guard, "speaks_for", lambda *given: verdict)
    model = DANN(norm_net, **FAST, select=Selection(score, guard=True))
    model.set_params(**options)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(X, Y, sample_domain=DOMAIN)
    return model, [w for w in told if w.category is GuardWarning]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_twin_is_a_fit_on_the_source_alone(options, monkeypatch):
    model, _ = fit(False, monkeypatch, **options)
    own = {k: v for k, v in options.items() if k not in ("conditional", "entropy", "divergence")}
    if "learning_rate" in own:
        own["learning_rate"] = {"F": 1e-2}
    seed = seed_of(drawn_seed(model.seed_), Kind.TRAINING, 1)
    monkeypatch.setattr(estimator, "drawn_seed", lambda given: seed)
    alone = DANN(norm_net, **FAST, **own)
    with pytest.warns(UserWarning, match="no target rows"):
        alone.fit(X[SOURCE], Y[SOURCE])
    for name in "FC":
        found, wanted = model.networks_[name].state_dict(), alone.networks_[name].state_dict()
        for key, value in wanted.items():
            row = found[key]
            if row.shape != value.shape:  # statistics, which each domain has: those of the source
                torch.testing.assert_close(row[1], row[0], rtol=0, atol=0)
                row = row[:1]
            torch.testing.assert_close(row, value, rtol=0, atol=0)
    np.testing.assert_array_equal(model.predict_proba(X), alone.predict_proba(X))


@pytest.mark.parametrize("score", [None, "entropy"])
@pytest.mark.parametrize("verdict", [True, False])
def test_the_weights_in_use(verdict, score, monkeypatch, tmp_path):
    model, told = fit(verdict, monkeypatch, score)
    adapted = "last" if score is None else "selected"
    assert model.guarded_ is not verdict
    assert model.used_weights_ == (adapted if verdict else "source")
    assert len(told) == (not verdict)
    if told:
        assert f"use({adapted!r})" in str(told[0].message)
        assert told[0].filename == __file__
    plain = DANN(norm_net, **FAST, select=score).fit(X, Y, sample_domain=DOMAIN)
    columns = plain.history_.columns.drop("seconds")
    np.testing.assert_array_equal(plain.history_[columns], model.history_[columns])
    proba, found = (
        model.predict_proba(X),
        {w: model.use(w).predict_proba(X) for w in model.weights_},
    )
    np.testing.assert_array_equal(found[adapted], plain.predict_proba(X))
    np.testing.assert_array_equal(found[adapted if verdict else "source"], proba)
    assert not np.array_equal(found[adapted], found["source"])
    model.use(adapted if verdict else "source").save(tmp_path / "m")
    for again in (pickle.loads(pickle.dumps(model)), load(tmp_path / "m", backbone=norm_net)):
        np.testing.assert_array_equal(again.predict_proba(X), proba)
        assert again.guarded_ is model.guarded_
        for which, rows in found.items():
            np.testing.assert_array_equal(again.use(which).predict_proba(X), rows)
    model.use("source").adapt(X[DOMAIN < 0], max_epochs=1).save(tmp_path / "m")
    assert load(tmp_path / "m", backbone=norm_net).used_weights_ == "adapted"


def test_it_is_asked_about_target_rows_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(guard, "speaks_for", lambda *given: asked.append(given) or True)
    model = DANN(**FAST, select=Selection(guard=True)).fit(X, Y, sample_domain=DOMAIN)
    (x, adapted, source, _), target = asked[0], X[DOMAIN < 0]
    np.testing.assert_allclose(x, (target - target.mean(0)) / target.std(0), atol=1e-5)
    np.testing.assert_array_equal(adapted, model.predict(target))
    np.testing.assert_array_equal(source, model.use("source").predict(target))


def test_a_fit_that_fails_gives_the_twin(monkeypatch):
    nan = lambda p: float("nan") if p > 0.5 else 1.0
    monkeypatch.setattr(guard, "speaks_for", lambda *given: True)
    model = DANN(**FAST, lam=nan, select=Selection(guard=True))
    with pytest.warns(UserWarning, match="training stopped at step .*of the twin are in use"):
        model.fit(X, Y, sample_domain=DOMAIN)
    assert model.guarded_
    assert model.used_weights_ == "source"


def test_it_goes_on_from_checkpoints(tmp_path, monkeypatch):
    whole, _ = fit(False, monkeypatch)
    rows = []
    for stop in (True, False):

        def seen(row, stop=stop):
            rows.append(row["epoch"])
            if stop and row["epoch"] == 2:
                raise KeyboardInterrupt

        try:
            model, _ = fit(False, monkeypatch, checkpoint=tmp_path, callbacks=seen)
        except KeyboardInterrupt:
            continue
    assert rows == [1, 2, 2, 3]  # the twin's epochs are not the callback's
    np.testing.assert_array_equal(model.predict_proba(X), whole.predict_proba(X))
    again, _ = fit(False, monkeypatch, checkpoint=tmp_path)
    np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))


def test_without_a_target_there_is_no_twin():
    model = DANN(**FAST, select=Selection(guard=True))
    with pytest.warns(UserWarning, match="no target rows"):
        model.fit(X, Y)
    assert not hasattr(model, "guarded_")
    assert list(model.weights_) == ["last"]
    with pytest.raises(ValueError, match="which must be"):
        model.use("source")


def test_a_regression_has_none():
    with pytest.raises(ValueError, match="select__guard=True compares classes"):
        DANNRegressor(**FAST, select=Selection(guard=True)).fit(X, X[:, 0], sample_domain=DOMAIN)


def clustered(n=300):
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, n)
    return rng.normal(size=(n, 4)) + 6 * np.eye(4)[true], true


def spoiled(labels, share, seed=1):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(labels)) < share, rng.integers(0, 3, len(labels)), labels)


@pytest.mark.parametrize(
    ("adapted", "source", "wanted"),
    [
        (0.1, 0.5, True),
        (0.5, 0.1, False),
        (0.4, 0.4, False),
        (0.0, 0.01, True),  # nearly the same
        (0.01, 0.0, True),
    ],
)
def test_the_evidence(adapted, source, wanted):
    x, true = clustered()
    assert guard.speaks_for(x, spoiled(true, adapted), spoiled(true, source, 2), 0) is wanted


def test_neighbors_alone_or_clusters_alone_are_not_enough():
    """One class for all rows agrees with all neighbors, and with no cluster."""
    x, true = clustered()
    assert not guard.speaks_for(x, np.zeros_like(true), spoiled(true, 0.6), 0)
    # Clusters that neighbors do not share: two groups in each cluster, mixed at random.
    rng = np.random.default_rng(2)
    mixed = true + 3 * rng.integers(0, 2, len(true))
    assert not guard.speaks_for(x, mixed, np.zeros_like(true), 0)


@pytest.mark.parametrize("shape", [(40, 3, 30, 20), (40, 28, 28), (40, 8, 8), (40, 300), (3, 200)])
def test_rows_as_they_are_seen(shape):
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    found = guard.as_seen(x, 0)
    assert len(found) == shape[0]
    assert found.shape[1] <= guard.COLUMNS
    assert np.isfinite(found).all()
    scaled = x * 1000 if x.ndim == 2 else x
    np.testing.assert_allclose(np.abs(guard.as_seen(scaled, 0)), np.abs(found), atol=1e-3)


@pytest.mark.parametrize(
    "make",
    [
        lambda X: X.astype(np.uint8),
        lambda X: sparse.csr_array(X.reshape(len(X), -1)),
        lambda X: X.reshape(len(X), -1).astype(np.float64),
    ],
)
def test_images_and_sparse_tables(make):
    rows = make(np.random.default_rng(0).integers(0, 256, (40, 12, 12)))
    model = DANN("mlp", **FAST, select=Selection(guard=True), lam=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuardWarning)
        model.fit(rows, np.arange(40) % 2, sample_domain=np.repeat([0, -1], 20))
    assert model.guarded_ in (True, False)
