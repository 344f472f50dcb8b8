"""What a frame is."""

import numpy as np
import pytest
import torch
from torchaudio.transforms import MFCC, MelSpectrogram

from repkit.audio import FrontEnd, as_utterances, extract


def frames_of(x, **options):
    front_end = FrontEnd(**options)
    return extract(as_utterances([x], sample_rate=front_end.sample_rate), front_end).frames[0]


SHAPE = {"n_fft": 512, "win_length": 400, "hop_length": 160, "f_min": 20.0, "n_mels": 40}


def test_logmel_is_torchaudios(waves):
    mel = MelSpectrogram(16000, **SHAPE, pad_mode="constant")
    for x in waves[3:]:
        expected = torch.log(mel(torch.tensor(x)) + 1e-6).T
        np.testing.assert_allclose(frames_of(x), expected, rtol=1e-5, atol=1e-4)


def test_silence_is_at_the_floor():
    x = np.zeros(4000)
    x[-1] = 0.5  # or it would be refused
    assert frames_of(x)[:20] == pytest.approx(np.log(1e-6))


def test_mfcc_is_torchaudios(waves):
    options = {**SHAPE, "pad_mode": "constant"}
    expected = MFCC(16000, 13, log_mels=True, melkwargs=options)(torch.tensor(waves[-1])).T
    np.testing.assert_allclose(frames_of(waves[-1], kind="mfcc"), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
@pytest.mark.parametrize("n_mels", [40, 80, 128])
def test_every_filter_has_a_bin(rate, n_mels):
    x = np.random.default_rng(0).standard_normal(rate)
    frames = frames_of(x, sample_rate=rate, n_mels=n_mels)
    assert frames[10:-10].std(axis=0).min() > 0.01
    assert frames.min() > np.log(1e-6) + 5


def test_a_tone_is_in_its_band():
    for f, rate in ((500, 8000), (2000, 16000)):
        x = 0.5 * np.sin(2 * np.pi * f * np.arange(rate) / rate)
        edges = np.linspace(*(2595 * np.log10(1 + g / 700) for g in (20, rate / 2)), 42)
        nearest = abs(edges[1:-1] - 2595 * np.log10(1 + f / 700)).argmin()
        assert abs(frames_of(x, sample_rate=rate)[50].argmax() - nearest) <= 1


def test_number_of_frames(waves):
    for stack in (1, 3):
        front_end = FrontEnd(stack=stack)
        for x in waves:
            shape = extract(as_utterances([x]), front_end).frames[0].shape
            assert shape == (front_end.n_frames(len(x)), front_end.n_features)
            assert shape == (-(-(1 + len(x) // 160) // stack), 40 * stack)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int32, np.int64, np.uint8])
def test_tables_are_very_short_waveforms(dtype):
    X = np.random.default_rng(0).uniform(1, 20, size=(20, 3)).astype(dtype)
    got = extract(as_utterances(X), FrontEnd(deltas=True)).frames
    assert [x.shape for x in got] == [(1, 120)] * 20
    assert all(np.isfinite(x).all() for x in got)


def test_utterance_normalization(waves):
    plain, got = (frames_of(waves[-1], normalize=n) for n in (None, "utterance"))
    expected = (plain - plain.mean(0)) / plain.std(0)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert (frames_of(waves[0], normalize="utterance") == 0).all()
    louder = frames_of(2 * waves[-1], normalize="utterance")
    np.testing.assert_allclose(louder, got, atol=1e-3)


def test_stacking_repeats_the_last_frame(waves):
    plain, got = frames_of(waves[-1]), frames_of(waves[-1], stack=4)
    assert len(plain) % 4 == 3
    np.testing.assert_array_equal(got.reshape(-1, 40), np.concatenate([plain, plain[-1:]]))


def test_ready_frames_are_stacked_and_normalized_only(waves):
    plain = frames_of(waves[-1])
    front_end = FrontEnd(stack=3, normalize="utterance", deltas=True)
    got = extract(as_utterances([plain]), front_end).frames[0]
    np.testing.assert_allclose(got, frames_of(waves[-1], stack=3, normalize="utterance"), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "mel"}, "kind must be one of \\['logmel', 'mfcc'\\], not 'mel'"),
        ({"normalize": "corpus"}, "normalize must be .*, not 'corpus'"),
        ({"n_mels": 0}, "n_mels must be .* at least 1, not 0"),
        ({"stack": 0}, "stack must be .* at least 1, not 0"),
        ({"kind": "mfcc", "n_mfcc": 41}, "n_mfcc must be at most n_mels=40, not 41"),
        ({"hop": 0.03}, "no longer than window=0.025 seconds, not 0.03"),
        ({"hop": 0.0}, "hop must be a number above 0"),
        ({"sample_rate": 44, "window": 1.0}, "sample_rate must be .* at least 1000, not 44"),
        ({"sample_rate": 10**8}, "sample_rate must be .* from 1000 to 1000000, not 10"),
        ({"sample_rate": 16000.0}, "sample_rate must be an integer .*, not 16000.0"),
        ({"n_mels": 900}, "too many filters"),
    ],
)
def test_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        FrontEnd(**options)
