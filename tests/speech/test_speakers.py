"""Who speaks: labels and pairs."""

import numpy as np
import pytest

from repkit.speech.speakers import numbered, speaker_labels


def test_pairs_make_components():
    labels, known = speaker_labels(None, [[3, 1], [1, 5], [0, 2]], 7)
    assert known.tolist() == [True, True, True, True, False, True, False]
    assert labels[1] == labels[3] == labels[5] != labels[0] == labels[2]
    for wrong in ([[0, 7]], [[-1, 0]]):
        with pytest.raises(ValueError, match="pairs must hold numbers of utterances"):
            speaker_labels(None, wrong, 7)
    for wrong in ([0, 1], [[0.0, 1.0]], np.zeros((0, 2), int)):
        with pytest.raises(ValueError, match="pairs must be whole numbers"):
            speaker_labels(None, wrong, 7)
    with pytest.raises(ValueError, match="not both"):
        speaker_labels([0, 1], [[0, 1]], 2)


def test_numbers_from_zero():
    labels, known = speaker_labels(["b", "-1", "a", "b"], None, 4)
    speakers, place = numbered(labels, known)
    assert speakers.tolist() == ["a", "b"]
    assert place.tolist() == [1, -1, 0, 1]
