"""Speaker verification: can two utterances of one speaker be told from those of two?"""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit import _arguments
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


def equal_error_rate(same: np.ndarray, different: np.ndarray) -> float:
    """Give the equal error rate of counts (m,) of both kinds of pairs, greatest score first."""
    accepted = np.concatenate([[0], np.cumsum(different)]) / different.sum()
    missed = 1 - np.concatenate([[0], np.cumsum(same)]) / same.sum()
    gap = accepted - missed  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = gap[after] / (gap[after] - gap[after - 1])
    return float(accepted[after] + share * (accepted[after - 1] - accepted[after]))
