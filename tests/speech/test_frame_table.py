"""Frames of recordings as one table."""

import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from repkit.speech import FramePosteriors, IVectorExtractor
from repkit.speech.frame_table import enough_frames, mixture, of_recordings, read_table


def test_recordings_and_single_frames():
    frames = [np.ones((3, 2)), np.zeros((1, 2))]
    assert of_recordings(frames)
    assert of_recordings(np.ones((4, 3, 2)))
    assert not of_recordings(np.ones((3, 2)))
    table, lengths = read_table(BaseEstimator(), frames, reset=True)
    assert table.shape == (4, 2)
    assert table.dtype == np.float32
    assert lengths == [3, 1]
    assert read_table(BaseEstimator(), np.ones((3, 2)), reset=True)[1] == [1, 1, 1]


def test_what_was_fitted_is_held_to():
    estimator = BaseEstimator()
    read_table(estimator, [np.ones((3, 2))], reset=True)
    with pytest.raises(ValueError, match="features"):
        read_table(estimator, [np.ones((3, 5))], reset=False)
    assert len(read_table(estimator, np.ones((1, 2)), reset=False)[0]) == 1
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        read_table(estimator, np.ones((1, 2)), reset=True)
    with pytest.raises(ValueError, match=r"X\[1\]"):
        read_table(estimator, [np.ones((3, 2)), np.full((2, 2), np.nan)], reset=False)


def test_four_frames_for_each_cluster():
    enough_frames(np.ones((8, 1)), 2)
    with pytest.raises(ValueError, match="needs at least 8 frames"):
        enough_frames(np.ones((7, 1)), 2)


def test_a_mixture_that_does_not_settle_says_nothing():
    x = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = mixture(x, 40, 0.05, np.random.RandomState(0))
    assert found.covariances_.min() >= 0.05


@pytest.mark.parametrize("X", [[np.zeros(800), np.zeros(900)], "recordings/"])
@pytest.mark.parametrize("kind", [IVectorExtractor, FramePosteriors])
def test_sound_is_not_frames(kind, X):
    with pytest.raises(ValueError, match=r"X must be a table of frames, .* repkit\.audio\.extract"):
        kind().fit(X)
