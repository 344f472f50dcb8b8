"""Vectors of frames: phones of 54 languages, with boundaries corrected by hand (VoxAngeles).

A session is one speaker of one language. Even speakers to train on, odd ones to test on; the 24
most frequent phones. *ABX* is the error on vectors of segments, the mean of the middle half, within
and across speakers, or on the frames of segments by dynamic time warping (at most three of each
phone and speaker). *phone* is the accuracy of a linear probe from even to odd speakers (most
frequent phone .246). The corpus is CC BY-NC and has no loader: its folder lies below
``REPKIT_DATA``.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runner import Case
from repkit import SpeechAutoencoder
from repkit.audio import FrontEnd, as_utterances, extract
from repkit.metrics import abx_error, cut_segments, phone_probe
from repkit.speech import Prototypes, SpeechEncoder

RATE, PHONES = 16000, 24
TASK = "VoxAngeles, odd speakers"

# Not chosen on phones: sizes of the other benchmarks of speech. Ablations are to be read as such.
RECIPE: dict[str, Any] = {
    "phonetic_dim": 48,
    "adversary": None,
    "encoder": SpeechEncoder(pooling="frames"),
    "prototypes": Prototypes(frame_size=64),
    "perturb": 1.0,
    "steps_per_epoch": 50,
    "max_epochs": 16,
}
ABLATIONS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "no prototypes": {"prototypes": Prototypes(frame_size=0)},
    "no perturbation": {"perturb": 0.0},
    "128 prototypes": {"prototypes": Prototypes(frame_size=128)},
    "both poolings": {"encoder": SpeechEncoder(pooling="both")},
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


def phone_figures(frames: list[np.ndarray], times: list[np.ndarray]) -> dict[str, float]:
    """What vectors of frames tell of the phones of odd speakers."""
    c = corpus()
    segments = cut_segments(frames, times, c["recording"], c["start"], c["end"])
    odd = c["owner"] % 2 == 1
    phone, owner = c["phone"][odd], c["owner"][odd]
    # Columns of one deviation, as the even speakers' frames have it: what cosines compare.
    even = np.concatenate([x for x, k in zip(frames, c["speaker"], strict=True) if k % 2 == 0])
    mean, std = even.mean(0), even.std(0)
    scaled = [(x - mean) / std for x, k in zip(segments, odd, strict=True) if k]
    vectors = np.stack([middle(x) for x in scaled])
    found = {"phone": phone_probe(segments, c["phone"], odd)["accuracy"]}
    for mode in ("within", "across"):
        options = {"mode": mode, "device": "cpu"}
        found[f"ABX {mode}"] = abx_error(vectors, phone, owner, **options)["error"]
        found[f"ABX {mode}, DTW"] = abx_error(scaled, phone, owner, max_items=3, **options)["error"]
    return found


def middle(x: np.ndarray) -> np.ndarray:
    """Mean of the middle half of the frames of a segment."""
    count = max(1, round(len(x) / 2))
    first = (len(x) - count) // 2
    mean: np.ndarray = x[first : first + count].mean(0)
    return mean


def learned(settings: Mapping[str, Any], device: str, seed: int) -> dict[str, float]:
    """The figures of a model that is fitted to the recordings of even speakers."""
    c = corpus()
    rows = np.flatnonzero(c["speaker"] % 2 == 0)
    model = SpeechAutoencoder(
        **{"sample_rate": RATE, **settings, "device": device, "random_state": seed}
    )
    model.fit([c["waves"][k] for k in rows], c["speaker"][rows])
    return phone_figures(*model.transform_frames(c["waves"], return_times=True))


def baseline(kind: str) -> dict[str, float]:
    """Frames as the front end gives them."""
    front_end = FrontEnd(kind, sample_rate=RATE)
    frames = extract(as_utterances(corpus()["waves"], sample_rate=RATE), front_end).frames
    return phone_figures(frames, [0.01 * np.arange(len(x)) for x in frames])


def cases(preset: str, device: str) -> list[Case]:
    """The recipe, its parts, and frames that need no training."""
    listed = [
        Case(TASK, "frames", kind, lambda seed, k=kind: baseline(k), seeds=1)
        for kind in ("mfcc", "logmel")
    ]
    for name, change in ABLATIONS.items():
        listed.append(
            Case(
                TASK,
                "SpeechAutoencoder",
                name,
                lambda seed, s={**RECIPE, **change}: learned(s, device, seed),
                seeds=None if name == "recipe" else 1,
            )
        )
    return listed
