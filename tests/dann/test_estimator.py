"""The estimator: input of every kind, labels that must not be read, an adversary that lives."""

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from repkit import DANN, NoTargetWarning, load
from repkit.dann import Heads, Selection, Updates
from repkit.datasets import load_digits_domains, make_domains
from repkit.metrics import (
    DEVScorer,
    InfoMaxScorer,
    information_maximization,
    proxy_a_distance,
)

FAST = {"max_epochs": 4, "steps_per_epoch": 5, "batch_size": 16, "random_state": 0}


@pytest.fixture(scope="module")
def moons():
    return make_domains(n_samples=120, random_state=0)


@pytest.fixture(scope="module")
def digits():
    return load_digits_domains(random_state=0)


def same_networks(a: DANN, b: DANN) -> bool:
    return all(
        torch.equal(v, b.networks_[name].state_dict()[key])
        for name in a.networks_.keys() & b.networks_.keys()
        for key, v in a.networks_[name].state_dict().items()
    )


def fit(data, y=None, **options) -> DANN:
    model = DANN(**{**FAST, **options})
    return model.fit(data.X, data.y if y is None else y, sample_domain=data.sample_domain)


# -------------------------------------------------------------------- what is learned


def test_adapts_to_the_turned_moons():
    gains = []
    for seed in range(2):
        data, test = make_domains(random_state=seed), make_domains(random_state=100 + seed)
        target = test.sample_domain < 0
        options = {"max_epochs": 30, "steps_per_epoch": 20, "learning_rate": 3e-3}
        model = DANN(**options, random_state=seed)
        model.fit(data.X, data.y, sample_domain=data.sample_domain)
        source = data.sample_domain >= 0
        alone = clone(model).fit(data.X[source], data.y[source])
        gains.append(
            model.score(test.X[target], test.y[target])
            - alone.score(test.X[target], test.y[target])
        )
    assert np.mean(gains) > 0.05, gains  # 0.11 over eight seeds


@pytest.mark.parametrize("updates", ["joint", "alternating"])
def test_lam_zero_is_source_only_bit_for_bit(moons, updates):
    """The target rows of a batch change none of the source's numbers."""
    source = moons.sample_domain >= 0
    alone = DANN(**FAST, updates=updates).fit(moons.X[source], moons.y[source])
    without = fit(moons, lam=0.0, updates=updates)
    adapted = fit(moons, lam=1.0, updates=updates)
    # The label path of lam=0 is what the label loss alone makes of the same batches...
    with pytest.warns(ConvergenceWarning, match="dead"):
        unread = fit(moons, lam=0.0, updates=updates, heads=Heads(domain=DeadHead))
    assert same_networks_of(without, unread, "FC")
    # ...and what a fit without any target row does.
    assert same_networks_of(without, alone, "FC")
    assert not same_networks_of(without, adapted, "F")


class DeadHead(nn.Module):
    """A domain classifier through which nothing can pass."""

    def __init__(self, shape_in, dim_out):
        super().__init__()
        self.dim_out = dim_out
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, f):
        return (0.0 * self.scale * f[:, :1]).expand(-1, self.dim_out)


def same_networks_of(a: DANN, b: DANN, names: str) -> bool:
    return all(
        torch.equal(v, b.networks_[name].state_dict()[key])
        for name in names
        for key, v in a.networks_[name].state_dict().items()
    )


def test_the_domain_classifier_alone_learns(moons):
    model = fit(moons, lam=0.0, max_epochs=20, steps_per_epoch=20, learning_rate=3e-3)
    loss = model.history_["domain_loss"]
    assert loss.iloc[-1] < 0.85 * loss.iloc[0]
    assert np.mean(model.predict_domain(moons.X) == moons.sample_domain) > 0.65


def test_proxy_a_distance_falls_on_real_digits(digits):
    source = digits.sample_domain >= 0
    X = digits.X.reshape(len(digits.X), -1)
    options = {
        "updates": Updates("alternating", d_steps=5),
        "optimizer": "sgd",
        "learning_rate": 0.05,
        "learning_rate_schedule": "dann",
        "width": 16,
        "max_epochs": 15,
        "steps_per_epoch": 40,
        "random_state": 0,
    }
    distance, accuracy = {}, {}
    for lam in (0.0, 1.0):
        model = DANN(lam=lam, **options).fit(X, digits.y, sample_domain=digits.sample_domain)
        f = model.transform(X)
        distance[lam] = proxy_a_distance(f[source], f[~source])
        accuracy[lam] = model.score(digits.X_test.reshape(len(digits.X_test), -1), digits.y_test)
    assert distance[1.0] < distance[0.0] - 0.3, distance
    assert accuracy[1.0] > accuracy[0.0] + 0.1, accuracy


def test_target_labels_are_never_read(moons):
    target = moons.sample_domain < 0
    model = fit(moons)
    for wrong in (1 - moons.y, np.full(len(moons.y), -1), np.full(len(moons.y), np.nan)):
        y = np.where(target, wrong, moons.y)
        other = fit(moons, y=y)
        assert same_networks(model, other)
        pd.testing.assert_frame_equal(
            model.history_.drop(columns="seconds"), other.history_.drop(columns="seconds")
        )
    for unreadable in ("unknown", None):
        y = [unreadable if t else ("a", "b")[k] for t, k in zip(target, moons.y, strict=True)]
        assert same_networks(model, fit(moons, y=y))


def test_target_labels_are_never_read_by_a_selecting_scorer(moons):
    target = moons.sample_domain < 0
    options = {"select": Selection(DEVScorer(), validation_fraction=0.3)}
    model = fit(moons, **options)
    other = fit(moons, y=np.where(target, 1 - moons.y, moons.y), **options)
    assert same_networks(model, other)
    assert "score" in model.history_
    assert model.selected_epoch_ == model.history_["score"].idxmax() + 1


def test_held_back_rows_are_scored_and_not_trained_on(moons):
    seen = {}

    def constant(estimator, X, y, sample_domain=None):
        seen["X"], seen["domain"] = X, sample_domain
        return 0.0

    options = {"select": Selection(constant, validation_fraction=0.25)}
    model = fit(moons, **options)
    held = seen["X"][seen["domain"] >= 0]
    assert len(held) == 30
    assert (seen["domain"] < 0).sum() == 120
    rows = (moons.X[:, None] == held).all(2).any(1)
    other = sklearn.utils.Bunch(**{**moons, "X": np.where(rows[:, None], 5.0, moons.X)})
    assert same_networks(model, fit(other, **options))
    assert not same_networks(fit(moons), fit(other))


def test_the_selected_epoch_predicts(moons):
    model = fit(moons, select="infomax", max_epochs=6, learning_rate=0.1)
    target = moons.sample_domain < 0
    scores = model.history_["infomax"]
    assert model.selected_epoch_ == scores.idxmax() + 1 < 6
    chosen = model.predict_proba(moons.X[target])
    assert information_maximization(chosen) == pytest.approx(scores.max(), abs=1e-5)
    last = model.use("last").predict_proba(moons.X[target])
    assert information_maximization(last) == pytest.approx(scores.iloc[-1], abs=1e-5)
    np.testing.assert_array_equal(model.use("selected").predict_proba(moons.X[target]), chosen)
    with pytest.raises(ValueError, match="which must be one of"):
        model.use("best")


def test_target_labels_opt_in(moons):
    target = np.flatnonzero(moons.sample_domain < 0)
    y = moons.y.astype(float)
    y[target] = np.nan
    few = target[:: len(target) // 8]
    labeled = y.copy()
    labeled[few] = moons.y[few]
    assert same_networks(fit(moons, y=y), fit(moons, y=labeled))
    assert not same_networks(fit(moons, y=y), fit(moons, y=labeled, target_labels=True))
    labeled[few[0]] = 7
    with pytest.raises(ValueError, match=r"label 7\.0 at the target row"):
        fit(moons, y=labeled, target_labels=True)


# -------------------------------------------------------------------- the adversary, watched


def test_history_shows_the_adversary(moons):
    model = fit(moons)
    columns = {"label_loss", "domain_loss", "domain_accuracy", "domain_chance", "lam"}
    columns |= {"entropy", "infomax", "snd", "bnm", "mano", "epoch", "step", "seconds"}
    assert columns <= set(model.history_)
    assert (model.history_["domain_chance"] == 0.5).all()
    assert model.history_["lam"].is_monotonic_increasing


def test_a_dead_adversary_is_named(moons):
    with pytest.warns(ConvergenceWarning, match="domain classifier is dead") as record:
        DANN(**FAST, heads=Heads(domain=DeadHead)).fit(
            moons.X, moons.y, sample_domain=moons.sample_domain
        )
    assert record[0].filename == __file__  # the caller's line


def test_a_collapsed_adversary_is_named(moons):
    X = np.where(moons.sample_domain[:, None] >= 0, moons.X, moons.X + 40)
    model = DANN(**{**FAST, "max_epochs": 8, "steps_per_epoch": 20}, lam=1e-4)
    with pytest.warns(ConvergenceWarning, match="adversary has collapsed"):
        model.fit(X, moons.y, sample_domain=moons.sample_domain)


def test_divergence_keeps_the_last_good_weights(moons):
    model = DANN(**{**FAST, "learning_rate": 1e30, "optimizer": "sgd"})
    with pytest.warns(ConvergenceWarning, match="is not finite"):
        model.fit(moons.X, moons.y, sample_domain=moons.sample_domain)
    assert np.isfinite(model.transform(moons.X[:3])).all() or model.history_["failed_step"].any()
    assert {"failed_step", "failed_term"} <= set(model.history_)


# -------------------------------------------------------------------- input of every kind


@pytest.mark.parametrize("updates", ["joint", "alternating"])
@pytest.mark.parametrize("conditional", [False, True, "entropy"])
@pytest.mark.parametrize("domain_norm", ["shared", "separate"])
def test_every_form_trains(digits, updates, conditional, domain_norm):
    model = fit(
        digits,
        backbone="conv",
        width=16,
        updates=Updates(updates, d_steps=2),
        conditional=conditional,
        domain_norm=domain_norm,
        entropy=0.1,
        consistency=1.0,
        ema=0.9,
        select="infomax",
    )
    assert np.isfinite(model.history_.to_numpy(dtype=float)).all()
    assert model.transform(digits.X).shape == (len(digits.X), 16)
    assert set(model.predict_domain(digits.X)) <= {1, -2}


def test_images_in_every_shape_and_type(digits, tmp_path):
    uint8 = np.rint(digits.X * 255).astype(np.uint8)
    plain = fit(digits, backbone="conv", width=8)
    digits8 = {**digits, "X": uint8.astype(np.float32) / 255}
    expected = fit(sklearn.utils.Bunch(**digits8), backbone="conv", width=8)
    path = tmp_path / "X.npy"
    np.save(path, uint8)
    for X in (uint8, uint8[:, 0], torch.from_numpy(uint8), np.load(path, mmap_mode="r")):
        model = DANN(backbone="conv", width=8, **FAST)
        model.fit(X, digits.y, sample_domain=digits.sample_domain)
        assert model.input_shape_ == X.shape[1:]
        np.testing.assert_allclose(
            model.predict_proba(X), expected.predict_proba(digits8["X"]), atol=1e-5
        )
    assert plain.transform(digits.X.astype(np.float64)).dtype == np.float64
    assert plain.transform(digits.X).dtype == np.float32
    with pytest.raises(ValueError, match="was fitted on samples of shape"):
        plain.predict(digits.X[:, :, :4])


def test_a_memory_map_is_read_in_pieces(tmp_path):
    """Only rows of the batch at hand: the file is never copied whole to the device."""
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, (400, 3))
    X[:] = np.random.default_rng(0).normal(size=X.shape)
    y, domain = np.arange(400) % 2, np.repeat([1, -2], 200)
    read_only = np.load(tmp_path / "X.npy", mmap_mode="r")
    mapped = DANN(**FAST).fit(read_only, y, sample_domain=domain)
    in_memory = DANN(**FAST).fit(np.array(X), y, sample_domain=domain)
    assert same_networks(mapped, in_memory)


@pytest.mark.parametrize("labels", [["cat", "dog"], [5, 9], [1.0, 2.0], [False, True]])
def test_labels_of_any_kind(moons, labels):
    y = np.asarray(labels)[moons.y]
    model = fit(moons, y=y)
    assert list(model.classes_) == sorted(labels)
    assert set(model.predict(moons.X)) <= set(labels)
    assert same_networks(model, fit(moons))


def test_data_frames_and_feature_names(moons):
    X = pd.DataFrame(moons.X, columns=["left", "up"])
    model = DANN(**FAST, width=3)
    model.fit(X, pd.Series(moons.y), sample_domain=pd.Series(moons.sample_domain))
    assert list(model.feature_names_in_) == ["left", "up"]
    out = model.set_output(transform="pandas").transform(X)
    assert list(out.columns) == ["dann0", "dann1", "dann2"]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X.rename(columns={"left": "right"}))


def test_several_sources_and_targets():
    rng = np.random.default_rng(0)
    domain = np.repeat([3, 1, -2, -7], [50, 30, 40, 20])
    X = rng.normal(size=(140, 4)) + domain[:, None] / 5
    y = rng.integers(0, 3, 140)
    for options in ({}, {"domain_norm": "separate", "backbone": with_norm}):
        model = DANN(**FAST, **options).fit(X, y, sample_domain=domain)
        assert list(model.domains_) == [1, 3, -2, -7]
        assert model.networks_["D"](torch.zeros(2, 128)).shape == (2, 4)
        assert set(model.predict_domain(X)) <= set(domain) if not options else True
    with pytest.raises(ValueError, match="give sample_domain"):
        model.predict(X)
    assert model.predict(X, sample_domain=domain).shape == (140,)
    with pytest.raises(ValueError, match=r"\[5\], not seen in fit"):
        model.predict(X, sample_domain=np.full(140, 5))


def named(data):
    return np.where(data.sample_domain >= 0, "north", "south")


@pytest.mark.parametrize("domain_norm", ["shared", "separate"])
@pytest.mark.parametrize("sample_domain", [None, "1 and -1", "names", "positive"])
def test_what_domains_are_called_changes_nothing(moons, sample_domain, domain_norm):
    options = {
        "select": Selection(DEVScorer(), validation_fraction=0.3),
        "backbone": with_norm,
        "domain_norm": domain_norm,
    }
    expected = fit(moons, **options)
    domain = {
        None: moons.sample_domain,
        "1 and -1": np.sign(moons.sample_domain),
        "names": named(moons),
        "positive": np.where(moons.sample_domain >= 0, 8, 3),
    }[sample_domain]
    source = {"names": "north", "positive": [8]}.get(sample_domain)
    model = DANN(**FAST, **options).fit(moons.X, moons.y, sample_domain=domain, source=source)
    assert same_networks(model, expected)
    assert model.history_["score"].equals(expected.history_["score"])
    assert set(model.predict_domain(moons.X)) <= set(domain)


def test_domains_with_names_through_all_methods(moons, tmp_path):
    domain = named(moons)
    options = {"domain_norm": "separate", "backbone": with_norm}
    model = DANN(**FAST, **options)
    out = model.fit_transform(moons.X, moons.y, sample_domain=domain, source="north")
    assert model.domains_.tolist() == ["north", "south"]
    assert model.n_source_domains_ == 1
    np.testing.assert_array_equal(out, model.transform(moons.X, domain))
    target = domain == "south"
    np.testing.assert_array_equal(model.transform(moons.X)[target], out[target])
    assert np.abs(model.transform(moons.X)[~target] - out[~target]).max() > 1e-3
    expected = fit(moons, **options)
    assert same_networks(model, expected)
    proba = model.predict_proba(moons.X, pd.Series(domain))
    np.testing.assert_array_equal(proba, expected.predict_proba(moons.X, moons.sample_domain))
    with pytest.raises(
        ValueError, match=r"\['west'\], not seen in fit; known are \['north', 'south'"
    ):
        model.predict(moons.X, np.full(len(moons.X), "west"))
    model.save(tmp_path / "m")
    again = load(tmp_path / "m", backbone=with_norm)
    np.testing.assert_array_equal(again.predict_proba(moons.X, domain), proba)


def test_domains_with_names_are_routed(moons):
    """In a cross-validation, the domains are cut into folds, and the sources are given whole."""
    rows = np.random.default_rng(0).permutation(len(moons.X))
    with sklearn.config_context(enable_metadata_routing=True):
        found = cross_validate(
            DANN(**FAST),
            moons.X[rows],
            moons.y[rows],
            params={"sample_domain": named(moons)[rows], "source": "north"},
            cv=2,
            error_score="raise",
        )
    assert (found["test_score"] > 0.5).all()


def with_norm(shape_in, dim_out):
    return nn.Sequential(nn.Linear(shape_in[0], dim_out), nn.BatchNorm1d(dim_out), nn.ReLU())


@pytest.mark.parametrize(
    ("shape", "layer"), [((1, 12, 12), nn.Conv2d), ((1, 8, 8), nn.Linear), ((20,), nn.Linear)]
)
def test_the_backbone_by_itself(shape, layer):
    """Convolutions for images of at least 12x12, as in the other estimators."""
    rng = np.random.default_rng(0)
    X, y = rng.random((40, *shape), dtype=np.float32), np.arange(40) % 2
    model = DANN(**FAST, width=7).fit(X, y, sample_domain=np.repeat([1, -1], 20))
    kinds = [m for m in model.networks_["F"].modules() if hasattr(m, "weight")]
    assert isinstance(kinds[0], layer)
    assert model.transform(X).shape == (40, 7)


def test_a_pretrained_backbone_with_rates_of_its_own(moons):
    """Frozen layers stay as they are, statistics included; the rest has its own rates."""
    backbone = nn.Sequential(
        nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6)), nn.Tanh(), nn.Linear(6, 5)
    )
    backbone[0].requires_grad_(False)
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    model = fit(moons, backbone=backbone, learning_rate={"F": 0.0, "F.0.2": 1e-3, "D": 1e-2})
    after = model.networks_["F"][0].state_dict()
    for name, value in before.items():
        assert torch.equal(after[name], value) == name.startswith("0.")
    still = fit(moons, backbone=backbone, learning_rate={"F": 0.0, "D": 1e-2})
    for name, value in before.items():
        assert torch.equal(still.networks_["F"][0].state_dict()[name], value)
    fresh = fit(moons, backbone=backbone, learning_rate=0.0)  # C has the default, not 0
    assert not same_networks_of(still, fresh, "C")
    assert not same_networks_of(still, fresh, "D")
    for wrong in ("G", "F.0.9", "F.0.2.weight"):
        with pytest.raises(ValueError, match=f"learning_rate has a rate for {wrong!r}"):
            fit(moons, backbone=backbone, learning_rate={wrong: 0.1})


def test_optimizers_of_the_users_own(moons):
    """A callable gets parameter groups and the rate; SGD so made is SGD by name."""
    made = []

    def sgd(parameters, learning_rate):
        made.append(parameters)
        return torch.optim.SGD(parameters, learning_rate, momentum=0.9)

    assert same_networks(fit(moons, optimizer=sgd), fit(moons, optimizer="sgd"))
    assert {"params", "lr"} <= set(made[0][0])
    options = {"learning_rate": {"F": 1e-4, "C": 1e-2}}
    by_name, own = (fit(moons, optimizer=o, **options) for o in ("sgd", sgd))
    assert same_networks(own, by_name)
    assert not same_networks(fit(moons, optimizer=torch.optim.RAdam), fit(moons))


def test_separate_norms_give_each_row_its_domain(digits):
    model = fit(digits, backbone="conv", domain_norm="separate", width=8)
    whole = model.transform(digits.X, digits.sample_domain)
    for domain in (1, -2):
        rows = digits.sample_domain == domain
        alone = model.transform(digits.X[rows], digits.sample_domain[rows])
        np.testing.assert_allclose(whole[rows], alone, atol=1e-5)
    target = digits.sample_domain < 0
    np.testing.assert_allclose(model.transform(digits.X)[target], whole[target], atol=1e-5)
    assert np.abs(model.transform(digits.X)[~target] - whole[~target]).max() > 1e-3


def test_networks_of_the_users_own(moons):
    backbone = nn.Sequential(nn.Linear(2, 5), nn.Tanh())
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    model = fit(moons, backbone=backbone, heads=nn.Linear(5, 2))
    assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())
    assert model.transform(moons.X).shape == (240, 5)
    assert not torch.equal(model.networks_["F"][0][0].weight, before["0.weight"])
    # Given weights are where training starts: pretrained backbones are the point.
    model = fit(moons, backbone=backbone, learning_rate=0.0)
    assert torch.equal(model.networks_["F"][0][0].weight, before["0.weight"])
    for options, message in (
        ({"backbone": "resnet"}, "backbone='resnet' is not known"),
        ({"backbone": 3}, "backbone must be a string"),
        ({"backbone": nn.Linear(3, 4)}, r"backbone does not take samples of shape \(2,\)"),
        ({"backbone": "conv"}, "use 'mlp' for tables"),
        ({"heads": nn.Linear(128, 3)}, "heads__label must give 2 logits"),
        ({"heads": Heads(domain=nn.Linear(128, 1))}, "heads__domain must give 2 logits"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            fit(moons, **options)


# -------------------------------------------------------------------- errors


def test_no_target_rows_trains_on_the_source_and_warns(moons):
    with pytest.warns(NoTargetWarning, match="no target rows") as record:
        model = DANN(**FAST).fit(moons.X, moons.y)
    assert record[0].filename == __file__
    assert "D" not in model.networks_
    with pytest.raises(ValueError, match="no domain classifier"):
        model.predict_domain(moons.X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_domain": np.full(240, -2)}, "target rows .< 0. only"),
        ({"sample_domain": np.r_[np.ones(239), -2]}, "1 row of the domain -2"),
        ({"sample_domain": np.repeat([1.5, -2], 120)}, "must hold integers"),
        ({"sample_domain": np.repeat(["a", "b"], 120)}, "has names; say which of them are sources"),
        ({"sample_domain": [1, -2]}, "one domain for each of the 240 rows"),
        ({"y": np.zeros(240)}, "only one class: "),
        ({"y": None}, "requires y to be passed"),
        ({"y": np.zeros(3)}, "inconsistent numbers of samples"),
        ({"X": np.full((240, 2), np.nan)}, "Input X contains NaN"),
        ({"X": np.zeros((240, 0))}, "0 feature"),
        ({"X": np.zeros((240, 1, 2, 3, 4))}, "X has 5 dimensions"),
    ],
)
def test_bad_data(moons, change, message):
    data = {"X": moons.X, "y": moons.y, "sample_domain": moons.sample_domain, **change}
    with pytest.raises(ValueError, match=message):
        DANN(**FAST).fit(**data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"updates": "both"}, "updates must be one of"),
        ({"conditional": "yes"}, "conditional must be one of"),
        ({"domain_norm": "none"}, "domain_norm must be one of"),
        ({"optimizer": "rmsprop"}, "optimizer must be 'adam', 'sgd' or a callable"),
        ({"lam": "up"}, "lam must be one of"),
        ({"lam": -1.0}, "lam must be a number of at least 0"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
        ({"max_epochs": 1.5}, "max_epochs must be an integer"),
        ({"learning_rate": "fast"}, "learning_rate must be a number"),
        ({"learning_rate_schedule": "step"}, "learning_rate_schedule must be one of"),
        ({"consistency": 1.0}, "needs ema > 0"),
        ({"select": "accuracy"}, "select must be None, a scorer or one of"),
        ({"device": "gpu0"}, "device must be 'auto', 'cpu' or another .* not 'gpu0'"),
        ({"precision": "fp8"}, "precision must be one of"),
    ],
)
def test_bad_parameters(moons, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fit(moons, **options)


# -------------------------------------------------------------------- scikit-learn around it


def test_in_a_pipeline_and_a_grid_search(moons):
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler(), DANN(**FAST))
        pipeline.fit(moons.X, moons.y, sample_domain=moons.sample_domain)
        assert pipeline.predict(moons.X).shape == (240,)
        search = GridSearchCV(
            pipeline, {"dann__lam": [0.0, 1.0]}, scoring=InfoMaxScorer(), cv=2, error_score="raise"
        )
        rows = np.random.default_rng(0).permutation(240)
        search.fit(moons.X[rows], moons.y[rows], sample_domain=moons.sample_domain[rows])
        assert set(search.best_params_) == {"dann__lam"}
        assert search.best_estimator_[-1].networks_.keys() == {"F", "C", "D"}


@pytest.mark.parametrize("through", ["pickle", "joblib", "file"])
def test_copies_predict_the_same(digits, tmp_path, through):
    model = fit(digits, backbone="conv", domain_norm="separate", ema=0.9, select="snd")
    if through == "pickle":
        copy = pickle.loads(pickle.dumps(model))
    elif through == "joblib":
        joblib.dump(model, tmp_path / "m")
        copy = joblib.load(tmp_path / "m")
    else:
        model.save(tmp_path / "m.safetensors")
        copy = load(tmp_path / "m.safetensors")
        assert copy.get_params() == model.get_params()
        assert copy.history_.to_dict() == model.history_.to_dict()
    for which in ("last", "selected"):
        expected = model.use(which).predict_proba(digits.X_test)
        np.testing.assert_array_equal(copy.use(which).predict_proba(digits.X_test), expected)


def test_the_callers_random_state_is_left_alone(moons):
    np.random.seed(3)
    torch.manual_seed(3)
    expected = np.random.random(), torch.rand(1)
    np.random.seed(3)
    torch.manual_seed(3)
    fit(moons)
    assert np.random.random() == expected[0]
    assert torch.equal(torch.rand(1), expected[1])


def test_seeds(moons):
    assert same_networks(fit(moons), fit(moons))
    assert not same_networks(fit(moons), fit(moons, random_state=1))
    first = DANN(**{**FAST, "random_state": np.random.RandomState(0)})
    first.fit(moons.X, moons.y, sample_domain=moons.sample_domain)
    assert not same_networks(first, fit(moons, random_state=1))


def test_warm_start_goes_on_from_the_weights(moons):
    model = fit(moons, warm_start=True)
    weights = model.networks_["F"][0][0].weight.clone()
    model.set_params(learning_rate=0.0)
    model.fit(moons.X, moons.y, sample_domain=moons.sample_domain)
    assert torch.equal(model.networks_["F"][0][0].weight, weights)
    with pytest.raises(ValueError, match="warm_start=True needs data of the same shape"):
        model.fit(np.c_[moons.X, moons.X], moons.y, sample_domain=moons.sample_domain)


def test_checkpoint_resumes(moons, tmp_path):
    def interrupt(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    options = {"checkpoint": tmp_path / "run", "backbone": dropping}
    with pytest.raises(KeyboardInterrupt):
        fit(moons, callbacks=[interrupt], **options)
    rows = []
    resumed = fit(moons, callbacks=[rows.append], **options)
    assert [row["epoch"] for row in rows] == [2, 3, 4]
    assert same_networks(resumed, fit(moons, backbone=dropping))
    assert list(resumed.history_["epoch"]) == [1, 2, 3, 4]


def dropping(shape_in, dim_out):
    return nn.Sequential(nn.Linear(shape_in[0], dim_out), nn.ReLU(), nn.Dropout(0.3))


def test_callbacks_see_rows_and_can_stop(moons):
    seen = []
    model = fit(moons, callbacks=[seen.append, lambda row: row["epoch"] == 2])
    assert [row["epoch"] for row in seen] == [1, 2]
    assert model.n_iter_ == 2


def test_bf16_agrees_with_fp32(digits):
    full = fit(digits, backbone="conv", precision="fp32").predict_proba(digits.X_test)
    half = fit(digits, backbone="conv", precision="bf16").predict_proba(digits.X_test)
    assert 0 < np.abs(full - half).max() < 0.1


def test_warnings_of_a_plain_fit(moons):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(moons)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu(digits):
    model = fit(digits, backbone="conv", device="cuda", precision="fp32")
    assert model.device_.type == "cuda"
    on_cpu = fit(digits, backbone="conv", device="cpu", precision="fp32")
    assert np.abs(model.predict_proba(digits.X) - on_cpu.predict_proba(digits.X)).max() < 0.05
    assert next(pickle.loads(pickle.dumps(model)).networks_["F"].parameters()).device.type == "cpu"


def test_separate_statistics_that_there_are_none_of(moons):
    X, y, domain = moons.X, moons.y, moons.sample_domain
    model = DANN(domain_norm="separate", width=8, max_epochs=1, steps_per_epoch=1)
    with pytest.warns(
        UserWarning, match="domain_norm='separate' changes nothing: the backbone has"
    ):
        model.fit(X, y, sample_domain=domain)
    model.set_params(backbone=with_norm).fit(X, y, sample_domain=domain)
