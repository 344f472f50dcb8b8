"""VAE, VAE-GAN and Triple-GAN on scikit-learn's digits."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import triplegan_mnist, vaegan_mnist
from benchmarks.bigan_mnist import load
from benchmarks.quick.table import Figures, Part, Picture, against, seconds_of
from benchmarks.referee import distance
from benchmarks.runner import Case
from repkit import (
    VAE,
    VAEGAN,
    InterpolationDisplay,
    ReconstructionDisplay,
    SampleGridDisplay,
    TripleGAN,
)
from repkit.metrics import linear_probe

TASK = "digits, 8 x 8"
EPOCHS = 20  # a third of the benchmark's
N_LABELS = 50
LABELS = f"digits, {N_LABELS} of 1400 labeled"
# Shorter than the benchmark's, and run once; the classifier alone has as many seconds.
TRIPLE: dict[str, Any] = {**triplegan_mnist.DIGITS, "width": 128, "max_epochs": 8}
ALONE: dict[str, Any] = {**TRIPLE, "generator": None, "max_epochs": 24}


@cache
def autoencoder(system: str, device: str, seed: int) -> VAE | VAEGAN:
    settings = {**vaegan_mnist.SETTINGS["digits"][system], "max_epochs": EPOCHS}
    return vaegan_mnist.fit("digits", system, settings, device, seed)


@cache
def judged(system: str, device: str, seed: int) -> dict[str, float]:
    model = autoencoder(system, device, seed)
    return {**vaegan_mnist.judge("digits", model, device), **seconds_of(model)}


@cache
def triplegan(device: str, seed: int) -> TripleGAN:
    return triplegan_mnist.fit("digits", N_LABELS, TRIPLE, device, seed)


# ---------------------------------------------------------------- VAE

CODE, COMPONENTS, PIXELS = "VAE, 16 numbers", "PCA, 16 numbers", "all 64 pixels"


def vae_cases(device: str) -> list[Case]:
    """The VAE beside PCA and the pixels themselves."""

    def pixels(seed: int) -> dict[str, float]:
        X, y, X_test, y_test = load("digits")
        flat = X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)
        return {"linear probe": linear_probe(flat[0], y, flat[1], y_test)["accuracy"]}

    return [
        Case(TASK, "VAE", CODE, lambda seed: judged("VAE", device, seed)),
        Case(TASK, "PCA", COMPONENTS, lambda s: vaegan_mnist.pca("digits", 16, device), seeds=1),
        Case(TASK, "pixels", PIXELS, pixels, seeds=1),
    ]


def vae_sentence(found: Figures) -> str:
    ours, theirs = (found(TASK, name, "linear probe") for name in (CODE, COMPONENTS))
    return (
        f"16 numbers of the VAE stand for 64 pixels: a linear classifier reads {ours:.1%} of the "
        f"test digits from them, which is {against(ours, theirs, 0.01)} 16 numbers of PCA "
        f"({theirs:.1%}); unlike PCA it also makes new digits."
    )


def vae_pictures(out: Path, device: str) -> list[Picture]:
    """New digits, and ways from one digit to another."""
    model, X_test = autoencoder("VAE", device, 0), load("digits")[2]
    path = out / "quick-interpolations.png"
    display = InterpolationDisplay.from_estimator(model, X_test[:5], X_test[5:10])
    display.figure_.savefig(path, dpi=110)
    return [Picture(path, "From one test digit to another in eight steps through the VAE's code.")]


VAE_PART = Part(
    "VAE",
    "images in a few numbers",
    vae_cases,
    {
        "linear probe": "labels read by a linear classifier",
        "read rightly": "digits still read after rebuilding",
        "r": "error of rebuilding (1: as of any other digit)",
    },
    vae_sentence,
    vae_pictures,
)

# ---------------------------------------------------------------- VAE-GAN

GAN, PLAIN = "VAE-GAN", "VAE of the same networks"


def gan_cases(device: str) -> list[Case]:
    """The VAE-GAN, the VAE, and what no generator is expected to beat."""

    def real(seed: int) -> dict[str, float]:
        X, _, X_test, _ = load("digits")
        rows = np.random.default_rng(0).choice(len(X), len(X_test), replace=False)
        found = distance("digits", X[rows], device)
        return {"Frechet, samples": found["Frechet"], "recall": found["recall"]}

    return [
        Case(TASK, "VAEGAN", GAN, lambda seed: judged("VAEGAN", device, seed)),
        Case(TASK, "VAEGAN", PLAIN, lambda seed: judged("VAE", device, seed)),
        Case(TASK, "VAEGAN", "real digits", real, seeds=1),
    ]


def gan_sentence(found: Figures) -> str:
    ours, theirs = (found(TASK, name, "Frechet, samples") for name in (GAN, PLAIN))
    read = [found(TASK, name, "read rightly") for name in (GAN, PLAIN)]
    return (
        f"Its new digits lie {ours:.0f} from real ones, where those of a VAE lie {theirs:.0f} "
        f"(Fréchet distance, less is better), and of rebuilt digits {read[0]:.1%} are still read "
        f"rightly, against {read[1]:.1%}."
    )


def gan_pictures(out: Path, device: str) -> list[Picture]:
    """Test digits as both rebuild them."""
    models = {
        "VAE": autoencoder("VAE", device, 0),
        "VAE-GAN": autoencoder("VAEGAN", device, 0),
    }
    path = out / "quick-reconstructions-of-two.png"
    display = ReconstructionDisplay.from_estimators(models, load("digits")[2], random_state=0)
    display.figure_.savefig(path, dpi=110)
    return [Picture(path, "Test digits, and how the VAE and the VAE-GAN rebuild them.")]


VAEGAN_PART = Part(
    "VAEGAN",
    "sharp samples and reconstructions",
    gan_cases,
    {
        "Frechet, samples": "distance of new digits to real ones (Fréchet)",
        "recall": "real digits among the new ones (recall)",
        "read rightly": "digits still read after rebuilding",
    },
    gan_sentence,
    gan_pictures,
)

# ---------------------------------------------------------------- Triple-GAN

TRIPLE_NAME, ALONE_NAME = "Triple-GAN", "its classifier alone, as many seconds"


def triplegan_cases(device: str) -> list[Case]:
    """The whole, the classifier alone, and what scikit-learn has."""

    def ours(seed: int) -> dict[str, float]:
        model = triplegan(device, seed)
        return {**triplegan_mnist.judge("digits", model, device), **seconds_of(model)}

    def alone(seed: int) -> dict[str, float]:
        return triplegan_mnist.triplegan("digits", N_LABELS, ALONE, device, seed)

    spreading = triplegan_mnist.SHALLOW["LabelSpreading", "10 neighbors"]
    training = triplegan_mnist.SHALLOW["SelfTraining", "logistic regression"]
    return [
        Case(LABELS, "TripleGAN", TRIPLE_NAME, ours, seeds=1),
        Case(LABELS, "TripleGAN", ALONE_NAME, alone, seeds=1),
        Case(
            LABELS,
            "LabelSpreading",
            "scikit-learn's LabelSpreading",
            lambda seed: triplegan_mnist.shallow("digits", N_LABELS, spreading, seed),
        ),
        Case(
            LABELS,
            "SelfTraining",
            "scikit-learn's SelfTraining",
            lambda seed: triplegan_mnist.shallow("digits", N_LABELS, training, seed),
        ),
    ]


def triplegan_sentence(found: Figures) -> str:
    ours, alone = (found(LABELS, name, "error") for name in (TRIPLE_NAME, ALONE_NAME))
    theirs = found(LABELS, "scikit-learn's LabelSpreading", "error")
    asked = found(LABELS, TRIPLE_NAME, "samples of the class asked for")
    return (
        f"From {N_LABELS} labels it misreads {ours:.1%} of the test digits, which is "
        f"{against(-ours, -theirs, 0.01)} LabelSpreading ({theirs:.1%}) and "
        f"{against(-ours, -alone, 0.01)} its classifier alone ({alone:.1%}); and {asked:.0%} of "
        "the digits that it makes are what it was asked for."
    )


def triplegan_pictures(out: Path, device: str) -> list[Picture]:
    """Samples by class."""
    path = out / "quick-samples-by-class.png"
    display = SampleGridDisplay.from_estimator(triplegan(device, 0), random_state=0)
    display.figure_.savefig(path, dpi=110)
    return [Picture(path, "Digits that Triple-GAN makes, a row for each class asked for.")]


TRIPLEGAN_PART = Part(
    "TripleGAN",
    "a classifier from few labels, and samples by class",
    triplegan_cases,
    {"error": "test digits misread", "samples of the class asked for": "made as asked for"},
    triplegan_sentence,
    triplegan_pictures,
)
