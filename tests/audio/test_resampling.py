"""Sample rates: what a change keeps, and the same in blocks as whole."""

import numpy as np
import pytest
import torch

from repkit.audio.resampling import ratio, resample, resample_blocks, windows


def test_resampling_keeps_tones_and_removes_what_does_not_fit():
    n = torch.arange(44100, dtype=torch.float64) / 44100
    low, high = torch.sin(2 * np.pi * 1000 * n), torch.sin(2 * np.pi * 6000 * n)
    got = resample(low + high, 44100, 8000)
    expected = torch.sin(2 * np.pi * 1000 * torch.arange(8000, dtype=torch.float64) / 8000)
    assert len(got) == 8000
    assert (got - expected)[100:-100].abs().max() < 0.01


def test_awkward_rates_are_rounded():
    assert ratio(44101, 16000).denominator <= 2000
    assert ratio(16000, 44101).numerator <= 2000
    for rate in (44101, 15999, 7919):
        assert float(ratio(rate, 16000)) == pytest.approx(16000 / rate, rel=3e-4)
    assert (ratio(44100, 16000) * 44100, ratio(8000, 16000)) == (16000, 2)


def test_blocks_of_a_resampled_signal(waves):
    x = torch.tensor(waves[-1])
    for rate, target in ((44100, 16000), (8000, 11025), (16000, 16000)):
        got = torch.cat(list(resample_blocks(x.split(777), rate, target, 500)))
        torch.testing.assert_close(got, resample(x, rate, target), rtol=0, atol=1e-6)


def test_blocks_are_bounded_after_as_before():
    x = torch.zeros(3000)
    for rate, target, most in ((1000, 48000, 600), (48000, 1000, 600)):
        sizes = [len(b) for b in resample_blocks(x.split(100), rate, target, 480)]
        assert max(sizes[:-1]) <= most
        assert sum(sizes) == len(resample(x, rate, target))


def test_windows_cover_the_signal_once():
    x = torch.arange(1.0, 24.0)
    pieces = list(windows(x.split(5), 4, 3))
    middle = [piece[3 : 3 + fresh] for piece, fresh in pieces]
    torch.testing.assert_close(torch.cat(middle), x)
    padded = torch.nn.functional.pad(x, (3, 3))
    for k, (piece, _) in enumerate(pieces):
        torch.testing.assert_close(piece, padded[4 * k : 4 * k + len(piece)])
