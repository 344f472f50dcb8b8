"""The speech auto-encoder on made words."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from benchmarks import speech_synthetic
from benchmarks.runner import Case
from benchmarks.spoken import corpus, fit, judge
from repkit import SpectrogramDisplay, SpeechAutoencoder, SpeechVectorsDisplay


@cache
def autoencoder(device: str, seed: int) -> SpeechAutoencoder:
    c = corpus("made")
    return fit(c, ~c.test, speech_synthetic.MADE, device, seed)


def cases(device: str) -> list[Case]:
    """The recipe, and what needs no training."""
    fixed = [c for c in speech_synthetic.cases("quick", device) if c.system == "log-mel"]
    return [
        Case(
            speech_synthetic.TASK,
            "SpeechAutoencoder",
            "plain",
            lambda seed: judge(corpus("made"), autoencoder(device, seed), device),
            seeds=2,
        ),
        *fixed,
    ]


def figures(out: Path, device: str) -> list[Path]:
    """Both vectors in the plane; an input, its reconstruction and a conversion."""
    model, c = autoencoder(device, 0), corpus("made")
    rows = np.flatnonzero(c.test)
    word, voice = rows[0], rows[-1]
    waves = [c.waves[word]]
    displays = {
        "speech-vectors": SpeechVectorsDisplay.from_estimator(
            model, [c.waves[k] for k in rows], c.word[rows], c.speaker[rows], random_state=0
        ),
        "spectrograms": SpectrogramDisplay(
            {
                "input": c.frames[word],
                "reconstruction": model.reconstruct(waves)[0],
                f"in the voice of {c.speaker[voice]}": model.convert(waves, [c.waves[voice]])[0],
            }
        ).plot(),
    }
    paths = []
    for name, display in displays.items():
        paths.append(out / f"quick-{name}.png")
        display.figure_.savefig(paths[-1], dpi=110)
    return paths
