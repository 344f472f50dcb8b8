"""MNIST to MNIST-M, MNIST to USPS and USPS to MNIST, on full splits.

USPS in its official split, and once in CoGAN's, re-shuffled here by a seed.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.images import Data, variants
from benchmarks.images import cases as cases_of
from benchmarks.recipes import (
    COLOR,
    COLOR_PAPER,
    DIGITS,
    PAPER,
    PSEUDO,
    PSEUDO_COLOR,
    STROKES,
    TEXTURE,
)
from benchmarks.runner import Case
from repkit.datasets import load_mnist, load_mnist_m, load_usps

# Of the same method on the same split: no other row has a published figure beside it.
GANIN = "Ganin et al. 2016, table 2 (read)"
PUBLISHED = {
    "MNIST->MNIST-M": {
        "source only": (0.5225, GANIN),
        "joint": (0.7666, GANIN),
        "train on target": (0.9596, GANIN),
    }
}
TASKS = ("MNIST->MNIST-M", "MNIST->USPS", "USPS->MNIST", "MNIST->USPS, CoGAN's split")


@cache
def load(task: str) -> Data:
    """Source and target as uint8 images of one shape; the target's test part."""
    mnist = load_mnist()
    m = [mnist.x_train[:, None], mnist.y_train, mnist.x_test[:, None], mnist.y_test]
    if task == "MNIST->MNIST-M":
        target = load_mnist_m()
        return Data(
            np.repeat(m[0], 3, axis=1),
            m[1],
            target.x_train,
            target.y_train,
            target.x_test,
            target.y_test,
        )
    usps = load_usps(size=28, split="cogan" if "CoGAN" in task else "official")
    u = [
        np.rint(255 * usps.x_train[:, None]).astype(np.uint8),
        usps.y_train,
        np.rint(255 * usps.x_test[:, None]).astype(np.uint8),
        usps.y_test,
    ]
    source, target = (u, m) if task == "USPS->MNIST" else (m, u)
    return Data(source[0], source[1], *target)


def settings_of(task: str, preset: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The training that all rows of a task share, and the rows."""
    color = task == "MNIST->MNIST-M"
    if preset == "paper":
        # One recipe for all: the small one for MNIST-M was chosen with target training labels.
        base, pseudo = {**DIGITS, **(COLOR_PAPER if color else PAPER)}, PSEUDO
    else:
        base, pseudo = (COLOR, PSEUDO_COLOR) if color else (DIGITS, PSEUDO)
    rows = variants(TEXTURE if color else STROKES, pseudo)
    # What bfloat16, the choice of precision="auto" for convolutions, costs.
    whole = rows["joint + augment + pseudo"]
    rows["joint + augment + pseudo, fp32"] = {**whole, "precision": "fp32"}
    return base, rows


def cases(preset: str, device: str) -> list[Case]:
    """All variants of all tasks, and the peers."""
    listed = []
    for task in TASKS:
        base, rows = settings_of(task, preset)
        listed += cases_of(task, partial(load, task), rows, base, device, PUBLISHED.get(task))
    return listed
