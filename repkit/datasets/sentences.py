"""Utterances of several words, made by joining the recordings of one speaker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from repkit import _arguments
from repkit._random import generator

__all__ = ["make_sentences"]


def make_sentences(
    waves: Sequence[Any],
    word: Any,
    speaker: Any,
    *,
    n_words: int = 5,
    gap: float = 0.05,
    sample_rate: int = 16000,
    random_state: Any = 0,
) -> Bunch:
    """Join recordings of words to utterances of several words, whose boundaries are known.

    The recordings of each speaker are put into a random order and joined by as many as asked for.
    Each is used once; what is left over at the end is left out.

    Parameters
    ----------
    waves : sequence of n arrays of shape (T_i,)
        Recordings of one word each.
    word : array of shape (n,)
        The word of each recording.
    speaker : array of shape (n,)
        The speaker of each recording.
    n_words : int, default=5
        Words of an utterance.
    gap : float, default=0.05
        Silence between two words, in seconds.
    sample_rate : int, default=16000
        Of the recordings, in Hz.
    random_state : int, RandomState, Generator or None, default=0
        Draws the order.

    Returns
    -------
    sentences : Bunch
        ``data``, a list of float32 waveforms; ``speaker`` (n_sentences,); and of each word
        ``recording`` (m,), the number of its utterance in ``data``, ``word`` (m,), ``source`` (m,),
        the number of its recording in `waves`, ``start`` and ``end`` (m,), in seconds;
        ``sample_rate``.

    Raises
    ------
    ValueError
        If lengths differ, a number is out of range, a recording is not of one dimension, or no
        speaker has as many recordings as an utterance has words.

    Examples
    --------
    >>> from repkit.datasets import make_sentences, make_speech
    >>> words = make_speech(2, 3, 2, random_state=0)
    >>> found = make_sentences(words.data, words.word, words.speaker, n_words=3, sample_rate=8000)
    >>> len(found.data), found.recording.tolist()
    (4, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
    """
    n_words = _arguments.integer(n_words, "n_words", 1, 10**4)
    gap = _arguments.number(gap, "gap", 0.0, 60.0)
    sample_rate = _arguments.integer(sample_rate, "sample_rate", 1000, 10**6)
    rng = generator(random_state)
    given = _waves(waves)
    words, people = (
        _labels(v, name, len(given)) for v, name in ((word, "word"), (speaker, "speaker"))
    )
    silence = np.zeros(round(gap * sample_rate), dtype=np.float32)
    data: list[np.ndarray] = []
    rows: list[int] = []
    speakers: list[Any] = []
    edges: list[tuple[int, int]] = []
    for name in np.unique(people):
        order = rng.permutation(np.flatnonzero(people == name))
        for k in range(len(order) // n_words):
            chosen = order[k * n_words : (k + 1) * n_words]
            pieces: list[np.ndarray] = []
            place = 0
            for row in chosen:
                if pieces:
                    pieces.append(silence)
                    place += len(silence)
                pieces.append(given[row])
                edges.append((place, place + len(given[row])))
                place += len(given[row])
            data.append(np.concatenate(pieces))
            rows.extend(chosen)
            speakers.append(name)
    if not data:
        raise ValueError(
            f"n_words={n_words} is more than any speaker has recordings of: give more of them, or "
            "ask for fewer words"
        )
    start, end = np.array(edges).T / sample_rate
    return Bunch(
        data=data,
        speaker=np.array(speakers, dtype=people.dtype),
        recording=np.repeat(np.arange(len(data)), n_words),
        word=words[rows],
        source=np.array(rows),
        start=start,
        end=end,
        sample_rate=sample_rate,
    )


def _waves(waves: Any) -> list[np.ndarray]:
    if isinstance(waves, str | bytes | dict) or not hasattr(waves, "__len__") or not len(waves):
        raise ValueError(f"waves must be a list of arrays (T,), not {_arguments.shown(waves)}")
    found = []
    for k, wave in enumerate(waves):
        with _arguments.named(f"waves[{k}]", "numbers of shape (T,)"):
            x = np.asarray(wave)
            x = x if x.dtype == np.float32 else x.astype(np.float32)
        if x.ndim != 1 or not len(x):
            raise ValueError(f"waves[{k}] must have shape (T,), T at least 1, not {x.shape}")
        found.append(x)
    return found


def _labels(values: Any, name: str, n: int) -> np.ndarray:
    with _arguments.named(name, "labels, one for each recording"):
        found = np.asarray(values)
    if found.shape != (n,):
        raise ValueError(
            f"{name} must have one label for each of the {n} recordings; it has the shape "
            f"{found.shape}"
        )
    return found
