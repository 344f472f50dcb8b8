"""Arabic speech commands: forty words of thirty speakers."""

from __future__ import annotations

from functools import partial

import numpy as np
from sklearn.utils import Bunch

from repkit._arguments import choice
from repkit.datasets._fetch import npz, read

__all__ = ["load_arabic_commands"]

_SUBSETS = ("train", "validation", "test")


def load_arabic_commands(subset: str = "all") -> Bunch:
    """Load two takes of each word and speaker of the Arabic Speech Commands.

    Ghandoura, Hjabo and Al Dakkak (2021). The split is the authors', by speaker: nobody is heard
    in two parts. Figures published on all ten takes do not compare with figures on these two.

    Parameters
    ----------
    subset : {"all", "train", "validation", "test"}, default="all"
        Part to load: all 30 speakers, or 18, 6 and 6.

    Returns
    -------
    data : Bunch
        ``data``, a list of float32 waveforms (T,) in [-1, 1), 0.26 to 1.00 s long, 2400 in all,
        or 1440, 480 and 480; ``word``, ``speaker`` and ``take``, int64 (n,), word 0 to 39 and
        speaker 0 to 29; ``words``, a tuple of 40 in English; ``sample_rate``, 16000 Hz. Ordered by
        speaker, word and take. Speakers that are told apart can be tested on the greater ``take``
        of each pair.

    Raises
    ------
    ValueError
        If `subset` is unknown.
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache; it is published nowhere.
    OSError
        If a file is torn, altered or of another version.

    Notes
    -----
    Drawn at random from the 12000 recordings of a repository on GitHub,
    abdulkaderghandoura/arabic-speech-commands-dataset (CC BY 4.0). Silence at both ends was cut.
    """
    choice(subset, "subset", ("all", *_SUBSETS))
    from repkit.audio import reading  # loads torch

    keys = ("samples", "offsets", "word", "speaker", "take", "split", "words")
    data = read("arabic_commands", partial(npz, keys=keys))
    wanted = data["split"] == (_SUBSETS.index(subset) if subset in _SUBSETS else data["split"])
    rows = np.flatnonzero(wanted)
    start, end = data["offsets"][:-1], data["offsets"][1:]
    scaled = reading.scaled(data["samples"])
    return Bunch(
        data=[scaled[start[i] : end[i]].copy() for i in rows],
        word=data["word"][rows].astype(np.int64),
        speaker=data["speaker"][rows].astype(np.int64),
        take=data["take"][rows].astype(np.int64),
        words=tuple(data["words"].tolist()),
        sample_rate=16000,
    )
