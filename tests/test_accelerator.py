"""Steps on a GPU: nothing on the CPU meets them, and the host never waits; see `accelerator`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import nn

import repkit
from repkit.audio import FrontEnd, as_utterances, voice_statistics
from repkit.augment import RandomAffine, RandomThickness
from repkit.datasets import make_speech
from repkit.engine import Engine
from repkit.engine.replay import Graphs
from repkit.speech import FrameNetwork

STEPS, EPOCHS = 2, 1
# What has convolutions, products that stay in float32, or both, also runs in bf16.
IN_BF16 = {"DANN entropy", "DANN all", "VAEGAN", "Speech", "Speech frames"}
NO_FITS = {"on the CPU", "voice statistics", "frame network"}


class Brighter(nn.Module):
    """A change of a user's own, with a buffer that has to be where the batches are."""

    def __init__(self):
        super().__init__()
        self.register_buffer("factor", torch.tensor([1.1]))

    def forward(self, x):
        return (x * self.factor).clamp(0.0, 1.0)


class Louder(Brighter):
    def forward(self, x, length, y):
        return x + self.factor, length


def small_net():
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.2), nn.Flatten()
    return nn.Sequential(*layers)


def cases():
    """Small fits by name: the class, its options, X, and what else `fit` is given."""
    rng, speech = np.random.default_rng(0), make_speech(2, 3, 4, random_state=0)
    image = rng.random((48, 1, 12, 12)).astype(np.float32)
    table = rng.normal(size=(48, 6)).astype(np.float32)
    y, domain = rng.integers(3, size=48), np.array([0, 1, -2, -3]).repeat(12)
    few = np.where(np.arange(48) < 20, y, -1)
    with tempfile.TemporaryFile() as file:  # the map holds it open
        on_disk = np.memmap(file, np.float32, "w+", shape=table.shape)
    on_disk[:] = table
    gan = {"width": 16, "batch_size": 8, "latent_dim": 5}
    of_images = gan | {"augment": nn.Sequential(RandomAffine(), Brighter())}
    bare = nn.Sequential(RandomThickness(), Brighter())
    penalized = repkit.Discriminator("dcgan", r1=1.0)
    voices = {"sample_rate": 8000, "max_frames": 16, "width": 24, "phonetic_dim": 6,
              "speaker_dim": 4, "prototypes__sizes": (2,), "prototypes__segment_size": 2,
              "prototypes__start": 0.0, "batch_size": (2, 4)}  # fmt: skip
    given = {"y": y, "sample_domain": domain}
    dann = {"width": 16, "batch_size": 12}
    conv = dann | {"backbone": small_net(), "strong_augment": bare, "augment": Brighter()}
    said = {"y": speech.speaker}
    yield "DANN", "DANN", dann, table, given
    yield "DANN entropy", "DANN", dann | {
        "updates__order": "alternating", "updates__d_steps": 2, "conditional": "entropy",
        "optimizer": "sgd", "learning_rate_schedule": "dann"}, on_disk, given  # fmt: skip
    yield "DANN all", "DANN", conv | {
        "consistency": 1.0, "ema": 0.9, "entropy__weight": 0.1, "entropy__smoothness": 1.0,
        "entropy__confusion": 0.1, "entropy__prior": "estimate",
        "domain_norm": "separate"}, (255 * image).astype(np.uint8), given  # fmt: skip
    for kind in ("coral", "joint_mmd", "wasserstein", "discrepancy"):
        yield f"DANN {kind}", "DANN", dann | {"divergence": kind}, table, given
    yield "DANNRegressor", "DANNRegressor", dann, table, given | {"y": table[:, 0]}
    yield "VAE", "VAE", of_images, image, {}
    yield "VAE table", "VAE", gan | {"likelihood": "gaussian", "ema": 0.9}, on_disk, {}
    yield "VAEGAN", "VAEGAN", of_images | {
        "discriminator": penalized, "balanced_steps": True, "pixel": 1.0}, image, {}  # fmt: skip
    yield "VAEGAN 3", "VAEGAN", gan | {"discriminator_kind": "three_way"}, table, {}
    yield "BiGAN", "BiGAN", of_images | {
        "discriminator": penalized, "unary": True, "latent_cycle": 1.0, "data_cycle": 1.0,
        "ema": 0.9}, image, {}  # fmt: skip
    yield "BiGAN ALI", "BiGAN", gan | {"stochastic": True, "prior": "normal"}, table, {}
    yield "InfoGAN", "InfoGAN", of_images | {
        "discriminator": penalized, "continuous__contrastive": 1.0, "categorical": (3, 2),
        "categorical__invariance": 1.0, "continuous__variance": "learned",
        "strong_augment": bare, "recalibrate": False}, image, {}  # fmt: skip
    yield "InfoGAN joint", "InfoGAN", gan | {
        "updates": "joint", "discriminator_norm": "spectral", "ema": 0.9}, table, {}  # fmt: skip
    triple = {"width": 16, "batch_size": (4, 8), "adversary_start": 0.0}
    yield "TripleGAN", "TripleGAN", triple | {
        "augment": Brighter(), "strong_augment": bare}, image, {"y": few}  # fmt: skip
    yield "TripleGAN argmax", "TripleGAN", triple | {
        "alpha__expectation": "argmax"}, table, {"y": few}  # fmt: skip
    yield "Speech", "SpeechAutoencoder", voices | {
        "prototypes__quantize": 0.1, "prototypes__quantize_start": 0.0, "swap__cycle": 1.0,
        "encoder__content_norm": "instance", "erase": "leace"}, speech.data, said  # fmt: skip
    yield (
        "Speech frames",
        "SpeechAutoencoder",
        voices | {"encoder__pooling": "frames", "prototypes__frame_size": 3},
        speech.data,
        said,
    )
    yield (
        "Speech GRU",
        "SpeechAutoencoder",
        voices | {"encoder": "gru", "adversary": "pair", "perturb": Louder()},
        speech.data,
        said,
    )
    yield "Speech transformer", "SpeechAutoencoder", voices | {
        "encoder": "transformer", "adversary": "wasserstein"}, speech.data, said  # fmt: skip


def fitted(name, options, X, given, device, precision):
    model = getattr(repkit, name)(
        max_epochs=EPOCHS, steps_per_epoch=STEPS, random_state=0, device=device, precision=precision
    ).set_params(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, **given)
    history = model.history_.drop(columns="seconds").to_numpy(float)
    domains = {k: v for k, v in given.items() if k == "sample_domain"}
    return history, np.asarray(model.transform(X, **domains))


def voices(device):
    utterances = as_utterances(make_speech(2, 3, 1, random_state=0).data, sample_rate=8000)
    return voice_statistics(utterances, FrontEnd(sample_rate=8000), device).vectors


def frame_network(device):
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(n, 5)) for n in (40, 60)]
    labels = [rng.integers(3, size=len(x)) for x in frames]
    model = FrameNetwork(1, width=8, max_epochs=1, batch_size=50, device=device, random_state=0)
    return np.concatenate(model.fit(frames, labels, speaker=["a", "b"]).transform(frames))


def main(only=""):
    """Fit on the CPU and on the device, and print what was found of each fit."""
    from accelerator import accelerator

    todo = [case for case in cases() if only in case[0]]
    few_for_statistics = patch("repkit.base.generative.RECALIBRATION", 64)
    with few_for_statistics:
        expected = {name: fitted(*case, "cpu", "fp32") for name, *case in todo}
    told, read = voices("cpu"), frame_network("cpu")
    # No graph is recorded in so few steps, but inputs are placed for one.
    with (
        accelerator() as device,
        patch("repkit.engine.replay.cuda_graphs", lambda *_: Graphs(None)),
        patch.dict(os.environ, {"REPKIT_GRAPHS": "1"}),
        few_for_statistics,
    ):
        step, refresh = Engine.step, Engine.begin_epoch

        def watched(self):
            with device.within("step"):
                step(self)

        def begun(self):
            with device.within("refresh"):
                refresh(self)

        Engine.step, Engine.begin_epoch = watched, begun
        found = {}
        for name, *case in todo:
            for precision in ("fp32", "bf16") if name in IN_BF16 else ("fp32",):
                device.events.clear()
                device.steps.clear()
                entry = found[f"{name}, {precision}"] = {"failure": None, "apart": np.nan}
                try:
                    got = fitted(*case, "auto", precision)
                    apart = zip(got, expected[name], strict=True)
                    entry["apart"] = float(max(np.nanmax(np.abs(a - b)) for a, b in apart))
                except Exception as error:
                    entry["failure"] = repr(error)
                entry["operations"] = sum(device.steps.values())
                entry["events"] = [[*key, n] for key, n in sorted(device.events.items())]
        device.operations.clear()
        device.events.clear()
        device.steps.clear()
        apart = float(np.abs(frame_network("auto") - read).max())
        events = [[*key, n] for key, n in sorted(device.events.items())]
        found["frame network"] = [apart, sum(device.steps.values()), events]
        device.operations.clear()
        found["voice statistics"] = float(np.abs(voices("cuda") - told).max())
        assert sum(device.operations.values())
        device.operations.clear()
        name, *case = todo[0]
        fitted(*case, "cpu", "fp32")
        found["on the CPU"] = sum(device.operations.values())
    print(json.dumps(found))


@pytest.fixture(scope="module")
def found():
    """What was found of all fits, in a process of its own."""
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 11):
        pytest.skip("the imagined device is made of what torch 2.11 and later have")
    run = subprocess.run(
        [sys.executable, __file__],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(repkit.__file__).parents[1])},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


def events(entry, *phases):
    return [event for event in entry["events"] if event[0] in phases]


def test_fits_end_and_are_those_of_a_cpu(found):
    fits = {name: entry for name, entry in found.items() if name not in NO_FITS}
    assert len(fits) == 22 + len(IN_BF16)
    assert {name: e["failure"] for name, e in fits.items() if e["failure"]} == {}
    apart = {name: entry["apart"] for name, entry in fits.items()}
    same = {k: v for k, v in apart.items() if "Speech" not in k and k.endswith("fp32")}
    assert max(same.values()) < 1e-5  # learning rates are float32 there
    # A GRU is written out there, and attention another one; Adam makes much of little.
    assert max(v for k, v in apart.items() if k.endswith("fp32")) < 0.05
    assert max(apart.values()) < 0.5  # CUDA's autocast against no autocast


def test_voices_are_told_as_on_a_cpu(found):
    assert found["voice statistics"] < 1e-4


def test_a_frame_network_is_that_of_a_cpu_and_does_not_wait(found):
    apart, operations, seen = found["frame network"]
    assert apart < 1e-4
    assert operations > 20 * STEPS
    assert {event[1] for event in seen if event[0] == "step"} <= {"sent"}


def test_no_step_waits(found):
    for name, entry in found.items():
        if name in NO_FITS:
            continue
        assert entry["operations"] > 20 * STEPS, name
        # An index on the host, a look at a number, a copy that is not pinned: each would wait.
        events_in = events(entry, "step")
        assert {e[1] for e in events_in} <= {"sent"}, (name, events_in)
        sent = sum(e[-1] for e in events_in)
        # The rows of an epoch, once; of speech and of rows on the disk, once a step.
        steps = STEPS if name.startswith(("Speech", "DANN entropy", "VAE table")) else 0
        assert sent == steps + (not name.startswith("Speech")), name


def test_prototypes_are_refreshed_without_looks(found):
    for name in ("Speech, fp32", "Speech GRU, fp32"):
        assert {e[1] for e in events(found[name], "refresh")} <= {"sent", "copy"}
        copies = sum(e[-1] for e in events(found[name], "refresh") if e[1] == "copy")
        assert copies <= 5  # of groups and of known rows, at the first refresh


def test_a_fit_on_the_cpu_leaves_the_gpu_alone(found):
    assert found["on the CPU"] == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
