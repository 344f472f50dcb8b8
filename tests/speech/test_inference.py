"""Vectors and decoded frames of stored utterances, piece by piece."""

import numpy as np
import pytest
import torch

from repkit.speech.batches import FrameStore
from repkit.speech.inference import decoded_frames, mean_of_pieces, utterance_vectors
from repkit.speech.utterance_input import pieces_of

CPU = torch.device("cpu")


@pytest.fixture
def store():
    rng = np.random.default_rng(0)
    lengths = (5, 33, 1, 12)
    return FrameStore([rng.standard_normal((t, 2)).astype(np.float32) for t in lengths], CPU)


def mean(x, length):
    return x.sum(1) / length[:, None]


def whole(store):
    return [x.numpy() for x in torch.split(store.all, store.lengths.tolist())]


@pytest.mark.parametrize("max_frames", [400, 7])
def test_vectors_are_means_over_pieces(store, max_frames):
    """Of a mean over frames, weighted by their lengths, that is the mean of the whole."""
    p, s = utterance_vectors(mean, mean, store, lambda x, length: x, max_frames)
    wanted = np.stack([x.mean(0) for x in whole(store)])
    np.testing.assert_allclose(p, wanted, atol=1e-6)
    unit = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(s, unit, atol=1e-5)


@pytest.mark.parametrize("max_frames", [400, 7])
def test_decoded_frames_are_whole_and_in_the_given_voice(store, max_frames):
    voices = np.arange(4.0, dtype=np.float32)[:, None]

    def decode(p, s, length, time):
        return (p + 100 * s)[:, None].expand(-1, time, -1)

    found = decoded_frames(mean, decode, voices, store, lambda x, length: x, max_frames)
    assert [len(x) for x in found] == store.lengths.tolist()
    for k, (x, given) in enumerate(zip(found, whole(store), strict=True)):
        np.testing.assert_allclose(x.mean(0), given.mean(0) + 100 * k, atol=1e-4)


def test_mean_of_pieces():
    pieces = pieces_of(np.array([3, 1]), 2)
    values = np.array([[1.0], [4.0], [7.0]])
    assert pieces.lengths.tolist() == [1, 2, 1]
    np.testing.assert_allclose(mean_of_pieces(values, pieces), [[3.0], [7.0]])
