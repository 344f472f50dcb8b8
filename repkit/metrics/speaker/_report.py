"""One table of what two vectors of an utterance say of the word and of the speaker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from repkit._arguments import device as usable
from repkit._arguments import shown
from repkit._random import generator
from repkit.metrics._arrays import batch_size_of, feature_matrix, label_vector
from repkit.metrics.speaker._abx import abx_error
from repkit.metrics.speaker._pooling import check_mask
from repkit.metrics.speaker._probes import Probes, accuracies
from repkit.metrics.speaker._same_different import same_different
from repkit.metrics.speaker._verification import speaker_eer

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = [
    "word_linear",
    "word_mlp",
    "speaker_linear",
    "speaker_mlp",
    "eer",
    "abx_within",
    "abx_across",
    "ap",
    "ap_across",
]


def disentanglement_report(
    phonetic: Any,
    speaker_vectors: Any,
    words: Any,
    speakers: Any,
    test: Any,
    *,
    baselines: Mapping[str, Any] | None = None,
    random_state: Any = 0,
    device: Any = "auto",
    batch_bytes: int = 2**28,
) -> pd.DataFrame:
    """Measure how well two kinds of vectors separate word and speaker, in one table.

    Probes learn from the training utterances. Every number is of the test utterances.

    Parameters
    ----------
    phonetic : array of shape (n, p)
        Phonetic vectors of all utterances, training and test.
    speaker_vectors : array of shape (n, s)
        Speaker vectors of the same utterances.
    words : array of shape (n,)
        Word of each utterance.
    speakers : array of shape (n,)
        Speaker of each utterance.
    test : bool array of shape (n,)
        True for test utterances.
    baselines : mapping of str to array of shape (n, d), optional
        Further vectors of the same utterances, such as those of :func:`mean_std` and
        :func:`resampled_pca`.
    random_state : int, RandomState, Generator or None, default=0
        Draws the probes' weights and the random labels.
    device : str or torch.device, default="auto"
        Where to compute cosines. "auto" takes the first there is of cuda, mps and cpu.
    batch_bytes : int, default=2**28
        Memory besides a copy of the vectors, in bytes. With less than 48 bytes for each pair (more
        than 3300 utterances by default) cosines are told apart in steps of 64 / `batch_bytes`
        (2.4e-7); else results are exact.

    Returns
    -------
    report : DataFrame
        Rows: ``phonetic``, ``speaker``, the baselines, ``chance`` and ``random labels`` (the
        phonetic vectors with words and speakers shuffled, which must be near chance).
        Columns: accuracy of the probes ``word_linear``, ``word_mlp``, ``speaker_linear``,
        ``speaker_mlp`` (:func:`probe_report`); ``eer`` (:func:`speaker_eer`); ``abx_within``,
        ``abx_across`` (:func:`abx_error` of words, pooled vectors); ``ap``, ``ap_across``
        (:func:`same_different` of words). All are in [0, 1], or NaN if the utterances do not define
        them: probes of speakers unseen in training, and anything across speakers with one speaker.

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, the mask is bad, or a baseline has the name of
        another row.
    """
    import pandas as pd
    from sklearn.metrics.cluster import contingency_matrix

    baselines = {} if baselines is None else baselines
    if not isinstance(baselines, Mapping):
        raise TypeError(
            f"baselines must be a dict of arrays by name, or None, not {shown(baselines)}"
        )
    taken = {"phonetic", "speaker", "chance", "random labels"} & set(baselines)
    if taken:
        raise ValueError(f"baselines must not have the names of other rows: rename {sorted(taken)}")
    device, batch_bytes = usable(device), batch_size_of(batch_bytes)
    matrices = {"phonetic": feature_matrix(phonetic, "phonetic", min_rows=2)}
    n = len(matrices["phonetic"])
    others = {"speaker": (speaker_vectors, "speaker_vectors")}
    others |= {row: (X, f"baselines[{row!r}]") for row, X in baselines.items()}
    for row, (X, name) in others.items():
        matrices[row] = feature_matrix(X, name, min_rows=2)
        if len(matrices[row]) != n:
            raise ValueError(
                f"{name} has {len(matrices[row])} rows but phonetic has {n}: pass one row for each "
                "utterance"
            )
    mask = check_mask(test, n)
    word = label_vector(words, "words", n, "phonetic")
    speaker = label_vector(speakers, "speakers", n, "phonetic")
    rng = generator(random_state)
    seed = int(rng.integers(2**31))
    order = np.arange(n)
    for part in (mask, ~mask):
        order[part] = rng.permutation(order[part])

    # (n_speakers, n_words) of the test utterances, shuffled or not: both go together
    counts = contingency_matrix(speaker[mask], word[mask])
    settings = {"device": device, "batch_bytes": batch_bytes}
    rows = {
        name: _row(X, word, speaker, mask, counts, seed, settings) for name, X in matrices.items()
    }
    rows["chance"] = _chance(rows["phonetic"], counts)
    rows["random labels"] = _row(
        matrices["phonetic"], word[order], speaker[order], mask, counts, seed, settings
    )
    return pd.DataFrame.from_dict(rows, orient="index", columns=_COLUMNS)


def _row(
    X: np.ndarray,
    word: np.ndarray,
    speaker: np.ndarray,
    test: np.ndarray,
    counts: np.ndarray,
    seed: int,
    settings: dict[str, Any],
) -> dict[str, float]:
    row = dict.fromkeys(_COLUMNS, np.nan)
    labels = {
        kind: y
        for kind, y in (("word", word), ("speaker", speaker))
        if len(np.unique(y[~test])) > 1 and np.isin(y[test], y[~test]).all()
    }
    if labels:
        probes = Probes(1.0, 128, 60, np.random.default_rng(seed))
        probes.fit(X[~test], [y[~test] for y in labels.values()])
        for (kind, y), found in zip(labels.items(), probes.predict(X[test]), strict=True):
            row |= accuracies(found, y[test], kind + "_{}")

    X, word, speaker = X[test], word[test], speaker[test]
    some = counts > 0
    several = some.sum(axis=1, keepdims=True) > 1  # speakers with a word and another
    if len(counts) > 1 and counts.sum(axis=1).max() > 1:
        row["eer"] = speaker_eer(X, speaker, **settings)
    if (several & (counts > 1)).any():
        row["abx_within"] = abx_error(X, word, speaker, **settings)["error"]
    if (several & some & (some.sum(axis=0) > 1)).any():
        row["abx_across"] = abx_error(X, word, speaker, mode="across", **settings)["error"]
    if counts.sum(axis=0).max() > 1:
        across = (some.sum(axis=0) > 1).any()
        scores = same_different(X, word, speaker if across else None, **settings)
        row |= {key: scores[key] for key in ("ap", "ap_across") if key in scores}
    return row


def _chance(row: dict[str, float], counts: np.ndarray) -> dict[str, float]:
    """Give what vectors without any information get where the others have a number."""
    share_speaker, share_word = (counts.sum(axis=k).max() / counts.sum() for k in (1, 0))
    n_all, n_same = _pairs(counts.sum()), _pairs(counts.sum(axis=0)).sum()
    across = n_all - _pairs(counts.sum(axis=1)).sum()
    chance = {
        "word_linear": share_word,
        "word_mlp": share_word,
        "speaker_linear": share_speaker,
        "speaker_mlp": share_speaker,
        "eer": 0.5,
        "abx_within": 0.5,
        "abx_across": 0.5,
        "ap": n_same / n_all,
        "ap_across": (n_same - _pairs(counts).sum()) / max(across, 1),
    }
    return {name: np.nan if np.isnan(row[name]) else value for name, value in chance.items()}


def _pairs(n: Any) -> Any:
    return n * (n - 1) // 2
