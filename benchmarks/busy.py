"""What a fit costs beside busy processes: processor time and wall time, in fresh processes.

Threads that wait for each other in a spin, as OpenMP's do unless told otherwise, burn time as soon
as something else runs on their cores. The cases compare three starts of the same fit:

- "as torch has it": every step in torch's number of threads, which spin;
- "torch first": `import torch` before `import repkit`, so that the wait policy is set already;
- "repkit first": nothing of torch's was loaded before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.runner import Case

NEIGHBORS = (0, 1, 2)
STARTS = ("as torch has it", "torch first", "repkit first")
SYSTEMS = ("BiGAN", "DANN", "InfoGAN", "SpeechAutoencoder", "TripleGAN", "VAE", "VAEGAN")

# What the fresh process runs: a fit to warm up, then one whose times it prints.
CHILD = """
import json, sys, time, warnings
system, start = sys.argv[1:]
if start != "repkit first":
    import torch
import numpy as np
import repkit
from repkit.datasets import make_speech
if start == "as torch has it":
    import repkit.engine.threads as threads
    threads.SMALL = 0.0
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
model = getattr(repkit, system)(max_epochs=1, random_state=0, device="cpu", **options)
model.set_params(steps_per_epoch=2).fit(*given)
model.set_params(steps_per_epoch=int(sys.stdin.readline()))
wall, processor = time.perf_counter(), time.process_time()
model.fit(*given)
print(json.dumps([time.process_time() - processor, time.perf_counter() - wall]))
"""
STEPS = {"SpeechAutoencoder": 40, "VAE": 40, "VAEGAN": 15}


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


def times(system: str, start: str, count: int) -> tuple[float, float]:
    """Seconds of processor and of wall time of a fit beside as many busy processes."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "MKL_"))}
    with neighbors(count):
        done = subprocess.run(
            [sys.executable, "-c", CHILD, system, start],
            input=f"{STEPS.get(system, 150)}\n",
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    processor, wall = json.loads(done.stdout.splitlines()[-1])
    return processor, wall


def costs(system: str) -> dict[tuple[str, str], float]:
    """All starts beside all numbers of neighbors, in turn.

    Processor time in units of the same start's idle one; wall time in units of the idle one as
    torch has it.
    """
    seconds = {(s, n): times(system, s, n) for n in NEIGHBORS for s in STARTS}
    wall = seconds[STARTS[0], 0][1]
    figures = {}
    for start in STARTS:
        for count in NEIGHBORS:
            processor, own_wall = seconds[start, count]
            beside = f"beside {count}" if count else "idle"
            figures[f"fit, {start}", f"wall time {beside}"] = own_wall / wall
            if count:
                ratio = processor / seconds[start, 0][0]
                figures[f"fit, {start}", f"processor time {beside}"] = ratio
    return figures


def cases() -> list[Case]:
    """One for each system."""
    return [
        Case(
            "fit beside busy processes",
            system,
            "beside busy processes, in units of the idle fit",
            lambda seed, s=system: costs(s),
        )
        for system in SYSTEMS
    ]
