"""InfoGAN: codes by name, categories and labels, samples and traversals."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from torch import nn

from repkit import InfoGAN, load
from repkit.engine.modes import norms
from repkit.infogan.monitor import judge_codes

FAST = {
    "noise_dim": 5,
    "n_features": 32,
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
        n_features=64,
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
        {"variance": "learned"},
        {"discriminator_norm": "spectral", "loss": "hinge"},
        {"updates": "simultaneous"},
        {"contrastive": 1.0},
        {"invariance": 1.0, "augment": nn.Dropout(0.2)},
        {"invariance": 1.0, "view_augment": nn.Dropout(0.2)},
        {"r1": 1.0},
        {"lam_categorical": 0.0},
        {"lam_continuous": 0.0},
    ],
    ids=str,
)
def test_options_train(digits, options, tmp_path):
    fast = {**FAST, "steps_per_epoch": 17}
    model = InfoGAN((3,), 2, **fast, **options).fit(digits[:300])
    plain = InfoGAN((3,), 2, **fast).fit(digits[:300])
    assert np.isfinite(model.history_.to_numpy(dtype=float)).all()
    assert np.abs(model.transform(digits) - plain.transform(digits)).max() > 1e-6
    if "augment" not in options and "view_augment" not in options:
        model.save(tmp_path / "m.safetensors")
        np.testing.assert_array_equal(
            load(tmp_path / "m.safetensors").transform(digits), model.transform(digits)
        )


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
        InfoGAN((3,), 1, **FAST, lam_categorical=0.0, lam_continuous=0.0).fit(digits)


def test_codes_that_work_are_not(on_blobs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge_codes(on_blobs.history_, on_blobs._codes())


@quiet
def test_of_several_trainings_the_best_score_is_kept(digits, tmp_path):
    model = InfoGAN((4,), 1, **FAST, n_init=3).fit(digits[:300])
    assert model.scores_.shape == (3,)
    assert len(set(model.scores_)) == 3
    assert model.history_["score"].iloc[-1] == model.scores_.max()
    single = InfoGAN((4,), 1, **FAST).fit(digits[:300])
    assert single.scores_[0] == model.scores_[0]
    np.testing.assert_array_equal(model.labels_, model.predict(digits[:300]))
    kept = InfoGAN((4,), 1, **FAST, n_init=3, checkpoint=tmp_path).fit(digits[:300])
    np.testing.assert_array_equal(kept.transform(digits), model.transform(digits))
    again = InfoGAN((4,), 1, **FAST, n_init=3, checkpoint=tmp_path).fit(digits[:300])
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
        ({"categorical": 10}, "categorical must be a tuple of integers"),
        ({"categorical": (1,)}, "categorical must be a tuple of integers"),
        ({"categorical": (), "continuous": 0}, "InfoGAN needs a code"),
        ({"continuous": -1}, "continuous must be an integer of at least 0"),
        ({"noise_dim": -1}, "noise_dim must be an integer of at least 0"),
        ({"variance": "free"}, "variance must be one of"),
        ({"updates": "both"}, "updates must be one of"),
        ({"discriminator_norm": "layer"}, "discriminator_norm must be one of"),
        ({"n_init": 0}, "n_init must be an integer of at least 1"),
        ({"contrastive": 1.0, "continuous": 1}, "it needs two or more"),
        ({"invariance": 1.0}, "needs augment or view_augment"),
        ({"invariance": 1.0, "categorical": ()}, "needs a categorical code"),
        ({"lam_categorical": -1}, "lam_categorical must be between"),
        ({"generator_learning_rate": "fast"}, "generator_learning_rate must be a number"),
    ],
)
def test_bad_parameters(digits, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        InfoGAN(**{**FAST, **options}).fit(digits[:50])


@quiet
@pytest.mark.parametrize(
    ("name", "still"), [("learning_rate", "BDQ"), ("generator_learning_rate", "G")]
)
def test_each_player_has_its_learning_rate(digits, name, still):
    options = {**FAST, "recalibrate": False}
    start = InfoGAN((3,), 1, **options, learning_rate=0.0, generator_learning_rate=0.0).fit(digits)
    model = InfoGAN((3,), 1, **options, **{name: 0.0}).fit(digits)
    for network in "BDQG":
        pairs = zip(
            model.networks_[network].parameters(),
            start.networks_[network].parameters(),
            strict=True,
        )
        assert all(torch.equal(a, b) for a, b in pairs) == (network in still)
