"""VAE, VAE-GAN and Triple-GAN on scikit-learn's digits."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from benchmarks import triplegan_mnist, vaegan_mnist
from benchmarks.bigan_mnist import load
from benchmarks.runner import Case
from repkit import (
    VAE,
    VAEGAN,
    InterpolationDisplay,
    ReconstructionDisplay,
    SampleGridDisplay,
    TripleGAN,
)

N_LABELS = 50
WANTED = {
    "TripleGAN": ("classifier alone, equal time",),
    "LabelSpreading": ("10 neighbors",),
    "SelfTraining": ("logistic regression",),
}


@cache
def autoencoder(system: str, device: str, seed: int) -> VAE | VAEGAN:
    return vaegan_mnist.fit("digits", system, vaegan_mnist.SETTINGS["digits"][system], device, seed)


@cache
def triplegan(device: str, seed: int) -> TripleGAN:
    return triplegan_mnist.fit("digits", N_LABELS, triplegan_mnist.DIGITS, device, seed)


def cases(device: str) -> list[Case]:
    """The recipes beside what needs little training."""
    listed = [
        Case(
            "digits",
            system,
            next(iter(vaegan_mnist.VARIANTS[system])),
            lambda seed, s=system: vaegan_mnist.judge(
                "digits", autoencoder(s, device, seed), device
            ),
            seeds=2,
        )
        for system in ("VAEGAN", "VAE")
    ]
    title = f"digits, {N_LABELS} labels"
    listed.append(
        Case(
            title,
            "TripleGAN",
            "recipe",
            lambda seed: triplegan_mnist.judge("digits", triplegan(device, seed), device),
            seeds=2,
        )
    )
    listed += [
        Case(case.task, case.system, case.variant, case.run, seeds=2)
        for case in triplegan_mnist.cases("quick", device)
        if case.task == title and case.variant in WANTED.get(case.system, ())
    ]
    return listed


def figures(out: Path, device: str) -> list[Path]:
    """Reconstructions of both, samples by class, a way from digit to digit."""
    X_test = load("digits")[2]
    models = {
        "VAE": autoencoder("VAE", device, 0),
        "VAE-GAN": autoencoder("VAEGAN", device, 0),
    }
    displays = {
        "reconstructions-of-two": ReconstructionDisplay.from_estimators(
            models, X_test, random_state=0
        ),
        "interpolations": InterpolationDisplay.from_estimator(
            models["VAE-GAN"], X_test[:5], X_test[5:10]
        ),
        "samples-by-class": SampleGridDisplay.from_estimator(triplegan(device, 0), random_state=0),
    }
    paths = []
    for name, display in displays.items():
        paths.append(out / f"quick-{name}.png")
        display.figure_.savefig(paths[-1], dpi=110)
    return paths
