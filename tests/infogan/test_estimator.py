"""InfoGAN: codes by name, categories and labels, samples and traversals."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from torch import nn

from repkit import Discriminator, InfoGAN, load
from repkit.engine.modes import norms
from repkit.infogan import Categorical, Continuous
from repkit.infogan.monitor import judge_codes

FAST = {
    "latent_dim": 5,
    "width": 32,
    "max_epochs": 2,
    "steps_per_epoch": 4,
    "batch_size": 16,
    "random_state": 0,
}
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def digits():
    return (load_digits().images / 16).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return InfoGAN((4, 3), 2, **FAST).fit(digits[:300])


@pytest.fixture(scope="module")
def blobs():
    X, y = make_blobs(600, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    return X, y


@pytest.fixture(scope="module")
def on_blobs(blobs):
    model = InfoGAN(
        (3,),
        1,
        4,
        width=64,
        steps_per_epoch=100,
        max_epochs=8,
        batch_size=64,
        learning_rate=1e-3,
        random_state=0,
    )
    return model.fit(blobs[0])


def test_finds_the_blobs_without_a_label(blobs, on_blobs):
    X, y = blobs
    names = np.array(["red", "green", "blue"])[y]
    labels = on_blobs.match_labels(names)
    assert set(labels) == {"red", "green", "blue"}
    assert np.mean(labels[on_blobs.predict(X)] == names) > 0.9
    np.testing.assert_array_equal(on_blobs.match_labels(names, X), labels)
    np.testing.assert_array_equal(on_blobs.labels_, on_blobs.predict(X))
    last = on_blobs.history_.iloc[-1]
    assert last["accuracy_category0"] > 0.9
    assert 0.7 * np.log(3) < last["information_category0"] <= np.log(3)
    assert last["usage_category0"] > 0.9
    assert last["score"] > 0.7 * np.log(3)


def test_a_category_set_is_the_category_read(on_blobs):
    for category in range(3):
        samples = on_blobs.sample(50, {"category0": category}, random_state=0)
        assert np.mean(on_blobs.predict(samples) == category) > 0.8


def test_names_of_the_codes(fitted, digits):
    assert list(fitted.get_feature_names_out()) == [
        *(f"category0_{v}" for v in range(4)),
        *(f"category1_{v}" for v in range(3)),
        "continuous0",
        "continuous1",
    ]
    codes = fitted.transform(digits[:50])
    np.testing.assert_allclose(codes[:, :4].sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(codes[:, 4:7].sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(fitted.predict(digits[:50]), codes[:, :4].argmax(1))
    columns = set(fitted.history_)
    for code in ("category0", "category1", "continuous0", "continuous1"):
        assert {f"information_{code}", f"accuracy_{code}"} <= columns
    assert {"usage_category0", "usage_category1", "score", "d_real", "d_fake"} <= columns


def test_samples_take_the_codes_given(fitted):
    latents = fitted._latents_with(
        6, {"category1": [0, 1, 2, 0, 1, 2], "continuous1": 0.25, "category0": 3}, 0
    )
    np.testing.assert_array_equal(latents[:, 5:9], np.eye(4)[[3] * 6])
    np.testing.assert_array_equal(latents[:, 9:12], np.eye(3)[[0, 1, 2, 0, 1, 2]])
    np.testing.assert_array_equal(latents[:, 13], np.full(6, 0.25, dtype=np.float32))
    free = fitted._latents_with(6, {}, 0)
    np.testing.assert_array_equal(latents[:, :5], free[:, :5])
    np.testing.assert_array_equal(latents[:, 12], free[:, 12])
    for codes, message in (
        ({"category2": 0}, "there is no code 'category2'"),
        ({"category0": 4}, "category0 has the values 0 to 3"),
        ({"category0": 0.5}, "category0 has the values 0 to 3"),
        ({"continuous0": [1, 2]}, r"values of shape \(2,\); wanted one, or \(6,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.sample(6, codes)


def test_a_traversal_changes_one_code_along_a_row(fitted):
    samples = fitted.traverse("continuous1", [-1, 0, 1], n_rows=4, random_state=0)
    assert samples.shape == (4, 3, 8, 8)
    for row in range(4):
        latents = np.repeat(fitted._latents_with(4, {}, 0)[row : row + 1], 3, 0)
        latents[:, 13] = [-1, 0, 1]
        np.testing.assert_allclose(fitted._generate(latents), samples[row], atol=1e-5)
    assert fitted.traverse("category0").shape == (10, 4, 8, 8)
    assert fitted.traverse("continuous0").shape == (10, 10, 8, 8)
    with pytest.raises(ValueError, match="there is no code 'rotation'"):
        fitted.traverse("rotation")
    with pytest.raises(NotFittedError):
        InfoGAN().traverse("category0")


def test_labels_must_fit(fitted, digits, tmp_path):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.match_labels(np.zeros(10))
    fitted.save(tmp_path / "m.safetensors")
    copy = load(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="match_labels needs X"):
        copy.match_labels(np.zeros(300))
    y = load_digits().target[:300]
    np.testing.assert_array_equal(copy.match_labels(y, digits[:300]), fitted.match_labels(y))


@quiet
@pytest.mark.parametrize(
    "options",
    [
        {"continuous": Continuous(2, variance="learned")},
        {"discriminator_norm": "spectral", "discriminator": Discriminator(loss="hinge")},
        {"updates": "joint"},
        {"continuous": Continuous(2, contrastive=1.0)},
        {"categorical": Categorical((3,), invariance=1.0), "augment": nn.Dropout(0.2)},
        {"categorical": Categorical((3,), invariance=1.0), "strong_augment": nn.Dropout(0.2)},
        {"discriminator": Discriminator(r1=1.0)},
        {"discriminator": "conv"},
        {"discriminator": "dcgan", "generator": "dcgan"},
        {"categorical": Categorical((3,), weight=0.0)},
        {"continuous": Continuous(2, weight=0.0)},
    ],
    ids=str,
)
def test_options_train(digits, options, tmp_path):
    fast = {**FAST, "categorical": (3,), "steps_per_epoch": 17}
    model = InfoGAN(**{**fast, **options}).fit(digits[:300])
    plain = InfoGAN(**fast).fit(digits[:300])
    assert np.isfinite(model.history_.to_numpy(dtype=float)).all()
    assert np.abs(model.transform(digits) - plain.transform(digits)).max() > 1e-6
    if "augment" not in options and "strong_augment" not in options:
        model.save(tmp_path / "m.safetensors")
        # A file holds weights in another order of memory, by which convolutions round otherwise.
        found = load(tmp_path / "m.safetensors").transform(digits)
        np.testing.assert_allclose(found, model.transform(digits), atol=1e-5)


@quiet
@pytest.mark.parametrize("codes", [((), 2), ((5,), 0), ((2, 2, 2), 1)], ids=str)
def test_codes_of_every_kind(digits, codes):
    model = InfoGAN(*codes, **FAST).fit(digits[:300])
    width = sum(codes[0]) + codes[1]
    assert model.transform(digits).shape == (1797, width)
    assert model.sample(3).shape == (3, 8, 8)
    if codes[0]:
        assert model.fit_predict(digits[:300]).shape == (300,)
    else:
        for call in (model.predict, model.fit_predict):
            with pytest.raises(ValueError, match="categories need a categorical code"):
                call(digits)
        with pytest.raises(ValueError, match="categories need a categorical code"):
            model.match_labels(np.zeros(300))


def test_ignored_codes_are_named(digits):
    with pytest.warns(ConvergenceWarning, match="the generator ignores category0, continuous0"):
        InfoGAN(Categorical((3,), weight=0.0), Continuous(1, weight=0.0), **FAST).fit(digits)


def test_codes_that_work_are_not(on_blobs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge_codes(on_blobs.history_, on_blobs._codes())


@quiet
def test_of_several_trainings_the_best_score_is_kept(digits, tmp_path):
    fast = {**FAST, "learning_rate": 1e-2}
    model = InfoGAN((4,), 1, **fast, n_init=3).fit(digits[:300])
    assert model.scores_.shape == (3,)
    assert len(set(model.scores_)) == 3
    assert model.history_["score"].iloc[-1] == model.scores_.max()
    single = InfoGAN((4,), 1, **fast).fit(digits[:300])
    assert single.scores_[0] == model.scores_[0]
    np.testing.assert_array_equal(model.labels_, model.predict(digits[:300]))
    kept = InfoGAN((4,), 1, **fast, n_init=3, checkpoint=tmp_path).fit(digits[:300])
    np.testing.assert_array_equal(kept.transform(digits), model.transform(digits))
    again = InfoGAN((4,), 1, **fast, n_init=3, checkpoint=tmp_path).fit(digits[:300])
    np.testing.assert_array_equal(again.transform(digits), model.transform(digits))


@quiet
def test_statistics_are_those_of_the_data(digits):
    fast = {**FAST, "batch_size": 100}
    model = InfoGAN((3,), 1, **fast, validation_fraction=0.0).fit(digits[:200])
    body = model.networks_["B"]
    (norm,) = norms(body)
    seen = []
    for linear in (m for m in body.modules() if isinstance(m, nn.Linear) and m.bias is None):
        linear.register_forward_hook(lambda m, inputs, out: seen.append(out))
    with torch.no_grad():
        body(torch.from_numpy(digits[:200]))
    torch.testing.assert_close(norm.running_mean, seen[0].mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categorical": 10}, "^categorical must be a tuple of integers of at least 2, not 10$"),
        ({"categorical": (1,)}, "^categorical must be a tuple of integers"),
        ({"categorical": Categorical((1,))}, "^categorical__sizes must be a tuple of integers"),
        ({"categorical": Categorical((3,), weight=-1)}, "^categorical__weight must be a number of"),
        ({"categorical": (), "continuous": 0}, "leave no code"),
        ({"continuous": -1}, "^continuous must be an integer of at least 0, not -1$"),
        ({"continuous": Continuous(2, variance="free")}, "^continuous__variance must be one of"),
        ({"latent_dim": -1}, "latent_dim must be an integer of at least 0"),
        ({"updates": "simultaneous"}, "updates must be one of"),
        ({"discriminator_norm": "layer"}, "discriminator_norm must be one of"),
        ({"discriminator": Discriminator(loss="free")}, "^discriminator__loss must be one of"),
        ({"n_init": 0}, "n_init must be an integer of at least 1"),
        ({"continuous": Continuous(1, contrastive=1.0)}, "needs continuous__n of at least 2"),
        ({"categorical": Categorical((3,), invariance=1.0)}, "give augment or strong_augment"),
        ({"categorical": Categorical((), invariance=1.0)}, "needs a categorical code"),
        ({"learning_rate": "fast"}, "learning_rate must be a number"),
        ({"learning_rate": {"E": 1e-3}}, "learning_rate has a rate for 'E'"),
        ({"learning_rate": {"D": -1.0}}, r"learning_rate\['D'\] must be a number of at least 0"),
        ({"generator": "conv"}, "generator='conv' is not known"),
    ],
)
def test_bad_parameters(digits, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        InfoGAN(**{**FAST, **options}).fit(digits[:50])


def test_a_name_that_is_none(digits):
    with pytest.raises(TypeError, match="has no parameter 'noise_dim'"):
        InfoGAN(noise_dim=3)
    with pytest.raises(ValueError, match="Categorical has no parameter 'lam'"):
        InfoGAN().set_params(categorical__lam=3)


# -------------------------------------------------------------------- learning rates


@quiet
@pytest.mark.parametrize(
    ("rates", "still"),
    [
        ({"G": 0.0}, "G"),
        ({"D": 0.0, "B": 0.0}, "BD"),
        ({"Q": 0.0}, "Q"),
        (0.0, "BDQG"),
    ],
    ids=str,
)
def test_networks_have_learning_rates_of_their_own(digits, rates, still):
    options = {**FAST, "recalibrate": False}
    start = InfoGAN((3,), 1, **options, learning_rate=0.0).fit(digits)
    model = InfoGAN((3,), 1, **options, learning_rate=rates).fit(digits)
    for name in "BDQG":
        pairs = zip(
            model.networks_[name].parameters(), start.networks_[name].parameters(), strict=True
        )
        assert all(torch.equal(a, b) for a, b in pairs) == (name in still)


@quiet
@pytest.mark.parametrize(
    "rates", [dict.fromkeys("BDQ", 2e-4), {"G": 1e-3, "H": 1e-3}, {"B.0": 2e-4}], ids=str
)
def test_the_default_learning_rates_are_those_of_the_authors(digits, rates):
    """Written out they give the same model; one that is changed another."""
    options = {**FAST, "continuous": Continuous(2, contrastive=1.0)}
    model, same, other = (
        InfoGAN((3,), **options, learning_rate=r).fit(digits[:100]).transform(digits)
        for r in (None, rates, dict.fromkeys(rates, 0.003))
    )
    np.testing.assert_array_equal(same, model)
    assert np.abs(other - model).max() > 1e-5


# -------------------------------------------------------------------- parts


@quiet
def test_short_and_long_forms_are_one_model(digits):
    short = InfoGAN((4, 2), 1, **FAST, discriminator="mlp").fit(digits[:100])
    long = InfoGAN(
        Categorical((4, 2)), Continuous(1), **FAST, discriminator=Discriminator("mlp")
    ).fit(digits[:100])
    np.testing.assert_array_equal(short.transform(digits), long.transform(digits))
    np.testing.assert_array_equal(short.sample(3, random_state=0), long.sample(3, random_state=0))
    assert list(short.get_feature_names_out()) == list(long.get_feature_names_out())


def test_parameters_of_parts_are_set_from_outside():
    model = InfoGAN((4,), 3)
    model.set_params(categorical__invariance=0.5, continuous__contrastive=2.0)
    assert model.categorical.get_params() == {"sizes": (4,), "weight": 1.0, "invariance": 0.5}
    assert (model.continuous.n, model.continuous.contrastive) == (3, 2.0)
    model.set_params(categorical=(5, 2), categorical__weight=0.1)
    assert model.categorical.get_params() == {"sizes": (5, 2), "weight": 0.1, "invariance": 0.0}
    assert InfoGAN().categorical == (10,)  # the class's default is as it was
    found = model.get_params()
    assert (found["categorical__weight"], found["continuous__n"]) == (0.1, 3)
    copy = clone(model)
    assert copy.categorical is not model.categorical
    assert copy.get_params().keys() == found.keys()
    assert repr(copy) == repr(model)
    copy.set_params(categorical__weight=0.7)
    assert model.categorical.weight == 0.1


@quiet
def test_a_grid_search_over_the_parameter_of_a_part(digits):
    model = InfoGAN((4,), 1, **FAST, augment=nn.Dropout(0.2))
    grid = {"categorical__invariance": [0.0, 1.0]}
    search = GridSearchCV(
        model, grid, cv=2, scoring=lambda m, X, y=None: m.history_["loss_D"].iloc[-1]
    ).fit(digits[:100])
    first, second = search.cv_results_["mean_test_score"]
    assert first != second
    assert (
        "invariance_loss"
        in clone(model).set_params(categorical__invariance=1.0).fit(digits).history_
    )
    assert search.best_estimator_.categorical.sizes == (4,)


@quiet
def test_parts_in_a_model_file(digits, tmp_path):
    model = InfoGAN(Categorical([3, 2], weight=0.5), Continuous(2, variance="learned"), **FAST)
    model.fit(digits[:100]).save(tmp_path / "m.safetensors")
    found = load(tmp_path / "m.safetensors")
    assert repr(found.continuous) == "Continuous(2, variance='learned')"
    assert found.categorical.get_params() == {"sizes": (3, 2), "weight": 0.5, "invariance": 0.0}
    np.testing.assert_array_equal(found.transform(digits), model.transform(digits))


# -------------------------------------------------------------------- a fit is whole or not at all


@quiet
def test_fitted_attributes_appear_together(digits):
    """Also with several trainings: what fails in the last of them leaves nothing of the first."""
    seen = []

    def fail(row):
        seen.append(row["epoch"])
        if len(seen) == 3:
            raise RuntimeError("enough")

    model = InfoGAN((3,), 1, **FAST, n_init=2, callbacks=fail)
    with pytest.raises(RuntimeError, match="enough"):
        model.fit(digits[:100])
    assert not [k for k in vars(model) if k.endswith("_")]
    with pytest.raises(NotFittedError):
        model.transform(digits)
    model.set_params(callbacks=None).fit(digits[:100])
    before, codes = dict(vars(model)), model.transform(digits)
    assert {"labels_", "scores_", "networks_", "weights_", "history_"} <= set(before)
    seen.clear()
    with pytest.raises(RuntimeError, match="enough"):
        model.set_params(callbacks=fail).fit(digits[:200])
    assert {k: v for k, v in vars(model).items() if k.endswith("_")}.keys() == {
        k for k in before if k.endswith("_")
    }
    assert all(vars(model)[k] is v for k, v in before.items() if k.endswith("_"))
    np.testing.assert_array_equal(model.transform(digits), codes)


@quiet
def test_codes_that_are_gone_leave_no_labels(digits):
    model = InfoGAN((3,), 1, **FAST).fit(digits[:100])
    model.set_params(categorical=()).fit(digits[:100])
    assert not hasattr(model, "labels_")
