"""The paper presets of all systems on one GPU, beside each other, as far as a time allows.

``python -m benchmarks gpu`` runs the cases of `benchmarks.gpu` first, alone, for
they measure times; then these, one seed each. Every row is written as soon as it stands. What was
done, what failed and what the clock ended is written to ``gpu-LABEL-presets.csv``.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

PAPER = "joint + augment + pseudo"
# The longest first of each that matters: what comes last may not be begun.
JOBS = (
    ("speech_arabic", "arabic, unseen speakers/AcousticWordEmbedding/large"),
    ("infogan_mnist", "MNIST/InfoGAN/recipe"),
    ("triplegan_mnist", "MNIST, 100 labels/TripleGAN/recipe"),
    ("digits_domains", f"MNIST->MNIST-M/DANN/{PAPER}"),
    ("vaegan_mnist", "MNIST/VAEGAN/two-way"),
    ("bigan_mnist", "MNIST/BiGAN/recipe"),
    ("speech_fsdd", "FSDD, seen speakers/SpeechAutoencoder/large"),
    ("vaegan_mnist", "MNIST/VAEGAN/three-way"),
    ("arabic_commands", f"words of test speakers/DANN/{PAPER}"),
    ("digits_domains", f"MNIST->USPS/DANN/{PAPER}"),
    ("digits_domains", f"USPS->MNIST/DANN/{PAPER}"),
    ("meter_digits", f"power->water/DANN/{PAPER}"),
    ("vaegan_mnist", "MNIST/VAE/Bernoulli"),
    ("sprites", "sprites, 64 px/InfoGAN/recipe"),
)
AT_ONCE = 6  # processes on the GPU
POLL = 0.2  # seconds


class Done(NamedTuple):
    """What became of a job: "done", "failed", "ended by the clock" or "not begun"."""

    benchmark: str
    case: str
    state: str
    seconds: float


def command(job: tuple[str, str], device: str, out: Path) -> list[str]:
    """One seed of one case."""
    options = {"preset": "paper", "seeds": 1, "device": device, "out": out, "only": job[1]}
    given = [str(x) for name, value in options.items() for x in (f"--{name}", value)]
    return [sys.executable, "-m", "benchmarks", job[0], *given]


def run(
    until: float,
    *,
    device: str,
    out: Path,
    label: str,
    jobs: Sequence[tuple[str, str]] = JOBS,
    at_once: int = AT_ONCE,
    echo: Callable[[str], None] = print,
) -> list[Done]:
    """Run the jobs until a time of `time.monotonic`, and write what became of each."""
    out.mkdir(parents=True, exist_ok=True)
    waiting, running, found = list(jobs), {}, []
    logs = out / f"gpu-{label}-presets.log"
    with logs.open("w") as log:
        try:
            while (waiting or running) and time.monotonic() < until:
                while waiting and len(running) < at_once:
                    job = waiting.pop(0)
                    process = subprocess.Popen(
                        command(job, device, out), stdout=log, stderr=subprocess.STDOUT
                    )
                    running[process] = (job, time.monotonic())
                    echo(f"{time.strftime('%H:%M:%S')} {job[0]}: {job[1]}")
                time.sleep(POLL)
                for process in [p for p in running if p.poll() is not None]:
                    job, began = running.pop(process)
                    state = "failed" if process.returncode else "done"
                    found.append(Done(*job, state, round(time.monotonic() - began, 1)))
        finally:
            for process in running:
                process.terminate()
            for process, (job, began) in running.items():
                process.wait()
                took = round(time.monotonic() - began, 1)
                found.append(Done(*job, "ended by the clock", took))
            found += [Done(*job, "not begun", 0.0) for job in waiting]
            with (out / f"gpu-{label}-presets.csv").open("w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerows([Done._fields, *found])
    width = max(len(f"{d.benchmark}: {d.case}") for d in found)
    for d in found:
        echo(f"{f'{d.benchmark}: {d.case}':<{width}}  {d.seconds:>7.1f} s  {d.state}")
    if any(d.state == "failed" for d in found):
        echo(f"what they printed: {logs}")
    return found
