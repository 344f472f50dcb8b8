"""The same-different task: are two utterances of one word closer than those of two?"""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit import _arguments
from repkit.metrics._arrays import label_vector
from repkit.metrics.speaker._pairs import rank_pairs, unit_rows


def same_different(
    vectors: Any,
    categories: Any,
    speakers: Any = None,
    *,
    device: Any = "auto",
    batch_bytes: int = 2**28,
) -> dict[str, float]:
    """Compute the average precision of "same category" over all pairs sorted by cosine.

    The same-different task of Carlin et al. (Interspeech 2011): every pair of utterances is a
    query, and pairs of one word should come first. Pairs of two speakers show whether the word or
    the voice brings vectors together. Chance is the share of same pairs.

    Parameters
    ----------
    vectors : array of shape (n, d)
        One vector for each utterance.
    categories : array of shape (n,)
        Word (or phone) of each utterance.
    speakers : array of shape (n,), optional
        Speaker of each utterance. Needed for the numbers across speakers.
    device : str or torch.device, default="auto"
        Where to compute cosines. "auto" takes the first there is of cuda, mps and cpu.
    batch_bytes : int, default=2**28
        Memory besides a copy of the vectors, in bytes. With less than 48 bytes for each pair (more
        than 3300 utterances by default) cosines are told apart in steps of 64 / `batch_bytes`
        (2.4e-7), twice that with `speakers`; else results are exact.

    Returns
    -------
    scores : dict of str to float
        ``ap`` over all pairs and its ``chance``. With `speakers` also ``ap_across``, over pairs of
        two speakers, and its ``chance_across``. All are in [0, 1]. Pairs of equal cosine share one
        threshold, as in scikit-learn's ``average_precision_score``.

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, or no pair (of two speakers) has one category.
    """
    unit = unit_rows(vectors, "vectors", _arguments.device(device))
    labels = [label_vector(categories, "categories", len(unit), "vectors")]
    if speakers is not None:
        labels.append(label_vector(speakers, "speakers", len(unit), "vectors"))
    counts = rank_pairs(unit, labels, batch_bytes)
    # bit 0: same category; bit 1: same speaker
    different, same = counts.reshape(-1, 2, counts.shape[1]).sum(axis=0)
    if not same.any():
        raise ValueError("categories must hold at least 2 utterances of some category")
    scores = {"ap": average_precision(same, different), "chance": _share(same, different)}
    if speakers is not None:
        if not counts[1].any():
            raise ValueError(
                "speakers must hold at least 2 speakers in some category: pass such "
                "utterances, or speakers=None"
            )
        scores["ap_across"] = average_precision(counts[1], counts[0])
        scores["chance_across"] = _share(counts[1], counts[0])
    return scores


def average_precision(same: np.ndarray, different: np.ndarray) -> float:
    """Give the average precision of counts (m,) of both kinds of pairs, greatest score first."""
    hits = np.cumsum(same)
    # where nothing has come yet there is no precision, and no weight either
    precision = hits / np.maximum(hits + np.cumsum(different), 1)
    # rounding can lift a perfect score above 1
    return min(float(precision @ (same / hits[-1])), 1.0)


def _share(same: np.ndarray, different: np.ndarray) -> float:
    return float(same.sum() / (same.sum() + different.sum()))
