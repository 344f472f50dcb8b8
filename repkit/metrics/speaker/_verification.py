"""Speaker verification: can two utterances of one speaker be told from those of two?"""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit import _arguments
from repkit._random import generator
from repkit.metrics._arrays import label_vector
from repkit.metrics.speaker._pairs import rank_pairs, unit_rows


def speaker_eer(
    vectors: Any, speakers: Any, *, device: Any = "auto", batch_bytes: int = 2**28
) -> float:
    """Compute the equal error rate of speaker verification by cosine, over all pairs.

    A pair of utterances is accepted as one speaker if its cosine is above a threshold. At the
    threshold of this rate, the share of pairs of two speakers that are accepted equals the share of
    pairs of one speaker that are not. Between two thresholds, both shares are interpolated
    linearly. The lower the rate, the more a cosine tells about the speaker. It can be at chance
    while a probe still names the speaker: report :func:`probe_report` beside it.

    Parameters
    ----------
    vectors : array of shape (n, d)
        One vector for each utterance.
    speakers : array of shape (n,)
        Speaker of each utterance: at least two speakers, one of them with two utterances.
    device : str or torch.device, default="auto"
        Where to compute cosines. "auto" takes the first there is of cuda, mps and cpu.
    batch_bytes : int, default=2**28
        Memory besides a copy of the vectors, in bytes. With less than 48 bytes for each pair (more
        than 3300 utterances by default) cosines are told apart in steps of 64 / `batch_bytes`
        (2.4e-7); else results are exact.

    Returns
    -------
    eer : float
        A fraction, in [0, 1]: 0 is perfect, 0.5 is chance.

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, there is a single speaker, or no speaker has
        two utterances.

    Examples
    --------
    >>> speaker_eer([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]], ["a", "a", "b", "b"])
    0.0
    """
    unit = unit_rows(vectors, "vectors", _arguments.device(device))
    y = label_vector(speakers, "speakers", len(unit), "vectors")
    values, sizes = np.unique(y, return_counts=True)
    if len(values) < 2:
        raise ValueError(f"speakers must hold at least 2 speakers, not {values[0]!r} alone")
    if sizes.max() < 2:
        raise ValueError(
            "speakers must hold at least 2 utterances of some speaker, a pair to accept"
        )
    different, same = rank_pairs(unit, [y], batch_bytes)
    return equal_error_rate(same, different)


def enrolled_eer(
    vectors: Any,
    speakers: Any,
    *,
    n_enrolled: int = 5,
    n_draws: int = 10,
    random_state: Any = 0,
) -> dict[str, float]:
    """Compute the equal error rate of verification by the mean of several utterances.

    Each speaker is enrolled by the mean of the vectors, brought to length 1, of `n_enrolled`
    utterances drawn at random. Every other utterance is then compared with every speaker.

    Parameters
    ----------
    vectors : array of shape (n, d)
        One vector for each utterance.
    speakers : array of shape (n,)
        Speaker of each utterance: at least two speakers with more than `n_enrolled` utterances.
        Others are left out.
    n_enrolled : int, default=5
        Utterances by which a speaker is enrolled.
    n_draws : int, default=10
        How often they are drawn.
    random_state : int, RandomState, Generator or None, default=0
        Draws them.

    Returns
    -------
    dict of str to float
        ``eer``, a fraction in [0, 1], the mean over the draws; ``threshold``, the cosine at which
        both errors are equal, likewise; ``n_trials`` of a draw.

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, or there are too few speakers with more than
        `n_enrolled` utterances.

    Examples
    --------
    >>> vectors = [[1.0, 0.0], [1.0, 0.1], [0.9, 0.1], [0.0, 1.0], [0.1, 1.0], [0.1, 0.9]]
    >>> found = enrolled_eer(vectors, ["a", "a", "a", "b", "b", "b"], n_enrolled=2)
    >>> found["eer"], found["n_trials"]
    (0.0, 4)
    """
    n_enrolled = _arguments.integer(n_enrolled, "n_enrolled")
    n_draws = _arguments.integer(n_draws, "n_draws", 1, 10**5)
    rng = generator(random_state)
    unit = unit_rows(vectors, "vectors", _arguments.device("cpu")).double().numpy()
    y = label_vector(speakers, "speakers", len(unit), "vectors")
    places = rows_of_speakers(y, n_enrolled)
    eer, threshold = enrolled_error(unit, places, n_enrolled, n_draws, rng, Cosines())
    n_trials = sum(len(own) - n_enrolled for own in places) * len(places)
    return {"eer": eer, "threshold": threshold, "n_trials": n_trials}


def rows_of_speakers(y: np.ndarray, n_enrolled: int) -> list[np.ndarray]:
    """Rows of each speaker (n,) who has more than so many.

    Raises
    ------
    ValueError
        If there are fewer than two.
    """
    names, sizes = np.unique(y, return_counts=True)
    names = names[sizes > n_enrolled]
    if len(names) < 2:
        raise ValueError(
            f"speakers must hold at least 2 speakers of more than n_enrolled={n_enrolled} "
            f"utterances, not {len(names)}"
        )
    return [np.flatnonzero(y == name) for name in names]


def enrolled_error(
    X: np.ndarray,
    places: list[np.ndarray],
    n_enrolled: int,
    n_draws: int,
    rng: np.random.Generator,
    model: Any,
) -> tuple[float, float]:
    """Equal error rate and its threshold, the means over draws of the rows that enroll.

    Parameters
    ----------
    X : array of shape (n, d)
    places : list of arrays
        Rows of each speaker.
    n_enrolled, n_draws : int
    rng : Generator
    model : Cosines, or another with its methods
    """
    owners, found = np.arange(len(places)), []
    for _ in range(n_draws):
        drawn = [rng.permutation(own) for own in places]
        enrolled = np.concatenate([own[:n_enrolled] for own in drawn])
        rest = np.concatenate([own[n_enrolled:] for own in drawn])
        owner = np.repeat(owners, [len(own) - n_enrolled for own in drawn])
        voices = model.enrolled(X[enrolled], np.repeat(owners, n_enrolled))
        scores = model.scores(X[rest], *voices)
        found.append(equal_error(scores.ravel(), (owner[:, None] == owners).ravel()))
    eer, threshold = np.mean(found, axis=0)
    return float(eer), float(threshold)


class Cosines:
    """A voice is the mean of rows of length 1, brought to length 1 again."""

    def enrolled(self, X: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, None]:
        """Voices ``(k, d)`` of rows ``(n, d)`` of speakers, and no variances."""
        means = speaker_means(X, place)
        return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12), None

    def scores(self, X: np.ndarray, voices: np.ndarray, variances: None) -> np.ndarray:
        """Cosines of rows ``(m, d)`` with voices, ``(m, k)``."""
        found: np.ndarray = X @ voices.T
        return found


def speaker_means(X: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Mean of each speaker's rows: ``(n, d)``, ``(n,)`` numbers from 0 ``-> (k, d)``."""
    means: np.ndarray = np.stack([np.bincount(place, column) for column in X.T], 1)
    return means / np.bincount(place)[:, None]


def equal_error(scores: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """Equal error rate of trials (m,), and the score at which both errors are nearest."""
    values, place = np.unique(-scores.round(12), return_inverse=True)
    counts = [np.bincount(place[kind], minlength=len(values)) for kind in (same, ~same)]
    accepted = np.cumsum(counts[1]) / counts[1].sum()
    missed = 1 - np.cumsum(counts[0]) / counts[0].sum()
    nearest = int(np.abs(accepted - missed).argmin())
    return equal_error_rate(*counts), float(-values[nearest])


def equal_error_rate(same: np.ndarray, different: np.ndarray) -> float:
    """Give the equal error rate of counts (m,) of both kinds of pairs, greatest score first."""
    accepted = np.concatenate([[0], np.cumsum(different)]) / different.sum()
    missed = 1 - np.concatenate([[0], np.cumsum(same)]) / same.sum()
    gap = accepted - missed  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = gap[after] / (gap[after] - gap[after - 1])
    return float(accepted[after] + share * (accepted[after - 1] - accepted[after]))
