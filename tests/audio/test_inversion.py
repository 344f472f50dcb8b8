"""Frames back to sound."""

import numpy as np
import pytest
import torch

from repkit.audio import FrontEnd, as_utterances, extract, to_waveform
from repkit.datasets import make_speech


@pytest.fixture(scope="module")
def spoken():
    return make_speech(2, 2, 1, random_state=0).data


@pytest.mark.parametrize(
    "options",
    [{}, {"kind": "mfcc", "n_mfcc": 40, "deltas": True}, {"stack": 3}, {"n_mels": 80}],
)
def test_frames_of_the_rebuilt_sound(spoken, options):
    front_end = FrontEnd(sample_rate=8000, **options)
    plain = FrontEnd(sample_rate=8000)

    def frames(x, front_end):
        return extract(as_utterances([x], sample_rate=8000), front_end).frames[0]

    for x in spoken:
        y = to_waveform(frames(x, front_end), front_end)
        assert y.dtype == np.float32
        assert abs(len(y) - len(x)) <= 80 * front_end.stack
        a, b = frames(x, plain), frames(y, plain)
        n = min(len(a), len(b)) - 1
        error = abs(a[1:n] - b[1:n])[a[1:n] > -4]
        assert error.mean() < 0.18  # 0.8 dB


def test_same_at_every_call_and_no_trace_in_the_generator(spoken):
    front_end = FrontEnd(sample_rate=8000)
    frames = extract(as_utterances(spoken, sample_rate=8000), front_end).frames[0]
    state = torch.get_rng_state()
    first, second = (to_waveform(frames, front_end) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(to_waveform(torch.tensor(frames), front_end), first)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_frames(n):
    front_end = FrontEnd()
    y = to_waveform(np.zeros((n, 40)), front_end)
    assert len(y) == max(n - 1, 1) * 160
    assert np.isfinite(y).all()


def test_extreme_frames_stay_finite():
    for level in (-1e4, 1e4):
        assert np.isfinite(to_waveform(np.full((5, 40), level), FrontEnd())).all()


def test_refused():
    with pytest.raises(ValueError, match=r"shape \(T, 40\).*not \(3, 13\)"):
        to_waveform(np.zeros((3, 13)), FrontEnd())
    with pytest.raises(ValueError, match="normalize=None, not 'utterance'"):
        to_waveform(np.zeros((3, 40)), FrontEnd(normalize="utterance"))
