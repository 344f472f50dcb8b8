"""Matching of frames, and vocoders."""

import numpy as np
import pytest
import torch

from repkit.speech import match_frames, matching


def test_the_mean_of_the_nearest_by_hand(monkeypatch):
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 5)) for n in (7, 3)]
    reference = [rng.normal(size=(n, 5)) for n in (6, 8)]
    frames = [rng.normal(size=(n, 2)) for n in (6, 8)]
    table, rows = np.concatenate(reference), np.concatenate(frames)
    monkeypatch.setattr(matching, "BLOCK", 3 * len(table))  # three rows at once
    found = match_frames(X, reference, frames, n_neighbors=3)
    for x, y in zip(X, found, strict=True):
        cosines = (x @ table.T) / np.linalg.norm(table, axis=1)
        wanted = rows[np.argsort(-cosines, axis=1)[:, :3]].mean(1)
        np.testing.assert_allclose(y, wanted)


def test_the_voice_is_that_of_the_reference():
    x = np.eye(4)
    (same,) = match_frames(x, x, n_neighbors=1)
    np.testing.assert_array_equal(same, x)
    (whole,) = match_frames(x, [x[:1], x[1:]], n_neighbors=4)
    np.testing.assert_allclose(whole, np.full((4, 4), 0.25))


def test_what_does_not_go_together():
    x = np.ones((3, 2))
    with pytest.raises(ValueError, match="reference must have the 2 columns of X, not 4"):
        match_frames(x, np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"reference_frames must have a row for each .*\[3\]"):
        match_frames(x, x, np.ones((2, 4)))
    with pytest.raises(ValueError, match="n_neighbors must be an integer from 1 to 3, not 4"):
        match_frames(x, x)
    with pytest.raises(ValueError, match=r"X\[0\] contains NaN"):
        match_frames(np.full((3, 2), np.nan), x, n_neighbors=1)


def test_a_vocoder_of_ones_own(fitted, data):
    frames = fitted.convert(data.data[:2], data.data[-1:])
    seen = []

    def vocoder(x):
        seen.append(x)
        return torch.zeros(80 * len(x), requires_grad=True)

    waves = fitted.to_waveform(frames, vocoder=vocoder)
    assert [len(w) for w in waves] == [80 * len(x) for x in frames]
    assert waves[0].dtype == np.float32
    np.testing.assert_array_equal(seen[1], frames[1])
    for wrong, message in (
        (lambda x: x, r"vocoder must give a waveform \(samples,\)"),
        (lambda x: np.full(3, np.nan), "vocoder must give finite numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.to_waveform(frames[0], vocoder=wrong)
    with pytest.raises(TypeError, match="vocoder must be callable, or None, not 'hifi'"):
        fitted.to_waveform(frames[0], vocoder="hifi")
