"""A fitted model in use: rows against a bare loop, sound against real time, and the first load."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import repkit
from benchmarks.recipes import digit_net
from benchmarks.runner import Case
from benchmarks.steps import Ratio, images, middle, mlp, one_thread, seconds, tables
from repkit import DANN, SpeechAutoencoder
from repkit.base.applying import ROWS

ROUNDS = 9
RATE = 16_000
# What `load` has no use for.
HEAVY = ("torch._dynamo", "torch._inductor", "scipy.stats", "pandas", "matplotlib", "torchaudio")

LOAD = """
import json, sys, time
begun = time.process_time()
import torch, sklearn.base
before, start = set(sys.modules), time.process_time()
{statement}
seconds, new = time.process_time() - start, set(sys.modules) - before
print(json.dumps([seconds, len(new), len(set({heavy}) & new), seconds / (start - begun)]))
"""


def in_turn(ours: Callable[[], Any], theirs: Callable[[], Any], device: str) -> list[float]:
    """Times of ours over theirs, of ``ROUNDS`` rounds; one before them warms up."""
    found = []
    with one_thread():
        for _ in range(ROUNDS + 1):
            marks = [seconds(device)]
            for run in (ours, theirs):
                run()
                marks.append(seconds(device))
            start, between, end = marks
            found.append((between - start) / (end - between))
    return found[1:]


def transform_rate(kind: str, n: int, device: str) -> Ratio:
    """Rows a second of ``transform``, as a share of those of ``model(x)`` on the same batches."""
    X, y, domain = tables(1024) if kind == "MLP 20-128-128" else images(256)
    network = {"MLP 20-128-128": mlp, "convolutions": digit_net}.get(kind, "mlp")
    with warnings.catch_warnings(action="ignore"):
        model = DANN(network, width=512, max_epochs=1, steps_per_epoch=1, device=device)
        model.fit(X, y, sample_domain=domain)
    rows = np.resize(X, (n, *X.shape[1:]))
    features, where = model.networks_["F"], model.device_
    dim_out = model.transform(rows[:2]).shape[1]

    @torch.inference_mode()
    def bare() -> np.ndarray:
        x, out = torch.from_numpy(rows), torch.empty(n, dim_out)
        for k in range(0, n, ROWS):
            out[k : k + ROWS] = features(x[k : k + ROWS].to(where))
        return out.numpy()

    np.testing.assert_allclose(bare(), model.transform(rows), rtol=1e-4, atol=1e-4)
    shares = [1 / ratio for ratio in in_turn(lambda: model.transform(rows), bare, device)]
    return middle(shares, "share of rate")


class Watch:
    """Adds up the time that networks take."""

    def __init__(self, networks: dict[str, nn.Module], device: str) -> None:
        self.device, self.total, self.start = device, 0.0, 0.0
        for network in networks.values():
            network.register_forward_pre_hook(self.begin)
            network.register_forward_hook(self.end)

    def begin(self, *_: Any) -> None:
        self.start = seconds(self.device)

    def end(self, *_: Any) -> None:
        self.total += seconds(self.device) - self.start


def sounds(n: int) -> list[np.ndarray]:
    """Noise of one to three seconds, 16 bits."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(RATE, 3 * RATE, n)
    return [(3000 * rng.normal(size=k)).astype(np.int16) for k in lengths]


def write(folder: Path, waves: list[np.ndarray]) -> list[Path]:
    paths = [folder / f"{k:04}.wav" for k in range(len(waves))]
    for path, samples in zip(paths, waves, strict=True):
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
    return paths


def audio_shares(source: str, network: str, device: str, n: int = 200) -> dict[str, float]:
    """The share of ``transform`` outside the networks, and seconds of sound a second."""
    waves = sounds(n)
    duration = sum(map(len, waves)) / RATE
    with tempfile.TemporaryDirectory() as folder, one_thread():
        X: list[Any] = write(Path(folder), waves) if source == "files" else list(waves)
        with warnings.catch_warnings(action="ignore"):
            model = SpeechAutoencoder(
                encoder=network, sample_rate=RATE, prototypes=None, max_epochs=1, steps_per_epoch=1,
                device=device, random_state=0,
            ).fit(X[:12], np.arange(12) % 2)  # fmt: skip
        watch = Watch(model.networks_, device)
        shares, rates = [], []
        for turn in range(ROUNDS):
            watch.total = 0.0
            start = seconds(device)
            model.transform(X)
            total = seconds(device) - start
            if turn:  # the first warms up
                shares.append(1 - watch.total / total)
                rates.append(duration / total)
    return {
        "share outside the network": statistics.median(shares),
        "times real time": statistics.median(rates),
    }


def started(statement: str) -> dict[str, float]:
    """Processor time of a statement after torch and sklearn.base, in fresh processes."""
    code = LOAD.format(statement=statement, heavy=HEAVY)
    # As everywhere but on some machines of builds: modules are compiled once.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    turns = []
    for _ in range(6):
        out = subprocess.check_output([sys.executable, "-c", code], text=True, env=env)
        turns.append(json.loads(out))
    turns = turns[1:]
    names = ("s", "modules", "heavy modules", "share of torch and sklearn.base")
    return {k: statistics.median(v) for k, v in zip(names, zip(*turns, strict=True), strict=True)}


def load_seconds(system: str, kind: str) -> dict[str, float]:
    """The first ``load`` of a process, import of repkit included."""
    model = getattr(repkit, system)(max_epochs=1, steps_per_epoch=1, random_state=0)
    X, y, domain = images(64) if kind == "images" else tables(256)
    given: dict[str, Any] = {}
    if system == "DANN":
        given = {"y": y, "sample_domain": domain}
    elif system == "TripleGAN":
        given = {"y": y}
    elif system == "SpeechAutoencoder":
        X, given = sounds(8), {"y": np.arange(8) % 2}
        model.set_params(sample_rate=RATE)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        path = str(Path(folder) / "model.safetensors")
        model.fit(X, **given).save(path)
        return started(f"from repkit import load; load({path!r})")


def cases(device: str) -> list[Case]:
    """The seeds are repetitions."""
    listed = [
        Case(
            f"transform, {kind}",
            "DANN",
            f"{n} rows, against a bare loop",
            lambda seed, k=kind, n=n: transform_rate(k, n, device),
        )
        for kind, n in (("MLP 20-128-128", 20_000), ("MLP 784-512", 20_000), ("convolutions", 4096))
    ]
    listed += [
        Case(
            f"audio, {source}",
            "SpeechAutoencoder",
            network,
            lambda seed, s=source, k=network: audio_shares(s, k, device),
        )
        for source in ("arrays", "files")
        for network in ("conv", "gru")
    ]
    listed += [
        Case("first load", s, f"a model of {kind}", lambda seed, s=s, k=kind: load_seconds(s, k))
        for s, kind in (
            ("DANN", "tables"),
            ("SpeechAutoencoder", "speech"),
            *((s, "images") for s in ("DANN", "TripleGAN", "VAE", "BiGAN", "VAEGAN", "InfoGAN")),
        )
    ]
    listed += [
        Case("first load", "repkit", statement, lambda seed, s=statement: started(s))
        for statement in ("import repkit", "from repkit import DANN")
    ]
    return listed
