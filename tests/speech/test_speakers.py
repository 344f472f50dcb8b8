"""Who speaks: labels and pairs."""

import warnings

import numpy as np
import pytest

from repkit.speech import FramePosteriors, SpeakerErasure, SpeakerScaler, SpeakerVerifier
from repkit.speech.speakers import numbered, read_speakers, speaker_labels


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


def test_numbers_of_recordings_are_speakers_and_no_regression():
    X = np.random.default_rng(0).normal(size=(30, 4))
    each = np.arange(30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_speakers(each, 30).codes.tolist() == each.tolist()
        speaker_labels(each, None, 30)
        SpeakerErasure(n_components=2).fit(X, each)
        SpeakerScaler().fit(X, speaker=each).transform(X, speaker=each)
        SpeakerVerifier(1).fit(X, each % 10).enroll(X, each)
        FramePosteriors(2, random_state=0).fit(list(X[:, None]), speaker=each)
    with pytest.raises(ValueError, match="speaker must be labels of classes"):
        read_speakers(each + 0.5, 30, name="speaker")
