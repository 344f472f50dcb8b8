"""A GPU: a step as one launch against the same step operation by operation, and its share of peak.

*times quicker* is the median step of a fit without graphs over that of the same fit with them, in
turn; *ms* are those of the step with graphs. An epoch's end (its row of the history, what is
watched) is not part of a step, and has milliseconds of its own. *share of peak* is what the
operations of a step, counted, would take at the rate of a product of bf16 matrices (8192 x 8192) on
the same card, over what the step takes. *compiled* fits have ``compile=True``. Without
``--only``, `benchmarks.presets` follows.
"""

from __future__ import annotations

import os
import statistics
import time
import warnings
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.recipes import digit_net
from benchmarks.runner import Case
from benchmarks.steps import images, mlp, tables
from repkit import DANN, VAE, VAEGAN, BiGAN, InfoGAN, SpeechAutoencoder, TripleGAN
from repkit.datasets import make_speech
from repkit.engine import Engine

STEPS, EPOCHS, ROUNDS = 60, 3, 2


def pictures(pixels: int, n: int = 2048) -> np.ndarray:
    """Noise, in three channels where it is large."""
    shape = n, 3 if pixels > 28 else 1, pixels, pixels
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def fits(name: str, device: str) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """An estimator, and what its `fit` is given."""
    common: dict[str, Any] = {"device": device, "random_state": 0}
    nothing = {**common, "validation_fraction": 0.0}
    large = {**nothing, "width": 1024, "batch_size": 256, "precision": "bf16"}
    if name.startswith("DANN"):
        X, y, domain = tables() if "MLP" in name else images()
        model: Any = DANN(mlp if "MLP" in name else digit_net, batch_size=64, **common)
        return model, (X, y), {"sample_domain": domain}
    if name.startswith("TripleGAN"):
        X, y, _ = images()
        y = np.where(np.arange(len(y)) < 200, y, -1)
        return TripleGAN(**common), (X, y), {}
    if name.startswith("SpeechAutoencoder"):
        speech = make_speech(8, 8, 4, random_state=0)
        given = {"sample_rate": 8000, **common}
        return SpeechAutoencoder(**given), (speech.data, speech.speaker), {}
    system = {"BiGAN": BiGAN, "InfoGAN": InfoGAN, "VAE": VAE, "VAEGAN": VAEGAN}[name.split(",")[0]]
    if "64 px" in name:
        if system is InfoGAN:
            large["recalibrate"] = False
        return system(**large), (pictures(64),), {}
    return system(**nothing), (pictures(28),), {}


SMALL = (
    "DANN, MLP 20-128-128",
    "DANN, convolutions",
    "BiGAN, 28 px",
    "InfoGAN, 28 px",
    "VAE, 28 px",
    "VAEGAN, 28 px",
    "TripleGAN, 28 px",
    "SpeechAutoencoder",
)
# DCGAN's channels, from 64 to 512.
LARGE = ("BiGAN, 64 px", "InfoGAN, 64 px", "VAE, 64 px", "VAEGAN, 64 px")


class Clock:
    """A callback that measures the steps of an epoch, and what comes between two epochs.

    Parameters
    ----------
    wait : callable, optional
        Waits for the device. By default, for a GPU.
    """

    def __init__(self, wait: Callable[[], Any] | None = None) -> None:
        self.wait = wait or torch.cuda.synchronize
        self.marks: list[list[float]] = []  # of each epoch: after its first and last step
        self.steps: list[float] = []  # seconds of a step, of each epoch

    def __call__(self, row: dict[str, float]) -> None:
        """Nothing: the end of an epoch is what lies between two marks."""

    def on_step(self, done: int, of: int) -> None:
        """Mark the first step and the last."""
        if done == 1:
            self.marks.append([])
        if done in (1, of):
            self.wait()
            self.marks[-1].append(time.perf_counter())
        if done == of:
            first, last = self.marks[-1]
            self.steps.append((last - first) / (of - 1))

    def measured(self) -> dict[str, float]:
        """Seconds of a step and of an epoch's end: medians over the epochs, but for the first."""
        step = statistics.median(self.steps[1:])
        ends = [after - before for (_, before), (after, _) in pairwise(self.marks)]
        return {"step": step, "end": max(0.0, statistics.median(ends) - step)}


def measure(name: str, device: str, graphs: bool = True, compile: bool = False) -> dict[str, float]:
    """Seconds of a step, and of an epoch's end."""
    model, given, named = fits(name, device)
    clock = Clock()
    model.set_params(
        max_epochs=EPOCHS + 1, steps_per_epoch=STEPS, callbacks=[clock], compile=compile
    )
    with (
        patch.dict(os.environ, REPKIT_GRAPHS=str(int(graphs))),
        warnings.catch_warnings(action="ignore"),
    ):
        model.fit(*given, **named)
    return clock.measured()


def in_turn(name: str, device: str, one: dict[str, bool], other: dict[str, bool]) -> dict[str, Any]:
    """Medians of fits in turn: of each measure, what the first kind has and what the other."""
    found = [(measure(name, device, **one), measure(name, device, **other)) for _ in range(ROUNDS)]
    return {
        key: tuple(statistics.median(pair[k][key] for pair in found) for k in range(2))
        for key in found[0][0]
    }


def graph_ratio(name: str, device: str) -> dict[str, float]:
    """Graphs against none."""
    found = in_turn(name, device, {"graphs": False}, {"graphs": True})
    (eager, graphed), (_, end) = found["step"], found["end"]
    return {"times quicker": eager / graphed, "ms": 1000 * graphed, "ms, epoch's end": 1000 * end}


def compiled_ratio(name: str, device: str) -> dict[str, float]:
    """Compiled networks against those as they are, both with graphs."""
    found = in_turn(name, device, {"compile": False}, {"compile": True})
    plain, compiled = found["step"]
    return {"times quicker": plain / compiled, "ms": 1000 * compiled}


@cache
def peak(device: str) -> float:
    """Operations a second of a product of matrices in bf16."""
    a, b = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(12):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        a @ b
        end.record()
        end.synchronize()
        seconds.append(start.elapsed_time(end) / 1000)
    return 2 * 8192**3 / statistics.median(seconds[2:])


class Counter(TorchDispatchMode):
    """Adds up multiplications and additions of products and convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def operations(name: str, device: str) -> float:
    """Multiplications and additions of a step, counted by torch."""
    model, given, named = fits(name, device)
    step, found = Engine.step, []

    def counted(self: Engine) -> None:
        with Counter() as counter:
            step(self)
        found.append(counter.total)

    with patch.object(Engine, "step", counted), warnings.catch_warnings(action="ignore"):
        model.set_params(max_epochs=1, steps_per_epoch=1).fit(*given, **named)
    return found[-1]


def share(name: str, device: str, compile: bool = False) -> dict[str, float]:
    """A step's rate over that of a product of matrices."""
    needed, found = operations(name, device), measure(name, device, compile=compile)
    return {
        "share of peak": needed / found["step"] / peak(device),
        "ms": 1000 * found["step"],
        "ms, epoch's end": 1000 * found["end"],
        "TFLOP a step": needed / 1e12,
    }


def cases(preset: str, device: str) -> list[Case]:
    """The seeds are repetitions."""
    device = "cuda" if device == "auto" else device
    listed = [
        Case("step, graph against eager", n.split(",")[0], n, lambda s, n=n: graph_ratio(n, device))
        for n in SMALL
    ]
    listed += [
        Case(
            "step, share of peak, bf16",
            n.split(",")[0],
            n + (", compiled" if compiled else ""),
            lambda s, n=n, c=compiled: share(n, device, c),
        )
        for n in LARGE
        for compiled in (False, True)
    ]
    listed += [
        Case("step, compiled", n.split(",")[0], n, lambda s, n=n: compiled_ratio(n, device))
        for n in SMALL
    ]
    return listed
