"""`adapt`: a fitted DANN goes on with target rows alone, and can go back."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from torch import nn

from repkit import DANN, load
from repkit.dann import Entropy

FAST = {"max_epochs": 6, "steps_per_epoch": 10, "batch_size": 32, "random_state": 0, "width": 16}
pytestmark = pytest.mark.filterwarnings("ignore::repkit.NoTargetWarning")


def blobs(offset, seed, n=150):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    return (rng.normal(size=(n, 4)) + 3 * np.eye(4)[y] + offset).astype(np.float32), y


SOURCE, TARGET = blobs(0.0, 0), blobs([1.5, -1.0, 0.5, 0.0], 1)


@pytest.fixture
def model():
    return DANN(**FAST, learning_rate=1e-2, entropy=Entropy(smoothness=0.3)).fit(*SOURCE)


def state(model):
    return {k: v.clone() for m in model.networks_.values() for k, v in m.state_dict().items()}


@pytest.mark.parametrize("method", ["shot", "dirt_t"])
def test_it_adapts_and_goes_back(model, method, tmp_path):
    X, y = TARGET
    before, alone = model.predict_proba(X), model.score(X, y)
    assert model.adapt(X, method=method, max_epochs=10) is model
    assert model.score(X, y) > alone + 0.01
    assert model.used_weights_ == "adapted"
    assert len(model.adaptation_) == 10
    assert len(model.history_) == 6
    after = model.predict_proba(X)
    model.save(tmp_path / "m")
    for again in (pickle.loads(pickle.dumps(model)), load(tmp_path / "m")):
        np.testing.assert_array_equal(again.predict_proba(X), after)
        np.testing.assert_array_equal(again.use("last").predict_proba(X), before)
    np.testing.assert_array_equal(model.use("last").predict_proba(X), before)
    np.testing.assert_array_equal(model.use("adapted").predict_proba(X), after)


def test_one_seed_one_result_and_the_callers_numbers_are_left_alone(model):
    torch.manual_seed(3)
    expected = torch.rand(1)
    found = []
    for seed in (3, 4):
        model.use("last")
        torch.manual_seed(seed)
        model.adapt(TARGET[0], max_epochs=3)
        if seed == 3:
            assert torch.equal(torch.rand(1), expected)
        found.append(model.predict_proba(TARGET[0]))
    np.testing.assert_array_equal(*found)


def test_it_goes_on_from_the_weights_in_use(model):
    model.adapt(TARGET[0], max_epochs=2)
    first = model.predict_proba(TARGET[0])
    model.adapt(TARGET[0], max_epochs=2)
    assert np.abs(model.predict_proba(TARGET[0]) - first).max() > 1e-4
    model.adapt(TARGET[0], max_epochs=1, learning_rate=0.0)
    model.fit(*SOURCE)
    assert not hasattr(model, "adaptation_")
    assert set(model.weights_) == {"last"}


def test_what_was_set_since_the_fit_waits_for_the_next(model):
    model.adapt(TARGET[0], max_epochs=2)
    expected = model.predict_proba(TARGET[0])
    model.use("last").set_params(learning_rate=1.0, width=3, batch_size=7)
    model.adapt(TARGET[0], max_epochs=2)
    np.testing.assert_array_equal(model.predict_proba(TARGET[0]), expected)


def normed(shape_in, dim_out):
    return nn.Sequential(nn.Linear(shape_in[0], dim_out), nn.BatchNorm1d(dim_out), nn.ReLU())


@pytest.mark.parametrize("method", ["shot", "dirt_t"])
def test_statistics_of_the_target_alone_are_renewed(method):
    X = np.concatenate([SOURCE[0], TARGET[0]])
    y = np.concatenate([SOURCE[1], np.full(150, -1)])
    options = {"backbone": normed, "domain_norm": "separate", "ema": 0.5}
    rates = {"F": 1e-2, "D": 1e-3}
    model = DANN(**FAST, **options, learning_rate=rates, optimizer="sgd")
    model.fit(X, y, sample_domain=np.repeat(["a", "b"], 150), source="a")
    before = state(model)
    mean = next(k for k in before if k.endswith("running_mean"))
    D = [v.clone() for v in model.networks_["D"].state_dict().values()]
    model.adapt(TARGET[0] + 1.0, method=method, max_epochs=2)
    after = state(model)
    assert torch.equal(after[mean][0], before[mean][0])
    assert not torch.equal(after[mean][1], before[mean][1])
    for old, new in zip(D, model.networks_["D"].state_dict().values(), strict=True):
        assert torch.equal(old, new)
    model.adapt(SOURCE[0], sample_domain=["a"] * 150, method=method, max_epochs=1)
    assert not torch.equal(state(model)[mean][0], before[mean][0])
    domain = np.repeat(["a", "b"], 75)
    with pytest.raises(ValueError, match="must be one domain in a call of adapt, not 2"):
        model.adapt(SOURCE[0], sample_domain=domain)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "tent"}, r"^method must be one of \['shot', 'dirt_t'\], not 'tent'"),
        ({"max_epochs": 0}, "^max_epochs must be an integer of at least 1"),
        ({"learning_rate": -1}, "^learning_rate must be a number of at least 0"),
        ({"beta": "x"}, "^beta must be a number"),
        ({"X": TARGET[0][:1]}, "^X must have at least 2 rows, not 1"),
        ({"X": TARGET[0][:, :2]}, "X has 2 features"),
        ({"X": np.full((3, 4), np.nan)}, "X contains NaN"),
    ],
)
def test_what_is_refused(model, change, words):
    before = state(model)
    with pytest.raises((ValueError, TypeError), match=words):
        model.adapt(**{"X": TARGET[0], **change})
    for key, value in state(model).items():
        assert torch.equal(value, before[key])


def test_it_needs_a_fit():
    with pytest.raises(NotFittedError):
        DANN().adapt(TARGET[0])


def test_a_training_that_fails_is_told(model):
    model.set_params(optimizer="sgd").fit(*SOURCE)
    with pytest.warns(ConvergenceWarning, match="is not finite") as record:
        model.adapt(TARGET[0], learning_rate=1e30)
    assert record[0].filename == __file__
    assert np.isfinite(model.transform(TARGET[0])).all() or len(model.adaptation_) == 1
