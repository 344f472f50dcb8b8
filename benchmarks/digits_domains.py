"""MNIST to MNIST-M, MNIST to USPS and USPS to MNIST, on full splits.

USPS in its official split, and once in CoGAN's, re-shuffled here by a seed.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.images import Data, cases as cases_of, variants
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


def settings_of(task: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]]:
    """The training of the small preset, that of the GPU's, and the rows of the table."""
    if task == "MNIST->MNIST-M":
        base, paper, rows = COLOR, COLOR_PAPER, variants(TEXTURE, PSEUDO_COLOR)
    else:
        base, paper, rows = DIGITS, PAPER, variants(STROKES, PSEUDO)
    # What bfloat16, the choice of precision="auto" for convolutions, costs.
    whole = rows["joint + augment + pseudo"]
    rows["joint + augment + pseudo, fp32"] = {**whole, "precision": "fp32"}
    return base, {**base, **paper}, rows


def cases(preset: str, device: str) -> list[Case]:
    """All variants of all tasks, and the peers."""
    listed = []
    for task in TASKS:
        small, paper, rows = settings_of(task)
        base = paper if preset == "paper" else small
        listed += cases_of(task, partial(load, task), rows, base, device, PUBLISHED.get(task))
    return listed
