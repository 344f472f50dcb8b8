"""BiGAN and InfoGAN on scikit-learn's digits."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from benchmarks import bigan_mnist, infogan_mnist
from benchmarks.gan_recipes import BIGAN_DIGITS, INFOGAN_DIGITS
from benchmarks.runner import Case
from repkit import BiGAN, HistoryDisplay, InfoGAN, ReconstructionDisplay, TraversalDisplay

WANTED = {"BiGAN": ("untrained",), "pixels": ("",), "k-means": ("pixels",)}


@cache
def bigan(device: str, seed: int) -> BiGAN:
    return bigan_mnist.fit("digits", BIGAN_DIGITS, device, seed)


@cache
def infogan(device: str, seed: int) -> InfoGAN:
    return infogan_mnist.fit("digits", INFOGAN_DIGITS, device, seed)


def cases(device: str) -> list[Case]:
    """The recipes beside what needs no training."""
    shown = [
        case
        for module in (bigan_mnist, infogan_mnist)
        for case in module.cases("quick", device)
        if case.task == "digits" and case.variant in WANTED.get(case.system, ())
    ]

    def judge_bigan(seed: int) -> dict[str, float]:
        return bigan_mnist.judge_bigan("digits", bigan(device, seed), device)

    def judge_infogan(seed: int) -> dict[str, float]:
        return infogan_mnist.judge_infogan("digits", infogan(device, seed))

    return [
        Case("digits", "BiGAN", "recipe", judge_bigan),
        Case("digits", "InfoGAN", "recipe", judge_infogan),
        *shown,
    ]


def figures(out: Path, device: str) -> list[Path]:
    """Reconstructions, traversals and both histories."""
    X, _, X_test, _ = bigan_mnist.load("digits")
    encoder, reader = bigan(device, 0), infogan(device, 0)
    displays = {
        "reconstructions": ReconstructionDisplay.from_estimator(encoder, X_test, X, random_state=0),
        "traversals": TraversalDisplay.from_estimator(reader, random_state=0),
        "bigan-history": HistoryDisplay.from_estimator(encoder),
        "infogan-history": HistoryDisplay.from_estimator(reader),
    }
    paths = []
    for name, display in displays.items():
        paths.append(out / f"quick-{name}.png")
        display.figure_.savefig(paths[-1], dpi=110)
    return paths
