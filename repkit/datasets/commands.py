"""Arabic Speech Commands: words of thirty speakers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from repkit.datasets._fetch import Arrays, as_uint8, read

__all__ = ["load_arabic_commands"]

_SUBSETS = ("train", "validation", "test")


def load_arabic_commands(subset: str = "all") -> Bunch:
    """Load a part of Arabic Speech Commands (Ghandoura et al. 2021): 40 words, two takes of each.

    Parameters
    ----------
    subset : {"all", "train", "validation", "test"}, default="all"
        Part to load, of the official split by speaker: 30, 18, 6 or 6 speakers.

    Returns
    -------
    data : Bunch
        ``data``, a list of float32 waveforms (T,) in [-1, 1), 0.26 to 1.00 s long; ``word``,
        ``speaker`` and ``take``, int64 (n,), n = 80 for each speaker; ``word_names``, a tuple of 40
        English names; ``sample_rate``, 16000 Hz. Ordered by speaker, word and take.

    Raises
    ------
    ValueError
        If `subset` is unknown.
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache.
    OSError
        If a file is torn, altered or of another version.
    """
    if subset != "all" and subset not in _SUBSETS:
        raise ValueError(f"subset must be 'all' or one of {', '.join(_SUBSETS)}, not {subset!r}")
    from repkit.audio import reading  # loads torch

    data = read("arabic_commands", _parse)
    whole = np.ones(len(data["split"]), bool)
    rows = np.flatnonzero(whole if subset == "all" else data["split"] == _SUBSETS.index(subset))
    start, end = data["offsets"][:-1], data["offsets"][1:]
    scaled = reading.scaled(data["samples"])
    return Bunch(
        data=[scaled[start[i] : end[i]].copy() for i in rows],
        word=data["word"][rows].astype(np.int64),
        speaker=data["speaker"][rows].astype(np.int64),
        take=data["take"][rows].astype(np.int64),
        word_names=tuple(data["words"].tolist()),
        sample_rate=16000,
    )


def _parse(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as packed:
        small = {name: as_uint8(packed[name]) for name in ("word", "speaker", "take", "split")}
        return {
            **small,
            "samples": packed["samples"],
            "offsets": packed["offsets"],
            "words": packed["words"],
        }
