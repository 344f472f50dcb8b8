"""What a fit costs beside busy processes: processor time and wall time, in fresh processes.

Two processes go on with the same fit a block of steps at a time, in turn: as torch has it, with
threads that wait for each other in a spin, and as repkit does it (see `repkit.engine.threads`). A
block counts as idle if nothing else ran meanwhile; disturbed ones are repeated.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.runner import Case

BLOCKS = 3  # of which the medians are taken
NEIGHBORS = (0, 1, 2)
PATIENCE = 1800  # seconds to wait for an idle machine
# Steps of a block, of about a second on two idle cores.
STEPS = {
    "BiGAN": 20, "DANN": 90, "InfoGAN": 30, "SpeechAutoencoder": 15, "TripleGAN": 45, "VAE": 8,
    "VAEGAN": 4,
}  # fmt: skip

CHILD = """
import contextlib, json, sys, time, warnings
import numpy as np
import repkit, repkit.base.estimator
from repkit.datasets import make_speech
system, start, steps = sys.argv[1:]
if start == "torch":
    repkit.base.estimator.giving_way = contextlib.nullcontext
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
pixels = 28 if system in ("VAE", "VAEGAN") else 8  # convolutions, or the MLPs of small digits
X = rng.random((512, 1, pixels, pixels), dtype=np.float32)
y = rng.integers(0, 10, 512)
if system == "SpeechAutoencoder":
    speech = make_speech(4, 8, 4, random_state=0)
    given, options = (speech.data, speech.speaker), {"sample_rate": 8000, "prototypes": None}
elif system == "DANN":
    given, options = (X, y, np.repeat([1, -2], 256)), {}
elif system == "TripleGAN":
    given, options = (X, np.where(np.arange(512) < 100, y, -1)), {}
else:
    given, options = (X,), {}
begun = 0.0, 0.0

def block(*_):
    global begun
    print(json.dumps([time.process_time() - begun[0], time.perf_counter() - begun[1]]), flush=True)
    sys.stdin.readline()
    begun = time.process_time(), time.perf_counter()

options |= {"max_epochs": 10**6, "steps_per_epoch": int(steps), "callbacks": [block]}
getattr(repkit, system)(random_state=0, device="cpu", **options).fit(*given)
"""


class Fit:
    """One that goes on for a block when it is told so."""

    def __init__(self, system: str, start: str) -> None:
        taken = ("OMP_", "GOMP_", "MKL_")
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, system, start, str(STEPS[system])],
            env={k: v for k, v in os.environ.items() if not k.startswith(taken)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._seconds()  # the first block is not counted

    def __enter__(self) -> Fit:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def _seconds(self) -> tuple[float, float]:
        assert self.process.stdout is not None
        processor, wall = json.loads(self.process.stdout.readline())
        return processor, wall

    def block(self) -> tuple[float, float]:
        """Seconds of processor and of wall time."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._seconds()

    def idle_block(self) -> tuple[float, float]:
        """The same of a block beside which nothing else ran."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            before = used()
            time.sleep(0.1)
            if used() - before < 0.03:
                before = used()
                processor, wall = self.block()
                if used() - before - processor < 0.08 * wall:
                    return processor, wall
        raise TimeoutError(f"the machine was not idle for a second within {PATIENCE} s")


def used() -> float:
    """Seconds of processor time that all processes of the machine have taken."""
    user, nice, system, _, _, *other = Path("/proc/stat").read_text().splitlines()[0].split()[1:8]
    return sum(map(int, (user, nice, system, *other))) / os.sysconf("SC_CLK_TCK")


@contextmanager
def neighbors(count: int) -> Iterator[None]:
    """As many processes that do nothing but count."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def costs(system: str) -> dict[str, float]:
    """Medians of processor and of wall time, in units of the idle ones as torch has it."""
    seconds: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with Fit(system, "repkit") as ours, Fit(system, "torch") as theirs:
        fits = {"": ours, "torch, ": theirs}
        for count in NEIGHBORS:
            with neighbors(count):
                for _ in range(BLOCKS):
                    for whose, fit in fits.items():
                        block = fit.block() if count else fit.idle_block()
                        seconds.setdefault((whose, count), []).append(block)
    middle = {
        key: [statistics.median(each) for each in zip(*blocks, strict=True)]
        for key, blocks in seconds.items()
    }
    unit = middle.pop(("torch, ", 0))
    return {
        f"{whose}{count} busy: {kind}": value / one
        for (whose, count), values in sorted(middle.items())
        for kind, value, one in zip(("processor", "wall"), values, unit, strict=True)
    }


def cases() -> list[Case]:
    """One for each system."""
    return [
        Case(
            "fit beside busy processes",
            system,
            "in units of torch's idle time",
            lambda seed, s=system: costs(s),
        )
        for system in STEPS
    ]
