"""Vectors of frames: phones of 54 languages, with boundaries corrected by hand (VoxAngeles).

A session is one speaker of one language. Even speakers to train on, odd ones to test on; the 24
most frequent phones. *ABX* is the error on vectors of segments, the mean of the middle half, within
and across speakers, or on the frames of segments by dynamic time warping (at most three of each
phone and speaker). *phone* is the accuracy of a linear probe from even to odd speakers (most
frequent phone .246), with the penalty C = 1; *C chosen* has that of 1, .1, .01 and .001 that reads
one half of the even speakers best from the other. *By speaker* are frames at mean 0 and deviation 1
for each speaker, for which one must know which recordings are whose. Settings were chosen by the
ABX of even speakers, which is given too, those of `FramePosteriors` by one half of them trained on
the other. The corpus is CC BY-NC and has no loader: its folder lies below ``REPKIT_DATA``.
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
from repkit.metrics import abx_error, cut_segments, linear_probe
from repkit.speech import FrameNetwork, FramePosteriors, Prototypes, SpeakerScaler, SpeechEncoder
from repkit.speech.batches import FrameStore
from repkit.speech.frames import perturbation_basis
from repkit.speech.perturb import voices_and_speeds
from repkit.speech.utterance_input import standardization, utterance_frames

RATE, PHONES = 16000, 24
PENALTIES = (1.0, 0.1, 0.01, 0.001)  # C of the probe, the inverse of its penalty
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

# MFCC of 20 bands rather than 40, and five rounds rather than three: by one half of the even
# speakers, trained on the other, two seeds.
BANDS = 20
POSTERIORS: dict[str, dict[str, Any]] = {
    "mfcc, by speaker": {},
    "mfcc, by speaker, first round alone": {"n_rounds": 0},
    "mfcc": {"names": False},
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
    frames: list[np.ndarray], times: list[np.ndarray], scale: bool = False, root: bool = False
) -> dict[str | tuple[str, str], float]:
    """What vectors of frames tell of phones; with ``scale``, of columns of one deviation.

    With ``root``, frames are probabilities, of whose means the square roots are compared.
    """
    c = corpus()
    segments = cut_segments(frames, times, c["recording"], c["start"], c["end"])
    if not root:
        # Mean and deviation as the even speakers' frames have them.
        even = np.concatenate([x for x, k in zip(frames, c["speaker"], strict=True) if k % 2 == 0])
        mean, std = even.mean(0), even.std(0) if scale else 1.0
        segments = [(x - mean) / std for x in segments]
    vectors = np.stack([middle(x) for x in segments])
    if root:
        vectors, segments = np.sqrt(vectors), [np.sqrt(x) for x in segments]
    odd = c["owner"] % 2 == 1
    found: dict[str | tuple[str, str], float] = probed(vectors, odd)
    for task, rows in ((TASK, odd), (EVEN, ~odd)):
        phone, owner = c["phone"][rows], c["owner"][rows]
        for mode in ("within", "across"):
            options = {"mode": mode, "device": "cpu"}
            error = abx_error(vectors[rows], phone, owner, **options)["error"]
            found[task, f"ABX {mode}"] = error
            if task == TASK:
                own = [segments[k] for k in np.flatnonzero(rows)]
                error = abx_error(own, phone, owner, max_items=3, **options)["error"]
                found[f"ABX {mode}, DTW"] = error
    return found


def probed(vectors: np.ndarray, odd: np.ndarray) -> dict[str | tuple[str, str], float]:
    """Phones that a linear probe of the even speakers reads from vectors of the odd ones."""
    c = corpus()
    halves = [~odd & (c["owner"] % 4 == k) for k in (0, 2)]

    def read(train: np.ndarray, test: np.ndarray, C: float) -> float:
        phone = c["phone"]
        return linear_probe(vectors[train], phone[train], vectors[test], phone[test], C=C)[
            "accuracy"
        ]

    best = max(
        PENALTIES, key=lambda C: read(halves[0], halves[1], C) + read(halves[1], halves[0], C)
    )
    return {"phone": read(~odd, odd, 1.0), "phone, C chosen": read(~odd, odd, best)}


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
    return phone_figures(*learned_frames(settings, device, seed))


def learned_frames(
    settings: Mapping[str, Any], device: str, seed: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Vectors of frames of such a model, and their times."""
    c = corpus()
    rows = np.flatnonzero(c["speaker"] % 2 == 0)
    model = SpeechAutoencoder(
        **{"sample_rate": RATE, **settings, "device": device, "random_state": seed}
    )
    model.fit([c["waves"][k] for k in rows], c["speaker"][rows])
    found: tuple[list[np.ndarray], list[np.ndarray]] = model.transform_frames(
        c["waves"], return_times=True
    )
    return found


def front_end_frames(kind: str, n_mels: int = 40) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Frames as the front end gives them, and their times."""
    front_end = FrontEnd(kind, sample_rate=RATE, n_mels=n_mels)
    frames = extract(as_utterances(corpus()["waves"], sample_rate=RATE), front_end).frames
    return frames, [0.01 * np.arange(len(x)) for x in frames]


def baseline(
    kind: str, by_speaker: bool = False, n_mels: int = 40
) -> dict[str | tuple[str, str], float]:
    """Frames as the front end gives them."""
    frames, times = front_end_frames(kind, n_mels)
    if not by_speaker:
        return phone_figures(frames, times, scale=True)
    lengths = [len(x) for x in frames]
    speaker = np.repeat(corpus()["speaker"], lengths)
    scaled = SpeakerScaler(0.0).fit_transform(np.concatenate(frames), speaker=speaker)
    return phone_figures(np.split(scaled, np.cumsum(lengths)[:-1]), times, scale=True)


def posteriors(
    frames: list[np.ndarray],
    times: list[np.ndarray],
    seed: int,
    names: bool = True,
    **settings: Any,
) -> dict[str | tuple[str, str], float]:
    """Probabilities of clusters that even speakers' frames are found to fall into."""
    speaker = corpus()["speaker"]
    rows = np.flatnonzero(speaker % 2 == 0)
    known = speaker if names else np.full(len(speaker), -1)
    model = FramePosteriors(**settings, random_state=seed)
    model.fit([frames[k] for k in rows], speaker=known[rows])
    return phone_figures(model.transform(frames, speaker=known), times, root=True)


def taught(seed: int, alone: bool) -> dict[str | tuple[str, str], float]:
    """Probabilities that a network reads from log-mel frames: alone, or their mean with those of
    the clusters of MFCC that taught it.
    """
    speaker = corpus()["speaker"]
    rows = np.flatnonzero(speaker % 2 == 0)
    (mfcc, times), (logmel, _) = front_end_frames("mfcc", BANDS), front_end_frames("logmel")

    def even(frames: list[np.ndarray]) -> list[np.ndarray]:
        return [frames[k] for k in rows]

    clusters = FramePosteriors(random_state=seed).fit(even(mfcc), speaker=speaker[rows])
    found = clusters.transform(mfcc, speaker=speaker)
    network = FrameNetwork(random_state=seed).fit(even(logmel), even(found), speaker=speaker[rows])
    read = network.transform(logmel, speaker=speaker)
    if not alone:
        read = [(p + q) / 2 for p, q in zip(found, read, strict=True)]
    return phone_figures(read, times, root=True)


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
    listed += [
        Case(TASK, "frames", "logmel, whitened", lambda seed: whitened(), seeds=1),
        *(
            Case(TASK, "frames", name, lambda seed, n=bands: baseline("mfcc", True, n), seeds=1)
            for name, bands in (
                ("mfcc, by speaker", 40),
                (f"mfcc of {BANDS} bands, by speaker", BANDS),
            )
        ),
    ]
    for name, settings in POSTERIORS.items():
        listed.append(
            Case(
                TASK,
                "FramePosteriors",
                name,
                lambda seed, s=settings: posteriors(*front_end_frames("mfcc", BANDS), seed, **s),
                seeds=None if name == "mfcc, by speaker" else 1,
            )
        )
    listed += [
        Case(TASK, "FrameNetwork", name, lambda seed, a=alone: taught(seed, a))
        for name, alone in (
            ("log-mel, by speaker", True),
            ("log-mel, by speaker, mean with FramePosteriors", False),
        )
    ]
    listed.append(
        Case(
            TASK,
            "FramePosteriors",
            "SpeechAutoencoder's recipe, by speaker",
            lambda seed: posteriors(*learned_frames(RECIPE, device, seed), seed),
            seeds=1,
        )
    )
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
