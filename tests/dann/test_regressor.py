"""DANNRegressor: numbers of any unit and shape, targets that must not be read, adaptation."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score

from repkit import DANNRegressor, load
from repkit.dann import Heads, Selection
from repkit.losses import weighted_squared_error

FAST = {"max_epochs": 4, "steps_per_epoch": 5, "batch_size": 16, "random_state": 0, "width": 12}
KINDS = ["adversarial", "coral", "mmd", "joint_mmd", "wasserstein", "discrepancy", None]
N = 100


def shifted(seed=0, n=N):
    """The target's first column is turned into the third, and moved."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(2 * n, 4))
    y = np.sin(2 * X[:, 0]) + X[:, 1]
    X[n:, 0] += X[n:, 2] + 0.8
    return X, y, np.repeat([0, -1], n)


def fit(y=None, **options):
    X, truth, domain = shifted()
    y = truth if y is None else y
    return DANNRegressor(**{**FAST, **options}).fit(X, y, sample_domain=domain)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ["joint", "alternating"])
def test_every_divergence(kind, order, tmp_path):
    model = fit(divergence=kind, updates=order)
    X = shifted()[0]
    assert np.isfinite(model.history_.to_numpy()).all()
    assert not {"entropy", "share_distance"} & set(model.history_)
    found = model.predict(X)
    assert found.shape == (2 * N,)
    model.save(tmp_path / "m")
    for again in (pickle.loads(pickle.dumps(model)), load(tmp_path / "m")):
        np.testing.assert_array_equal(again.predict(X), found)
    assert model.transform(X).shape == (2 * N, 12)
    if kind == "adversarial":
        assert set(model.predict_domain(X)) <= {0, -1}


def test_it_adapts():
    X, y, domain = shifted(n=300)
    target = domain < 0
    options = {"max_epochs": 20, "learning_rate": 3e-3, "random_state": 0}
    found = {}
    for kind in ("wasserstein", "mmd", None):
        model = DANNRegressor(**options, divergence=kind, lam=0.3).fit(X, y, sample_domain=domain)
        found[kind] = model.score(X[target], y[target])
    assert min(found["wasserstein"], found["mmd"]) > found[None] + 0.1, found


@pytest.mark.parametrize("kind", ["adversarial", "joint_mmd", "discrepancy"])
def test_no_number_of_a_target_row_is_read(kind):
    _, y, domain = shifted()
    expected = fit(divergence=kind).networks_
    for wrong in (np.nan, np.inf, 1e30):
        networks = fit(np.where(domain < 0, wrong, y), divergence=kind).networks_
        for name, network in networks.items():
            for key, value in network.state_dict().items():
                assert torch.equal(value, expected[name].state_dict()[key])
    fit([v if d >= 0 else None for v, d in zip(y, domain, strict=True)], divergence=kind)


def test_numbers_of_a_target_that_may_be_read():
    X, y, domain = shifted()
    half = np.where((domain < 0) & (np.arange(len(y)) % 2 > 0), np.nan, y)
    options = {"max_epochs": 30, "target_labels": True, "learning_rate": 1e-2}
    target = domain < 0
    with_labels = fit(half, **options).score(X[target], y[target])
    without = fit(half, **{**options, "target_labels": False}).score(X[target], y[target])
    assert with_labels > without + 0.05
    none = fit(np.where(target, np.nan, y), target_labels=True)
    np.testing.assert_array_equal(none.predict(X), fit(y).predict(X))


@pytest.mark.parametrize("shape", [(2 * N,), (2 * N, 1), (2 * N, 3)])
def test_the_shape_and_the_unit_of_y(shape):
    X, y, domain = shifted()
    Y = np.stack([y, -2 * y + 1e3, 1e-3 * y], 1)[:, : shape[-1] if len(shape) > 1 else 1]
    Y = Y.reshape(shape)
    model = fit(Y, max_epochs=30, learning_rate=1e-2)
    found = model.predict(X)
    assert found.shape == shape
    assert found.dtype == np.float64
    source = domain >= 0
    np.testing.assert_allclose(model.y_mean_, Y[source].mean(0), rtol=1e-9)
    np.testing.assert_allclose(model.y_scale_, Y[source].std(0), rtol=1e-9)
    assert model.score(X[source], Y[source]) > 0.7
    assert model.score(X, Y) == pytest.approx(r2_score(Y, found))


def test_the_unit_changes_nothing_but_the_unit():
    X, y, _ = shifted()
    expected = fit(y).predict(X)
    np.testing.assert_allclose(fit(1e6 * y - 5e6).predict(X), 1e6 * expected - 5e6, rtol=1e-3)
    np.testing.assert_array_equal(fit(pd.Series(y)).predict(X), expected)
    np.testing.assert_array_equal(fit(torch.tensor(y)).predict(X), expected)
    constant = fit(np.full(2 * N, 3.0))
    assert constant.y_scale_ == 1.0
    np.testing.assert_allclose(constant.predict(X), 3.0, atol=1.0)


def test_weights_of_rows():
    X, y, domain = shifted()
    weight = np.where(y > 0, 5.0, 0.1)
    model = DANNRegressor(**{**FAST, "max_epochs": 20}, lam=0.0)
    plain = clone(model).fit(X, y, sample_domain=domain).predict(X[:N])
    model.fit(X, y, sample_domain=domain, sample_weight=weight)
    np.testing.assert_allclose(model.y_mean_, np.average(y[:N], weights=weight[:N]), rtol=1e-6)
    assert model.predict(X[:N]).mean() > plain.mean() + 0.1


def test_the_label_loss_by_hand():
    found, y = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    assert weighted_squared_error(found, y, None).item() == pytest.approx((5 / 2 + 4 / 2) / 2)
    weight = torch.tensor([2.0, 0.5, 9.0])
    assert weighted_squared_error(found, y, weight).item() == pytest.approx((2 * 2.5 + 0.5 * 2) / 2)


def test_an_epoch_is_selected_by_a_callable():
    _, y, domain = shifted()
    seen, scores = {}, iter([0.1, 0.7, 0.3, 0.2])

    def scorer(model, X, labels, sample_domain):
        seen.update(X=X, labels=labels, domain=sample_domain)
        return next(scores)

    model = fit(select=Selection(scorer, validation_fraction=0.25))
    assert model.selected_epoch_ == 2
    assert (seen["domain"] >= 0).sum() == 25
    rows = [np.flatnonzero((shifted()[0] == x).all(1))[0] for x in seen["X"]]
    source = domain[rows] >= 0
    np.testing.assert_allclose(seen["labels"][source], y[rows][source], rtol=1e-5)
    assert (seen["labels"][~source] == model.y_mean_).all()  # masked
    with pytest.raises(ValueError, match="select='snd' is a score of classes; give a callable"):
        fit(select="snd")


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (None, "requires y to be passed"),
        (np.full(2 * N, np.nan), "Input y at source rows contains NaN"),
        (["a"] * (2 * N), "could not convert string to float"),
        (np.zeros((2 * N, 2, 2)), "dim 3"),
        (np.zeros(5), "inconsistent numbers of samples"),
    ],
)
def test_bad_numbers(y, words):
    X, _, domain = shifted()
    with pytest.raises(ValueError, match=words):
        DANNRegressor(**FAST).fit(X, y, sample_domain=domain)


def test_heads_and_misuse():
    with pytest.raises(ValueError, match="heads__label must give 1 logits, one for each of"):
        fit(heads=Heads(torch.nn.Linear(12, 2)))
    with pytest.raises(NotFittedError):
        DANNRegressor().predict(np.zeros((2, 3)))
    assert not hasattr(DANNRegressor(), "predict_proba")
    assert not hasattr(DANNRegressor(), "adapt")
