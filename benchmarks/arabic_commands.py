"""Forty words of speakers whose words nobody labeled: speakers are domains.

Trained on the words of the 18 speakers of the training part; the recordings of the 6 of the test
part are targets without labels, and the same recordings are the test (transductive). The 6
validation speakers in their place may choose settings; so far they chose none.
"""

from __future__ import annotations

from functools import cache, partial
from typing import NamedTuple

import numpy as np

from benchmarks.images import Data, variants
from benchmarks.images import cases as cases_of
from benchmarks.recipes import SPECTRAL, WORD_PAPER, WORD_PSEUDO, WORDS
from benchmarks.runner import Case
from repkit.audio import FrontEnd, as_utterances, extract
from repkit.datasets import load_arabic_commands
from repkit.words import as_pictures

TASKS = {"words of test speakers": "test", "words of validation speakers": "validation"}


class Recordings(NamedTuple):
    """Log-mel pictures (n, 1, 40, 48), standardized each; 40 words, 30 speakers, 3 parts."""

    pictures: np.ndarray
    word: np.ndarray
    speaker: np.ndarray
    part: np.ndarray


@cache
def recordings() -> Recordings:
    """All 2400."""
    words, speakers, parts, waves = [], [], [], []
    for part in ("train", "validation", "test"):
        data = load_arabic_commands(part)
        waves += data.data
        words.append(data.word)
        speakers.append(data.speaker)
        parts += [part] * len(data.data)
    frames = extract(as_utterances(waves, sample_rate=16000), FrontEnd(hop=0.01)).frames
    return Recordings(
        as_pictures(frames),
        np.concatenate(words),
        np.concatenate(speakers),
        np.array(parts),
    )


@cache
def load(task: str) -> Data:
    """Training speakers, each a source; and those of the other part, each a target."""
    data = recordings()
    source, target = (data.part == part for part in ("train", TASKS[task]))
    x, y = data.pictures[target], data.word[target]
    return Data(
        data.pictures[source],
        data.word[source],
        x,
        y,
        x,
        y,
        data.speaker[source],
        -1 - data.speaker[target],
    )


def cases(preset: str, device: str) -> list[Case]:
    """All variants of both tasks, and the peers."""
    base = WORDS if preset != "paper" else {**WORDS, **WORD_PAPER}
    rows = variants(SPECTRAL, WORD_PSEUDO)
    return [
        case for task in TASKS for case in cases_of(task, partial(load, task), rows, base, device)
    ]
