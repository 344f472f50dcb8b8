"""The speech auto-encoder on words that `repkit.datasets.make_speech` speaks: nothing to download.

Eight speakers, twelve minimal words, ten takes with twice the usual variation; two takes
of each are kept to judge on.
"""

from __future__ import annotations

from typing import Any

from benchmarks.runner import Case
from benchmarks.spoken import baseline, corpus, seen

MADE: dict[str, Any] = {
    "adversary": None,
    "batch_size": (8, 9),
    "steps_per_epoch": 25,
    "max_epochs": 8,
}
TASK = "made speech"


def cases(preset: str, device: str) -> list[Case]:
    """With and without prototypes, and what needs no training."""
    variants: dict[str, dict[str, Any]] = {
        "plain": {},
        "no prototypes": {"prototypes": None},
    }
    listed = [
        Case(
            TASK,
            "SpeechAutoencoder",
            name,
            lambda seed, s={**MADE, **change}: seen("made", s, device, seed),
        )
        for name, change in variants.items()
    ]
    listed += [
        Case(
            TASK,
            "log-mel",
            name,
            lambda seed, n=name: baseline(corpus("made"), n, device),
            seeds=1,
        )
        for name in ("mean and deviation", "PCA")
    ]
    return listed
