"""Vectors of frames: phones of 54 languages, with boundaries corrected by hand (VoxAngeles).

A session is one speaker of one language. Even speakers to train on, odd ones to test on; the 24
most frequent phones. *ABX* is the error on vectors of segments, the mean of the middle half, within
and across speakers, or on the frames of segments by dynamic time warping (at most three of each
phone and speaker). *phone* is the accuracy of a linear probe from even to odd speakers (most
frequent phone .246). Settings were chosen by the ABX of even speakers, which is given too. The
corpus is CC BY-NC and has no loader: its folder lies below ``REPKIT_DATA``.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor, nn

from benchmarks.runner import Case
from repkit import SpeechAutoencoder, recipes
from repkit.audio import FrontEnd, as_utterances, extract, statistics
from repkit.engine.rng import isolated_rng
from repkit.metrics import abx_error, cut_segments, phone_probe
from repkit.speech import Prototypes, SpeechEncoder
from repkit.speech.batches import FrameStore
from repkit.speech.frames import perturbation_basis
from repkit.speech.perturb import voices_and_speeds
from repkit.speech.utterance_input import standardization, utterance_frames

RATE, PHONES = 16000, 24
TASK, EVEN = "VoxAngeles, odd speakers", "VoxAngeles, even speakers"


# Chosen on the even speakers' ABX, one seed of 300 steps.
RECIPE = recipes.speech("frames")
LAYERS: dict[str, Any] = {**RECIPE, "encoder": SpeechEncoder(stack=1, pooling="frames")}
ABLATIONS: dict[str, dict[str, Any]] = {
    "recipe": RECIPE,
    "recipe, not whitened": {
        **RECIPE,
        "encoder": clone(RECIPE["encoder"]).set_params(whiten=False),
    },
    "layers": LAYERS,
    "layers, frames in twos": {**LAYERS, "encoder": SpeechEncoder(pooling="frames")},
    "layers, neighbors": {**LAYERS, "encoder": SpeechEncoder("conv", stack=1, pooling="frames")},
    "layers, 64 clusters": {**LAYERS, "prototypes": Prototypes((), segment_size=0)},
    "both poolings": {**LAYERS, "encoder": SpeechEncoder(pooling="both")},
}


@cache
def corpus() -> dict[str, Any]:
    """Waveforms, speakers, and of each segment of a frequent phone where it is."""
    path = Path(os.environ.get("REPKIT_DATA", ".")) / "voxangeles" / "voxangeles.npz"
    with np.load(path) as data:
        found = {k: data[k] for k in data.files}
    edges, samples = found["offsets"], found["samples"]
    waves = [samples[a:b].astype(np.float32) / 2**15 for a, b in itertools.pairwise(edges)]
    kinds, counts = np.unique(found["phone"], return_counts=True)
    frequent = kinds[np.argsort(-counts, kind="stable")[:PHONES]]
    rows = np.isin(found["phone"], frequent)
    recording = found["phone_recording"][rows].astype(np.int64)
    speaker = found["speaker"].astype(np.int64)
    return {
        "waves": waves,
        "speaker": speaker,
        "recording": recording,
        "start": found["phone_start"][rows] / RATE,
        "end": found["phone_end"][rows] / RATE,
        "phone": found["phone"][rows].astype(np.int64),
        "owner": speaker[recording],
    }


def phone_figures(
    frames: list[np.ndarray], times: list[np.ndarray], scale: bool = False
) -> dict[str | tuple[str, str], float]:
    """What vectors of frames tell of phones; with ``scale``, of columns of one deviation."""
    c = corpus()
    segments = cut_segments(frames, times, c["recording"], c["start"], c["end"])
    # Mean and deviation as the even speakers' frames have them.
    even = np.concatenate([x for x, k in zip(frames, c["speaker"], strict=True) if k % 2 == 0])
    mean, std = even.mean(0), even.std(0) if scale else 1.0
    scaled = [(x - mean) / std for x in segments]
    odd = c["owner"] % 2 == 1
    found: dict[str | tuple[str, str], float] = {
        "phone": phone_probe(segments, c["phone"], odd)["accuracy"]
    }
    for task, rows in ((TASK, odd), (EVEN, ~odd)):
        own = [scaled[k] for k in np.flatnonzero(rows)]
        vectors = np.stack([middle(x) for x in own])
        phone, owner = c["phone"][rows], c["owner"][rows]
        for mode in ("within", "across"):
            options = {"mode": mode, "device": "cpu"}
            error = abx_error(vectors, phone, owner, **options)["error"]
            found[task, f"ABX {mode}"] = error
            if task == TASK:
                error = abx_error(own, phone, owner, max_items=3, **options)["error"]
                found[f"ABX {mode}, DTW"] = error
    return found


def middle(x: np.ndarray) -> np.ndarray:
    """Mean of the middle half of the frames of a segment."""
    count = max(1, round(len(x) / 2))
    first = (len(x) - count) // 2
    mean: np.ndarray = x[first : first + count].mean(0)
    return mean


def learned(
    settings: Mapping[str, Any], device: str, seed: int
) -> dict[str | tuple[str, str], float]:
    """The figures of a model that is fitted to the recordings of even speakers."""
    c = corpus()
    rows = np.flatnonzero(c["speaker"] % 2 == 0)
    model = SpeechAutoencoder(
        **{"sample_rate": RATE, **settings, "device": device, "random_state": seed}
    )
    model.fit([c["waves"][k] for k in rows], c["speaker"][rows])
    return phone_figures(*model.transform_frames(c["waves"], return_times=True))


def baseline(kind: str) -> dict[str | tuple[str, str], float]:
    """Frames as the front end gives them."""
    front_end = FrontEnd(kind, sample_rate=RATE)
    frames = extract(as_utterances(corpus()["waves"], sample_rate=RATE), front_end).frames
    return phone_figures(frames, [0.01 * np.arange(len(x)) for x in frames], scale=True)


class Passing(nn.Module):
    """In the place of an encoder: frames as they are."""

    stack = 1

    def both(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean(1), x


def whitened() -> dict[str | tuple[str, str], float]:
    """Log-mel frames in the basis that the vectors of the recipe are brought to."""
    c, cpu = corpus(), torch.device("cpu")
    utterances = as_utterances(c["waves"], sample_rate=RATE)
    frames = utterance_frames(utterances, FrontEnd(sample_rate=RATE), cpu).frames
    rows = np.flatnonzero(c["speaker"] % 2 == 0)
    mean, std = statistics([frames[k] for k in rows])
    store, y = FrameStore([frames[k] for k in rows], cpu), c["speaker"][rows] // 2
    with isolated_rng(cpu):
        torch.manual_seed(0)
        perturb = voices_and_speeds(
            1.0, store, y, sample_rate=RATE, mean=mean, voices=True, even=True
        )
        prepare = standardization(mean, std, cpu)
        center, basis = perturbation_basis(Passing(), store, y, prepare, perturb, 400)
    vectors = [((x - mean) / std - center) @ basis for x in frames]
    return phone_figures(vectors, [0.01 * np.arange(len(x)) for x in vectors])


def cases(preset: str, device: str) -> list[Case]:
    """The recipe, its parts, and frames that need no training."""
    listed = [
        Case(TASK, "frames", kind, lambda seed, k=kind: baseline(k), seeds=1)
        for kind in ("mfcc", "logmel")
    ]
    listed.append(Case(TASK, "frames", "logmel, whitened", lambda seed: whitened(), seeds=1))
    for name, settings in ABLATIONS.items():
        listed.append(
            Case(
                TASK,
                "SpeechAutoencoder",
                name,
                lambda seed, s=settings: learned(s, device, seed),
                seeds=None if name == "recipe" else 1,
            )
        )
    return listed
