"""Steps of processes that train together, against what the model of SCALING.md says of them.

``OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m benchmarks.together``. Each process first fits
for itself, all at once, with the rows that are its share of a batch; then all fit together; then
messages of the sizes that a step of that had are timed. The model: a step together takes a step
alone, of as many rows, and its messages.
"""

from __future__ import annotations

import os
import statistics
import time
import warnings
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor

from benchmarks.gpu import Clock, fits
from repkit.engine.ranks import Ranks

NAMES = ("DANN, MLP 20-128-128", "VAE, 28 px", "BiGAN, 28 px", "VAEGAN, 28 px")
# Steps of several processes are not recorded, so those that are compared with them are not either.
ALONE = {"REPKIT_RANKS": "0", "REPKIT_GRAPHS": "0"}
STEPS, EPOCHS, ROWS = 40, 4, 64  # of a batch of all together


def seconds(name: str, rows: int, together: bool) -> float:
    """Of a step with so many rows, as rank 0 sees it, which alone calls callbacks."""
    model, given, named = fits(name, "cpu")
    clock = Clock(wait=lambda: None)
    settings: dict[str, Any] = {"max_epochs": EPOCHS, "steps_per_epoch": STEPS, "batch_size": rows}
    with (
        patch.dict(os.environ, {} if together else ALONE),
        warnings.catch_warnings(action="ignore"),
    ):
        model.set_params(**settings, callbacks=[clock]).fit(*given, **named)
    return clock.measured()["step"] if clock.steps else 0.0


def sizes(name: str) -> list[int]:
    """Numbers in each message of a step."""
    found: list[int] = []
    add = Ranks.add_

    def noted(self: Ranks, x: Tensor) -> Tensor:
        found.append(x.numel())
        return add(self, x)

    model, given, named = fits(name, "cpu")
    counts = []
    for steps in (1, 2):
        found.clear()
        with patch.object(Ranks, "add_", noted), warnings.catch_warnings(action="ignore"):
            model.set_params(max_epochs=1, steps_per_epoch=steps).fit(*given, **named)
        counts.append(list(found))
    one, two = counts
    return two[: len(two) - len(one)]


def message(numbers: int) -> float:
    """Seconds of a message of so many numbers."""
    x, found = torch.zeros(numbers), []
    for _ in range(12):
        dist.barrier()
        start = time.perf_counter()
        dist.all_reduce(x)
        found.append(time.perf_counter() - start)
    return statistics.median(found[2:])


def main() -> None:
    """Print a table."""
    dist.init_process_group("gloo")
    world, first = dist.get_world_size(), dist.get_rank() == 0
    columns = ("messages, MB", "messages", "step alone", "model", "together", "one process")
    if first:
        print(f"{'ms':<22}", *(f"{c:>12}" for c in columns))
    for name in NAMES:
        alone = seconds(name, ROWS // world, False)
        dist.barrier()
        together = seconds(name, ROWS, True)
        sent = sizes(name)
        messages = sum(message(n) for n in sent)
        whole = seconds(name, ROWS, False)
        dist.barrier()
        if first:
            times = messages, alone, alone + messages, together, whole
            cells = 4e-6 * sum(sent), *(1e3 * t for t in times)
            print(f"{name:<22}", *(f"{x:12.2f}" for x in cells))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
