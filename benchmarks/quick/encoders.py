"""BiGAN and InfoGAN on scikit-learn's digits."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import bigan_mnist, infogan_mnist
from benchmarks.gan_recipes import BIGAN_DIGITS, INFOGAN_DIGITS
from benchmarks.quick.table import Figures, Part, Picture, against, seconds_of
from benchmarks.runner import Case
from repkit import VAE, BiGAN, InfoGAN, ReconstructionDisplay, TraversalDisplay
from repkit.metrics import linear_probe, reconstruction_ratio

TASK = "digits, 8 x 8"
# Half of the benchmark's steps; the VAE has as many seconds, and a code of the same size.
OURS: dict[str, Any] = {**BIGAN_DIGITS, "latent_dim": 50, "max_epochs": 6}
TWIN: dict[str, Any] = {
    **{k: OURS[k] for k in ("latent_dim", "width", "ema", "steps_per_epoch")},
    "max_epochs": 14,
}
UNTRAINED = {"max_epochs": 1, "steps_per_epoch": 1, "learning_rate": 0.0}


@cache
def bigan(device: str, seed: int) -> BiGAN:
    return bigan_mnist.fit("digits", OURS, device, seed)


@cache
def infogan(device: str, seed: int) -> InfoGAN:
    return infogan_mnist.fit("digits", INFOGAN_DIGITS, device, seed)


# ---------------------------------------------------------------- BiGAN

NAMES = (
    "BiGAN, 50 numbers",
    "VAE, 50 numbers, as many seconds",
    "BiGAN, untrained",
    "all 64 pixels",
)


def judge(model: BiGAN | VAE) -> dict[str, float]:
    """What a linear classifier reads off the codes, and how well they are inverted."""
    X, y, X_test, y_test = bigan_mnist.load("digits")
    probe = linear_probe(model.transform(X), y, model.transform(X_test), y_test)
    return {
        "linear probe": probe["accuracy"],
        "r": reconstruction_ratio(X_test, model.reconstruct(X_test)),
        **seconds_of(model),
    }


def bigan_cases(device: str) -> list[Case]:
    """The BiGAN, a VAE, and what needs no training."""
    ours, vae, untrained, pixels = NAMES
    X, y, X_test, y_test = bigan_mnist.load("digits")

    def trained(seed: int) -> dict[str, float]:
        return judge(bigan(device, seed).set_params(output="latent"))

    def twin(seed: int) -> dict[str, float]:
        return judge(VAE(**TWIN, device=device, random_state=seed).fit(X))

    def start(seed: int) -> dict[str, float]:
        settings = {**OURS, **UNTRAINED, "output": "latent"}
        return judge(bigan_mnist.fit("digits", settings, device, seed))

    def raw(seed: int) -> dict[str, float]:
        flat = X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)
        return {"linear probe": linear_probe(flat[0], y, flat[1], y_test)["accuracy"]}

    return [
        Case(TASK, "BiGAN", ours, trained),
        Case(TASK, "BiGAN", vae, twin),
        Case(TASK, "BiGAN", untrained, start),
        Case(TASK, "BiGAN", pixels, raw, seeds=1),
    ]


def bigan_sentence(found: Figures) -> str:
    ours, vae, _, pixels = (found(TASK, name, "linear probe") for name in NAMES)
    back = [found(TASK, name, "r") for name in NAMES[:3]]
    return (
        f"Its encoder and generator learn to invert each other: the error of rebuilding falls from "
        f"{back[2]:.2f} to {back[0]:.2f} (a VAE's is {back[1]:.2f}). For reading labels its code "
        f"({ours:.1%}) is {against(ours, vae, 0.005)} the VAE's ({vae:.1%}) and "
        f"{against(ours, pixels, 0.005)} the pixels themselves ({pixels:.1%})."
    )


def bigan_pictures(out: Path, device: str) -> list[Picture]:
    """Reconstructions."""
    X, _, X_test, _ = bigan_mnist.load("digits")
    path = out / "quick-reconstructions.png"
    display = ReconstructionDisplay.from_estimator(bigan(device, 0), X_test, X, random_state=0)
    display.figure_.savefig(path, dpi=110)
    return [
        Picture(
            path,
            "Test digits, G(E(x)) below each, and the training digit that is nearest to that.",
        )
    ]


BIGAN_PART = Part(
    "BiGAN",
    "an encoder that a generator inverts",
    bigan_cases,
    {
        "linear probe": "labels read by a linear classifier",
        "r": "error of rebuilding (1: as of any other digit)",
    },
    bigan_sentence,
    bigan_pictures,
)

# ---------------------------------------------------------------- InfoGAN

CATEGORIES, CLUSTERS = "InfoGAN", "k-means of pixels"


def infogan_cases(device: str) -> list[Case]:
    """Categories beside clusters."""

    def named(seed: int) -> dict[str, float]:
        model = infogan(device, seed)
        return {**infogan_mnist.judge_infogan("digits", model), **seconds_of(model)}

    return [
        Case(TASK, "InfoGAN", CATEGORIES, named),
        Case(
            TASK,
            "k-means",
            CLUSTERS,
            lambda seed: infogan_mnist.kmeans("digits", "pixels", device, seed),
        ),
    ]


def infogan_sentence(found: Figures) -> str:
    ours, theirs = (found(TASK, name, "category accuracy") for name in (CATEGORIES, CLUSTERS))
    read = found(TASK, CATEGORIES, "codes read off samples")
    return (
        f"Without a label, {ours:.0%} of the test digits fall into a category of their own digit, "
        f"which is {against(ours, theirs, 0.02)} k-means of pixels ({theirs:.0%}); and the "
        f"categories are knobs: {read:.0%} of the digits it makes show the category asked for."
    )


def infogan_pictures(out: Path, device: str) -> list[Picture]:
    """What each code turns."""
    path = out / "quick-traversals.png"
    TraversalDisplay.from_estimator(infogan(device, 0), random_state=0).figure_.savefig(
        path, dpi=110
    )
    return [Picture(path, "What turning a code does: a column for each value of it.")]


INFOGAN_PART = Part(
    "InfoGAN",
    "clusters and factors without labels",
    infogan_cases,
    {
        "category accuracy": "digits in a category of their own",
        "codes read off samples": "made as the category asked for",
    },
    infogan_sentence,
    infogan_pictures,
)
