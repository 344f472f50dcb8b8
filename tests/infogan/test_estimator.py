"""InfoGAN: fits, options, rates by network, the best of several trainings."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch import nn

from repkit import Discriminator, InfoGAN, load
from repkit.engine.modes import norms
from repkit.infogan import Categorical, Continuous

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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
def test_options_train(digits, options, tmp_path, plain):
    model = clone(plain).set_params(**options).fit(digits[:300])
    assert np.isfinite(model.history_.to_numpy(dtype=float)).all()
    assert np.abs(model.transform(digits) - plain.transform(digits)).max() > 1e-6
    if "augment" not in options and "strong_augment" not in options:
        model.save(tmp_path / "m.safetensors")
        # A file holds weights in another order of memory, by which convolutions round otherwise.
        found = load(tmp_path / "m.safetensors").transform(digits)
        np.testing.assert_allclose(found, model.transform(digits), atol=1e-5)


@quiet
def test_of_several_trainings_the_best_score_is_kept(digits, tmp_path, fast):
    fast |= {"learning_rate": 1e-2}
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
def test_statistics_are_those_of_the_data(digits, fast):
    fast |= {"batch_size": 100, "recalibrate": True}
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
def test_bad_parameters(digits, options, message, fast):
    with pytest.raises((ValueError, TypeError), match=message):
        InfoGAN(**{**fast, **options}).fit(digits[:50])


def test_a_name_that_is_none(digits):
    with pytest.raises(TypeError, match="has no parameter 'noise_dim'"):
        InfoGAN(noise_dim=3)
    with pytest.raises(ValueError, match="Categorical has no parameter 'lam'"):
        InfoGAN().set_params(categorical__lam=3)


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
def test_networks_have_learning_rates_of_their_own(digits, rates, still, fast):
    start = InfoGAN((3,), 1, **fast, learning_rate=0.0).fit(digits)
    model = InfoGAN((3,), 1, **fast, learning_rate=rates).fit(digits)
    for name in "BDQG":
        pairs = zip(
            model.networks_[name].parameters(), start.networks_[name].parameters(), strict=True
        )
        assert all(torch.equal(a, b) for a, b in pairs) == (name in still)


@quiet
@pytest.mark.parametrize(
    "rates", [dict.fromkeys("BDQ", 2e-4), {"G": 1e-3, "H": 1e-3}, {"B.0": 2e-4}], ids=str
)
def test_the_default_learning_rates_are_those_of_the_authors(digits, rates, fast):
    """Written out they give the same model; one that is changed another."""
    options = {**fast, "continuous": Continuous(2, contrastive=1.0)}
    model, same, other = (
        InfoGAN((3,), **options, learning_rate=r).fit(digits[:100]).transform(digits)
        for r in (None, rates, dict.fromkeys(rates, 0.003))
    )
    np.testing.assert_array_equal(same, model)
    assert np.abs(other - model).max() > 1e-5


@quiet
def test_fitted_attributes_appear_together(digits, fast):
    """Also with several trainings: what fails in the last of them leaves nothing of the first."""
    seen = []

    def fail(x):
        seen.append(x)
        if len(seen) == 30:  # three a step, eight steps a training
            raise RuntimeError("enough")
        return x

    model = InfoGAN((3,), 1, **fast, n_init=2, augment=fail)
    with pytest.raises(RuntimeError, match="enough"):
        model.fit(digits[:100])
    assert not [k for k in vars(model) if k.endswith("_")]
    with pytest.raises(NotFittedError):
        model.transform(digits)
    model.set_params(augment=None).fit(digits[:100])
    before, codes = dict(vars(model)), model.transform(digits)
    assert {"labels_", "scores_", "networks_", "weights_", "history_"} <= set(before)
    seen.clear()
    with pytest.raises(RuntimeError, match="enough"):
        model.set_params(augment=fail).fit(digits[:200])
    after = dict(vars(model), augment=None)
    assert after.keys() == before.keys()
    assert all(after[k] is v for k, v in before.items())
    np.testing.assert_array_equal(model.transform(digits), codes)


@quiet
def test_codes_that_are_gone_leave_no_labels(digits, fast):
    model = InfoGAN((3,), 1, **fast).fit(digits[:100])
    model.set_params(categorical=()).fit(digits[:100])
    assert not hasattr(model, "labels_")


@quiet
@pytest.mark.parametrize("body", ["mlp", "dcgan"])
def test_spectral_normalization_takes_the_place_of_batch_norm(digits, fast, body):
    """In the body, in D and in Q, of which the last has neither; G keeps its batch norm."""
    model = InfoGAN((3,), 1, **fast, discriminator=body, discriminator_norm="spectral")
    plain = clone(model).set_params(discriminator_norm="batch").fit(digits[:100]).networks_
    networks = model.fit(digits[:100]).networks_
    for name in "BD":
        layers = [m for m in networks[name].modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        assert layers
        assert all(hasattr(m, "parametrizations") for m in layers)
        assert not any(hasattr(m, "parametrizations") for m in plain[name].modules())
    assert not any(hasattr(m, "parametrizations") for m in networks["Q"].modules())
    assert not norms(networks["B"], networks["Q"])
    assert norms(plain["B"])
    assert norms(plain["Q"])
    assert norms(networks["G"])
