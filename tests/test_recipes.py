"""Named settings: each fits its class, is a new one each time, and stands once."""

import numpy as np
import pytest
import torch

import repkit
from benchmarks import gan_recipes, speech_arabic, triplegan_mnist, vaegan_mnist
from benchmarks import recipes as of_adaptation
from repkit import recipes

NAMES = {
    "bigan": ("BiGAN", ("digits", "mnist", "mnist-paper")),
    "infogan": ("InfoGAN", ("digits", "mnist", "mnist-paper")),
    "vae": ("VAE", ("digits", "mnist")),
    "vaegan": ("VAEGAN", ("digits", "mnist")),
    "triplegan": ("TripleGAN", ("digits", "mnist")),
    "dann": (
        "DANN",
        (
            "gray-digits",
            "color-digits",
            "meters",
            "words",
            "word-clusters",
            "reviews",
            "denoised-reviews",
            "sensors",
            "deep-features",
        ),
    ),
    "speech": (
        "SpeechAutoencoder",
        (
            "words",
            "words-large",
            "frames",
            "few-voices",
            "few-voices-large",
            "few-voices-quantized",
        ),
    ),
}
EACH = [(system, name) for system, (_, names) in NAMES.items() for name in names]
SHAPES = {"digits": (1, 8, 8), "meters": (3, 32, 32), "color-digits": (3, 28, 28)}
FEW = {"max_epochs": 1, "steps_per_epoch": 1, "device": "cpu", "random_state": 0}


@pytest.mark.parametrize(("system", "name"), EACH)
def test_a_recipe_is_one_of_its_class(system, name):
    settings = getattr(recipes, system)(name)
    model = getattr(repkit, NAMES[system][0])(**settings)._resolved()
    assert "max_epochs" in settings
    assert f'"{name}"' in getattr(recipes, system).__doc__
    settings["max_epochs"] = 0
    assert getattr(recipes, system)(name)["max_epochs"] == model.max_epochs


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("system", "name"),
    [
        ("bigan", "digits"),
        ("triplegan", "digits"),
        ("dann", "meters"),
        ("dann", "reviews"),
        ("dann", "denoised-reviews"),
        ("dann", "sensors"),
        ("dann", "deep-features"),
    ],
)
def test_a_recipe_trains(system, name):
    X = np.random.default_rng(0).random((24, *SHAPES.get(name, (12,)))).astype(np.float32)
    model = getattr(repkit, NAMES[system][0])(**{**getattr(recipes, system)(name), **FEW})
    given = {"bigan": (), "triplegan": (np.arange(24) % 3,)}
    model.fit(X, *given.get(system, (np.arange(24) % 3, np.repeat([1, -1], 12))))
    assert len(model.transform(X)) == 24


@pytest.mark.parametrize("name", ["gray-digits", "denoised-reviews", "deep-features"])
def test_a_recipe_of_adaptation_is_read_back(name, tmp_path):
    shape = (1, 28, 28) if name == "gray-digits" else (12,)
    X = np.random.default_rng(0).random((24, *shape)).astype(np.float32)
    model = repkit.DANN(**{**recipes.dann(name), **FEW})
    model.fit(X, np.arange(24) % 3, np.repeat([1, -1], 12)).save(tmp_path / "m.pt")
    back = repkit.load(tmp_path / "m.pt")
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))
    dropped = [m.p for m in back.networks_["F"].modules() if isinstance(m, torch.nn.Dropout)]
    assert dropped == {"denoised-reviews": [0.8, 0.5], "deep-features": [0.5, 0.5]}.get(name, [])


@pytest.mark.parametrize("name", ["words", "frames"])
def test_a_recipe_of_speech_trains_and_is_read_back(name, tmp_path):
    frames = list(np.random.default_rng(0).normal(size=(24, 30, 40)))
    given = {**recipes.speech(name), **FEW, "batch_size": (2, 2)}
    model = repkit.SpeechAutoencoder(**given).fit(frames, np.arange(24) % 4)
    model.save(tmp_path / "m.pt")
    back = repkit.load(tmp_path / "m.pt")
    p = [np.concatenate(m.transform_frames(frames)) if name == "frames" else m.transform(frames)
         for m in (model, back)]  # fmt: skip
    np.testing.assert_array_equal(*p)


def test_an_unknown_name_lists_those_that_there_are():
    with pytest.raises(ValueError, match=r"name must be one of \['mnist', 'digits', 'mnist-paper'"):
        recipes.bigan("cifar")


def test_parts_are_not_shared():
    one, other = recipes.infogan("digits"), recipes.infogan("digits")
    assert one["categorical"] is not other["categorical"]
    one["categorical"].invariance = 7.0
    assert recipes.infogan("digits")["categorical"].invariance == 2.0


def test_the_benchmarks_use_them():
    assert gan_recipes.BIGAN_DIGITS.keys() == recipes.bigan("digits").keys()
    assert gan_recipes.INFOGAN_PAPER["max_epochs"] == 50
    assert triplegan_mnist.MNIST["width"] == recipes.triplegan("mnist")["width"]
    assert vaegan_mnist.SETTINGS["MNIST"]["VAEGAN"] == recipes.vaegan("mnist")
    assert speech_arabic.VOICED.keys() == {**speech_arabic.RECIPE, **speech_arabic.SPEAKER}.keys()
    assert not speech_arabic.RECIPE.keys() & speech_arabic.SPEAKER.keys()
    base, strong = of_adaptation.COLOR, of_adaptation.TEXTURE
    whole = recipes.dann("color-digits")
    assert {*base, *of_adaptation.PSEUDO_COLOR, "strong_augment"} == set(whole)
    assert base["steps_per_epoch"] == 250
    assert repr(strong) == repr(whole["strong_augment"])
