"""Paired times of a step: a system's in a fit, and those of a loop written by hand, in turn.

Between two steps of a fit the loop takes as many of its own, in the same process, so that a
machine's other work falls on both.
"""

from __future__ import annotations

import copy
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from sklearn.base import clone
from torch import nn

from benchmarks import loops, peers
from benchmarks.recipes import digit_net
from benchmarks.runner import Case
from repkit import DANN, VAE, VAEGAN, BiGAN, InfoGAN, SpeechAutoencoder, TripleGAN
from repkit.engine import replay
from repkit.engine.memory import KEPT, USUAL, set_thresholds
from repkit.speech.batches import FrameStore, SpeechBatches
from repkit.speech.perturb import RandomSpeed

SYSTEMS = ("DANN", "BiGAN", "InfoGAN", "VAE", "VAEGAN", "TripleGAN")
ROUNDS = 11
SECONDS, LEAST = 0.15, 3  # of a round's turn, about; steps of it, at least
WARM = 30  # steps that are not timed, in which steps are recorded

Fit = Callable[[Any], Any]
Ratio = dict[str, float]


def mlp(shape_in: tuple[int, ...], dim_out: int) -> nn.Module:
    """20-128-128, the shape that the libraries were compared with before."""
    return nn.Sequential(nn.Linear(shape_in[0], 128), nn.ReLU(), nn.Linear(128, dim_out), nn.ReLU())


def tables(n: int = 2048) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2 * n, 20)).astype(np.float32)
    y = rng.integers(0, 10, 2 * n)
    return X, y, np.repeat([1, -2], n)


def images(n: int = 1024) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.random((2 * n, 1, 28, 28), dtype=np.float32)
    return X, rng.integers(0, 10, 2 * n), np.repeat([1, -2], n)


def spoken(speakers: int = 8, each: int = 48) -> tuple[list[np.ndarray], np.ndarray]:
    """Utterances of 40 to 60 frames of 40 columns; no sound is read."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(40, 61, speakers * each)
    frames = [rng.normal(size=(n, 40)).astype(np.float32) for n in lengths]
    return frames, np.arange(len(frames)) % speakers


@contextmanager
def one_thread() -> Iterator[None]:
    """A busy machine disturbs one thread least: two wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seconds(device: str) -> float:
    """Processor time, for one thread the wall time of an idle machine; on a GPU, wall time."""
    if peers.resolve(device) == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def middle(ratios: list[float], name: str = "time ratio") -> Ratio:
    """Median of the rounds, and half the distance of the quartiles."""
    low, median, high = statistics.quantiles(ratios, n=4)
    return {name: median, "spread of rounds": (high - low) / 2}


class Turns:
    """A callback that times blocks of a fit's steps, and after each as many of a loop's.

    Parameters
    ----------
    loop : callable
    block : int
        Steps of a turn.
    device : str
    """

    def __init__(self, loop: loops.Loop, block: int, device: str) -> None:
        self.loop, self.block, self.device = loop, block, device
        self.mark = 0.0
        self.turns: list[tuple[float, float]] = []

    def __call__(self, row: dict[str, Any]) -> None:
        """Nothing: an epoch's end is not timed."""

    def on_step(self, done: int, of: int) -> None:
        """Take the loop's turn after each block, once the shapes of batches have been met."""
        if done <= WARM or (done - WARM) % self.block:
            self.mark = seconds(self.device) if done == WARM else self.mark
            return
        set_thresholds(USUAL)  # a fit keeps memory; a loop has what the process has
        start = seconds(self.device)
        self.loop(self.block)
        end = seconds(self.device)
        set_thresholds(KEPT)
        self.turns.append((start - self.mark, end - start))
        self.mark = end

    def ratio(self) -> Ratio:
        """Median of ours over theirs, round by round, and half the quartiles' distance."""
        return middle([ours / theirs for ours, theirs in self.turns[1:]])  # the first warms up


def step_ratio(
    model: Any, fit: Fit, loop: loops.Loop, device: str, block: int | None = None
) -> Ratio:
    """Ours over theirs, in ``ROUNDS`` rounds of ``block`` steps, or as many as can be timed."""
    loop = loops.with_layers_of_torch(loop)
    # The few steps that are timed are recorded as those of a fit of usual length are.
    usual = patch.multiple(replay, FEW=0, OFTEN=1)
    with one_thread(), usual, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few steps link no encoder
        if block is None:
            loop(3)
            start = seconds(device)
            loop(3)
            block = max(LEAST, round(3 * SECONDS / (seconds(device) - start)))
        turns = Turns(loop, block, device)
        length = WARM + (ROUNDS + 1) * block
        fit(
            clone(model).set_params(
                max_epochs=1, steps_per_epoch=length, callbacks=[turns], device=device
            )
        )
    return turns.ratio()


LAYOUTS = {"channels_last": torch.channels_last, "torch layout": torch.contiguous_format}


def networks_of(
    model: Any, fit: Fit, device: str, layout: str = "channels_last"
) -> dict[str, nn.Module]:
    """What the model trains, ready to be trained by somebody else.

    Ours lays the weights of convolutions out with the channels last. A loop in which somebody has
    thought of that has nothing to lose by it; one as torch makes the weights may be slower.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = fit(clone(model).set_params(max_epochs=1, steps_per_epoch=1, device=device))
    found = {name: copy.deepcopy(network).train() for name, network in fitted.networks_.items()}
    for network in found.values():
        network.to(peers.resolve(device)).requires_grad_(True)
        network.to(memory_format=LAYOUTS[layout])
    return found


def dann_ratio(
    kind: str, device: str, precision: str, fused: bool = True, layout: str = "channels_last"
) -> Ratio:
    X, y, domain = tables() if kind == "MLP" else images()
    network = mlp if kind == "MLP" else digit_net
    model = DANN(network, batch_size=64, precision=precision, random_state=0)
    loop = loops.dann(X, y, lambda *a: network(*a).to(memory_format=LAYOUTS[layout]), device, fused)
    return step_ratio(model, lambda m: m.fit(X, y, sample_domain=domain), loop, device)


def image_ratio(
    system: str, kind: str, device: str, precision: str, layout: str = "channels_last"
) -> Ratio:
    """The systems of images: their defaults, but for what only a history needs."""
    X = images()[0]
    named = "mlp" if kind == "MLP" else "dcgan"
    model: Any = {"BiGAN": BiGAN, "InfoGAN": InfoGAN, "VAE": VAE, "VAEGAN": VAEGAN}[system](
        width=512,
        generator=named,
        precision=precision,
        validation_fraction=0.0,
        random_state=0,
        **({"data_cycle": 0.0, "ema": 0.0} if system == "BiGAN" else {}),  # as the paper
        **({"encoder": named} if system != "InfoGAN" else {}),
        **({"recalibrate": False} if system == "InfoGAN" else {}),
        **({"discriminator": named} if system != "VAE" else {}),
        **({"batch_size": 128} if system in ("BiGAN", "InfoGAN") else {}),
    )

    def fit(m: Any) -> Any:
        return m.fit(X)

    make = {
        "BiGAN": loops.bigan,
        "InfoGAN": loops.infogan,
        "VAE": loops.vae,
        "VAEGAN": loops.vaegan,
    }[system]
    networks = networks_of(model, fit, device, layout)
    loop = make(networks, X, model.latent_dim, model.batch_size, device)
    return step_ratio(model, fit, loop, device)


def triplegan_ratio(kind: str, device: str, precision: str, layout: str = "channels_last") -> Ratio:
    """Every term counts from the first step on: a loop could leave out what does not."""
    X, y, _ = images()
    y = np.where(np.arange(len(y)) < 200, y, -1)
    small = kind == "MLP"
    model = TripleGAN(
        classifier="mlp" if small else "conv",
        generator="mlp" if small else "dcgan",
        discriminator="mlp" if small else "dcgan",
        adversary_start=0.0,
        precision=precision,
        random_state=0,
    ).set_params(pseudo_discriminative__gate=0.0)

    def fit(m: Any) -> Any:
        return m.fit(X, y)

    networks = networks_of(model, fit, device, layout)
    loop = loops.triplegan(networks, X, y, model.latent_dim, model.batch_size, device)
    return step_ratio(model, fit, loop, device)


def speech_ratio(body: str, device: str) -> Ratio:
    """The default terms without prototypes, of frames: no voice is changed, only the speed."""
    frames, speaker = spoken()
    model = SpeechAutoencoder(encoder=body, prototypes=None, random_state=0)

    def fit(m: Any) -> Any:
        return m.fit(frames, speaker)

    where = torch.device(peers.resolve(device))
    source = SpeechBatches(
        FrameStore(frames, where), speaker, speakers=6, utterances=12, max_frames=1000, seed=0
    )
    batches = [source.at(k) for k in range(4 * source.turn)]
    whole = torch.from_numpy(np.concatenate(frames)).to(where)
    loop = loops.speech(
        networks_of(model, fit, device),
        [(b.x, b.length, b.y, b.partner) for b in batches],
        (whole.mean(0), 1 / whole.std(0)),
        RandomSpeed().to(where),
    )
    return step_ratio(model, fit, loop, device)


def ratio(system: str, kind: str, device: str, precision: str, layout: str) -> Ratio:
    """Of any system: "MLP", "convolutions" or, of speech, the body of the encoders."""
    if system == "SpeechAutoencoder":
        return speech_ratio(kind, device)
    if system == "DANN":
        return dann_ratio(kind, device, precision, layout=layout)
    if system == "TripleGAN":
        return triplegan_ratio(kind, device, precision, layout)
    return image_ratio(system, kind, device, precision, layout)


def cases(device: str) -> list[Case]:
    """The seeds are repetitions."""
    chosen = [(s, "MLP", "fp32", "channels_last") for s in SYSTEMS]
    chosen += [(s, "convolutions", "fp32", layout) for layout in LAYOUTS for s in SYSTEMS]
    chosen += [(s, "convolutions", "bf16", "channels_last") for s in SYSTEMS]
    chosen += [("SpeechAutoencoder", body, "fp32", "channels_last") for body in ("conv", "gru")]
    return [
        Case(
            f"step, {kind}" + (" in torch layout" if layout == "torch layout" else ""),
            system,
            f"{precision}, against a hand-written fp32 loop",
            lambda seed, chosen=(system, kind, device, precision, layout): ratio(*chosen),
        )
        for system, kind, precision, layout in chosen
    ]
