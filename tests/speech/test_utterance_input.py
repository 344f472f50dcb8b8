"""Frames of what holds speech, and padded batches of pieces."""

import numpy as np
import pytest
import torch
from scipy.signal import resample_poly

from repkit.audio import FrontEnd, as_utterances
from repkit.datasets import make_speech
from repkit.speech.batches import FrameStore
from repkit.speech.utterance_input import (
    QUIET,
    ROUND,
    doubtful_rate,
    framed,
    is_table,
    padded_batches,
    pieces_of,
    standardization,
    utterance_frames,
)

CPU = torch.device("cpu")


def waves(n=3, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(k) for k in rng.integers(500, 2000, n)]


def test_the_level_is_taken_out_and_kept():
    """Ten times as loud: the same frames, another level."""
    sound = waves(1)[0]
    given = as_utterances([sound, 0.1 * sound], sample_rate=8000)
    found = utterance_frames(given, FrontEnd(sample_rate=8000, n_mels=20), CPU)
    np.testing.assert_allclose(found.frames[0], found.frames[1], atol=1e-2)
    assert found.levels[0] - found.levels[1] == pytest.approx(2 * np.log(10), abs=1e-2)
    assert min(x.min() for x in found.frames) >= QUIET


def test_a_level_is_the_logarithm_of_the_mean_energy():
    x = np.log(np.array([[1.0, 3.0]], dtype=np.float32))
    found, level = framed(x.copy(), "audio", FrontEnd(n_mels=2))
    assert level == pytest.approx(np.log(2))
    np.testing.assert_allclose(found, np.logaddexp(x - level, QUIET), rtol=1e-6)


def test_the_level_of_a_long_recording_is_taken_out_in_pieces(monkeypatch):
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    front_end = FrontEnd(n_mels=3)
    whole, level = framed(x.copy(), "audio", front_end)
    monkeypatch.setattr("repkit.speech.utterance_input.PIECE", 16)
    found, own = framed(x.copy(), "audio", front_end)
    assert own == pytest.approx(level, rel=1e-6)
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)
    deltas = framed(np.hstack([x, x]), "audio", front_end)[0]  # further columns stay
    np.testing.assert_array_equal(deltas[:, 3:], x)


def test_ready_frames_are_taken_as_they_are():
    given = [np.ones((4, 3), np.float32), np.zeros((2, 3), np.float32)]
    found = utterance_frames(as_utterances(given), FrontEnd(), CPU)
    np.testing.assert_array_equal(found.frames[0], given[0])
    assert found.levels.tolist() == [0, 0]


def test_rows_for_what_was_skipped():
    given = as_utterances([waves()[0], np.zeros(9), waves()[1]], on_error="skip")
    found = utterance_frames(given, FrontEnd(), CPU)
    assert (found.n, found.kept.tolist(), found.skipped[0].index) == (3, [0, 2], 1)
    spread = found.spread(np.array([[1.0], [2.0]]))
    np.testing.assert_array_equal(spread, [[1], [np.nan], [2]])


def test_tables():
    assert is_table(np.zeros((2, 3)))
    assert not any(is_table(X) for X in ([[1, 2]], "folder", np.zeros((2, 3, 4)), np.zeros(3)))


def test_standardization():
    prepare = standardization(np.array([1.0, 2.0]), np.array([2.0, 4.0]), CPU)
    x = torch.tensor([[[3.0, 6.0], [9.0, 9.0]]])
    assert prepare(x, torch.tensor([1])).tolist() == [[[1, 1], [0, 0]]]


def test_equal_pieces_cover_all_frames():
    pieces = pieces_of(np.array([10, 3, 7]), 4)
    assert pieces.rows.tolist() == [0, 0, 0, 1, 2, 2]
    assert pieces.lengths.tolist() == [3, 3, 4, 3, 3, 4]
    assert pieces.starts.tolist() == [0, 3, 6, 0, 0, 3]


def test_padded_batches_hold_every_piece_once():
    rng = np.random.default_rng(0)
    frames = [np.full((t, 2), k + 1, np.float32) for k, t in enumerate(rng.integers(1, 60, 150))]
    store = FrameStore(frames, CPU)
    pieces, seen = pieces_of(store.lengths, 20), []
    for wanted, index, x, length in padded_batches(store, pieces):
        assert x.shape[1] % ROUND == 0
        assert index[: len(wanted)].tolist() == wanted.tolist()
        assert x[:, 0, 0].tolist() == (pieces.rows[index] + 1).tolist()
        assert length.tolist() == pieces.lengths[index].tolist()
        seen += wanted.tolist()
    assert sorted(seen) == list(range(len(pieces.rows)))


def test_a_wrong_rate_is_told_by_the_energy(small):
    """Speech of 8 kHz in samples of 48 kHz, said to be of 16 kHz; as it is, nothing is told."""
    data = make_speech(2, 2, 3, random_state=0)
    dense = [resample_poly(x, 6, 1) for x in data.data]
    model = small(sample_rate=16000, max_epochs=1, steps_per_epoch=1)
    with pytest.warns(UserWarning, match="next to nothing is heard above .*is sample_rate=16000 "):
        model.fit(dense, data.speaker)
    model.fit([resample_poly(x, 2, 1) for x in data.data], data.speaker)
    model.set_params(sample_rate=8000).fit(data.data, data.speaker)
    assert doubtful_rate([np.zeros((4, 13))], FrontEnd("mfcc")) is None
    assert doubtful_rate([np.full((4, 40), -12.0)], FrontEnd()) is None
