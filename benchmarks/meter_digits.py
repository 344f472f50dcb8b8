"""Photographed counters: power meters to water meters, back, and to displays; MNIST to meters.

No kind shares a meter with another. The target's pictures are adapted to without labels, and the
same pictures are the test, as there are few of them (transductive, as for Office-Caltech).
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from benchmarks.images import Data, variants
from benchmarks.images import cases as cases_of
from benchmarks.recipes import METER_PAPER, METER_PSEUDO, METERS, PRINT
from benchmarks.runner import Case
from repkit.datasets import load_meter_digits, load_mnist

KINDS = {"power": "powermeter", "water": "watermeter", "lcd": "lcd", "meters": None}
# No label of the target of any other chose a setting: "power->lcd" was set aside for that.
TASKS = ("power->water", "water->power", "power->lcd", "MNIST->meters")


@cache
def load(task: str) -> Data:
    """Pictures of 32 x 32 pixels in three channels."""
    source, target = task.split("->")
    x, y = pictures(target)
    return Data(*pictures(source), x, y, x, y)


def pictures(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Those of a kind of meter; or MNIST's training part with a border, in three gray channels."""
    if name == "MNIST":
        data = load_mnist()
        framed = np.pad(data.x_train, ((0, 0), (2, 2), (2, 2)))
        return np.repeat(framed[:, None], 3, axis=1), data.y_train
    data = load_meter_digits(KINDS[name])
    return data.data, data.target


def cases(preset: str, device: str) -> list[Case]:
    """All variants of all tasks, and the peers."""
    base = METERS if preset != "paper" else {**METERS, **METER_PAPER}
    rows = variants(PRINT, METER_PSEUDO)
    return [
        case for task in TASKS for case in cases_of(task, partial(load, task), rows, base, device)
    ]
