"""BiGAN and InfoGAN on scikit-learn's digits."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import bigan_mnist, infogan_mnist
from benchmarks.gan_recipes import BIGAN_DIGITS, BIGAN_TWIN, INFOGAN_DIGITS
from benchmarks.quick.table import Figures, Part, Picture, against, seconds_of
from benchmarks.runner import Case
from repkit import BiGAN, InfoGAN, ReconstructionDisplay, TraversalDisplay

TASK = "digits, 8 x 8"
# Half of the benchmark's steps, and of those of the VAE beside it.
OURS: dict[str, Any] = {**BIGAN_DIGITS, "max_epochs": 6}
TWIN: dict[str, Any] = {**BIGAN_TWIN["digits"], "beta": 1.0, "steps": 1200}
UNTRAINED = {"max_epochs": 1, "steps_per_epoch": 1, "learning_rate": 0.0}


@cache
def bigan(device: str, seed: int) -> BiGAN:
    return bigan_mnist.fit("digits", OURS, device, seed)


@cache
def infogan(device: str, seed: int) -> InfoGAN:
    return infogan_mnist.fit("digits", INFOGAN_DIGITS, device, seed)


# ---------------------------------------------------------------- BiGAN

NAMES = ("BiGAN", "VAE of the same networks and time", "BiGAN, untrained", "all 64 pixels")


def bigan_cases(device: str) -> list[Case]:
    """The BiGAN, a VAE of its networks, and what needs no training."""
    ours, vae, untrained, pixels = NAMES

    def judge(seed: int) -> dict[str, float]:
        model = bigan(device, seed)
        return {**bigan_mnist.judge_bigan("digits", model, device), **seconds_of(model)}

    return [
        Case(TASK, "BiGAN", ours, judge),
        Case(TASK, "VAE", vae, lambda s: bigan_mnist.autoencoder("digits", TWIN, device, s)),
        Case(
            TASK,
            "BiGAN",
            untrained,
            lambda s: bigan_mnist.bigan("digits", {**OURS, **UNTRAINED}, device, s),
        ),
        Case(TASK, "pixels", pixels, lambda s: bigan_mnist.raw("digits", device), seeds=1),
    ]


def bigan_sentence(found: Figures) -> str:
    ours, vae, untrained, _ = (found(TASK, name, "linear probe") for name in NAMES)
    back = [found(TASK, name, "r") for name in NAMES[:2]]
    return (
        f"A linear classifier reads {ours:.1%} of the test digits from BiGAN's features, which is "
        f"{against(ours, vae, 0.005)} a VAE of the same networks ({vae:.1%}) and "
        f"{against(ours, untrained, 0.005)} the networks untrained ({untrained:.1%}): images this "
        f"small need no encoder. Its generator inverts the encoder to an error of {back[0]:.2f}, "
        f"the VAE's to {back[1]:.2f}."
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
        "1-NN": "labels read by the nearest neighbor",
        "r": "error of rebuilding (1: as of any other digit)",
    },
    bigan_sentence,
    bigan_pictures,
)

# ---------------------------------------------------------------- InfoGAN

CATEGORIES, CLUSTERS = "InfoGAN", "k-means of pixels"


def infogan_cases(device: str) -> list[Case]:
    """Categories beside clusters."""

    def judge(seed: int) -> dict[str, float]:
        model = infogan(device, seed)
        return {**infogan_mnist.judge_infogan("digits", model), **seconds_of(model)}

    return [
        Case(TASK, "InfoGAN", CATEGORIES, judge),
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
