"""Internal. Phones and words of the made speech: acoustic targets and lexicons."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

# Formants F1 to F3 in Hz, means of the men of Peterson and Barney (JASA 1952, table II).
VOWELS: dict[str, tuple[float, float, float]] = {
    "iy": (270, 2290, 3010),
    "ih": (390, 1990, 2550),
    "eh": (530, 1840, 2480),
    "ae": (660, 1720, 2410),
    "ah": (640, 1190, 2390),
    "aa": (730, 1090, 2440),
    "ao": (570, 840, 2410),
    "uh": (440, 1020, 2240),
    "uw": (300, 870, 2240),
    "er": (490, 1350, 1690),
}


class Phone(NamedTuple):
    """How a phone is made.

    Parameters
    ----------
    formants : tuple of float
        Where the formants are, or point to (the loci of a stop), in Hz.
    voice : float
        Level of the voiced sound.
    noise : float
        Level of the noise.
    center, width : float
        Of the noise's resonance, in Hz.
    stop : bool
        Closed at first; the noise is a burst at the end.
    """

    formants: tuple[float, float, float]
    voice: float = 1.0
    noise: float = 0.0
    center: float = 1000.0
    width: float = 1000.0
    stop: bool = False


CONSONANTS: dict[str, Phone] = {
    "b": Phone((250, 800, 2200), 0.15, 0.3, 900, 900, stop=True),
    "d": Phone((250, 1750, 2600), 0.15, 0.3, 3300, 1000, stop=True),
    "g": Phone((250, 2100, 2400), 0.15, 0.3, 1900, 700, stop=True),
    "p": Phone((250, 800, 2200), 0.0, 0.5, 900, 900, stop=True),
    "t": Phone((250, 1750, 2600), 0.0, 0.5, 3300, 1000, stop=True),
    "k": Phone((250, 2100, 2400), 0.0, 0.5, 1900, 700, stop=True),
    "s": Phone((300, 1700, 2600), 0.0, 0.35, 3300, 900),
    "f": Phone((300, 1000, 2300), 0.0, 0.12, 2200, 3500),
    "m": Phone((280, 1000, 2200), 0.5),
    "n": Phone((280, 1600, 2600), 0.5),
    "l": Phone((360, 1100, 2700), 0.6),
    "r": Phone((350, 1150, 1500), 0.6),
    "w": Phone((300, 650, 2200), 0.6),
    "v": Phone((300, 1000, 2300), 0.4, 0.06, 2200, 3500),
    "z": Phone((300, 1700, 2600), 0.35, 0.2, 3300, 900),
    "sh": Phone((300, 1800, 2500), 0.0, 0.35, 2400, 700),
    "th": Phone((300, 1400, 2500), 0.0, 0.10, 2800, 3500),
}
PHONES = {name: Phone(formants) for name, formants in VOWELS.items()} | CONSONANTS

_DIGITS = {
    "zero": "z ih r ao uh",
    "one": "w ah n",
    "two": "t uw",
    "three": "th r iy",
    "four": "f ao r",
    "five": "f aa ih v",
    "six": "s ih k s",
    "seven": "s eh v ah n",
    "eight": "eh ih t",
    "nine": "n aa ih n",
}
# Taken from the start, so that small vocabularies are sets of near neighbors.
_ONSETS = ("b", "d", "g", "p", "t", "k", "s", "f", "m", "n", "l", "r", "w", "v", "z", "sh", "th")
_NUCLEI = ("ih", "eh", "ae", "ah", "aa", "ao", "uh", "uw", "iy", "er")
_CODAS = ("t", "k", "p", "d", "g", "b", "n", "m", "s", "f", "l", "z", "v", "sh", "th", "r")


def lexicon(vocab: str, n_words: int) -> dict[str, tuple[str, ...]]:
    """Give `n_words` words and their phones.

    "cv" and "cvc" are grids, as even as can be: every word differs from others in one phone.

    Raises
    ------
    ValueError
        An unknown `vocab`, or more words than it has.
    """
    slots = {"cv": (_ONSETS, _NUCLEI), "cvc": (_ONSETS, _NUCLEI, _CODAS)}
    if vocab == "digits":
        words = {word: tuple(phones.split()) for word, phones in _DIGITS.items()}
    elif vocab in slots:
        words = {"-".join(phones): phones for phones in _grid(slots[vocab], n_words)}
    else:
        raise ValueError(f"vocab must be 'digits', 'cv' or 'cvc', not {vocab!r}")
    if not 1 <= n_words <= len(words):
        raise ValueError(
            f"n_words must be from 1 to {len(words)} with vocab={vocab!r}, not {n_words!r}"
        )
    return dict(list(words.items())[:n_words])


def _grid(slots: tuple[tuple[str, ...], ...], n_words: int) -> list[tuple[str, ...]]:
    sizes = [1] * len(slots)
    while np.prod(sizes) < n_words and any(
        size < len(slot) for size, slot in zip(sizes, slots, strict=True)
    ):
        growing = [k for k, slot in enumerate(slots) if sizes[k] < len(slot)]
        sizes[min(growing, key=lambda k: sizes[k])] += 1
    return list(product(*(slot[:n] for slot, n in zip(slots, sizes, strict=True))))
