"""Changes of frames: each utterance of a padded batch as if it were alone."""

import numpy as np
import torch

from repkit.audio import frames as module
from repkit.audio.frames import hold_last, normalized, stacked, unstacked, with_deltas


def test_the_padding_holds_the_last_frame():
    frames = torch.arange(8.0).reshape(2, 4, 1)
    got = hold_last(frames, torch.tensor([2, 4]))
    assert got[..., 0].tolist() == [[0, 1, 1, 1], [4, 5, 6, 7]]


def test_deltas_are_slopes():
    ramp = torch.arange(20.0)[None, :, None] * torch.tensor([1.0, -3.0])
    padded = torch.cat([ramp, torch.full((1, 5, 2), 1e6)], dim=1)
    got = with_deltas(padded, torch.tensor([20]))[0, :20]
    torch.testing.assert_close(got[2:-2, 2:4], torch.tensor([[1.0, -3.0]]).expand(16, 2))
    torch.testing.assert_close(got[4:-4, 4:], torch.zeros(12, 2))
    assert got.abs().max() < 100


def test_what_does_not_vary_becomes_zero():
    still = normalized(torch.full((1, 7, 1), 1e4 / 3), torch.tensor([7]))
    assert (still == 0).all()


def test_stacking_is_undone():
    frames = torch.arange(14.0).reshape(1, 7, 2)
    together, lengths = stacked(frames, torch.tensor([6]), 3)
    assert (together.shape, lengths.tolist()) == ((1, 3, 6), [2])
    torch.testing.assert_close(unstacked(together[0], 3)[:6], frames[0, :6])
    assert unstacked(together[0], 3)[6:].tolist() == [[10.0, 11.0]] * 3


def test_pieces_are_views_of_all_frames(monkeypatch):
    monkeypatch.setattr(module, "PIECE", 4)
    x = np.arange(18.0).reshape(9, 2)
    pieces = list(module.in_pieces(x))
    assert [len(piece) for piece in pieces] == [4, 4, 1]
    np.testing.assert_array_equal(np.concatenate(pieces), x)
    assert all(np.shares_memory(piece, x) for piece in pieces)
