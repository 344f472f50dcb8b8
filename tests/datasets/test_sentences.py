"""Sentences made by joining recordings: every word where it is said to be."""

import numpy as np
import pytest

from repkit.datasets import make_sentences, make_speech


def test_every_word_is_where_it_is_said_to_be():
    words = make_speech(3, 4, 3, random_state=0)
    made = make_sentences(
        words.data, words.word, words.speaker, n_words=5, gap=0.03, sample_rate=8000
    )
    assert len(made.data) == 3 * (12 // 5)
    assert len(made.word) == 5 * len(made.data)
    assert len(set(made.source.tolist())) == len(made.source)  # each once
    for k, x in enumerate(made.data):
        covered = np.zeros(len(x), dtype=bool)
        for j in np.flatnonzero(made.recording == k):
            low, high = (round(v[j] * 8000) for v in (made.start, made.end))
            np.testing.assert_array_equal(x[low:high], words.data[made.source[j]])
            assert made.word[j] == words.word[made.source[j]]
            assert made.speaker[k] == words.speaker[made.source[j]]
            covered[low:high] = True
        assert (x[~covered] == 0).all()
        assert (~covered).sum() == 4 * 240


def test_the_seed_draws_the_order():
    words = make_speech(2, 3, 2, random_state=0)
    given = (words.data, words.word, words.speaker)
    one, same, other = (
        make_sentences(*given, n_words=2, random_state=seed).source for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_names_of_any_kind():
    made = make_sentences([np.ones(5)] * 4, list("abab"), ["x", "x", "y", "y"], n_words=2)
    assert made.speaker.tolist() == ["x", "y"]
    assert set(made.word.tolist()) == {"a", "b"}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"n_words": 3}, "n_words=3 is more than any speaker has recordings of"),
        ({"gap": -1.0}, "gap must be"),
        ({"word": [0]}, "word must have one label for each of the 2 recordings"),
        ({"waves": [np.ones((2, 2)), np.ones(3)]}, r"waves\[0\] must have shape \(T,\)"),
        ({"waves": []}, "waves must be a list"),
        ({"waves": ["a", "b"]}, r"waves\[0\]"),
    ],
)
def test_errors(change, match):
    given = {"waves": [np.ones(4), np.ones(5)], "word": [0, 1], "speaker": [0, 0], "n_words": 2}
    with pytest.raises(ValueError, match=match):
        make_sentences(**{**given, **change})
