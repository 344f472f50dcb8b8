"""Pitch of sounds whose pitch is known."""

import numpy as np
import pytest
import torch

from repkit.audio import pitch


def tracked(wave, rate):
    half = pitch.window_length(rate) // 2
    padded = torch.from_numpy(np.pad(wave, half).astype(np.float32))
    return [x.numpy() for x in pitch.track(padded, rate, rate // 100)]


def voice(f, rate, seconds=0.5):
    t = np.arange(int(rate * seconds)) / rate
    return sum(np.sin(2 * np.pi * k * f * t + k) / k for k in (1, 2, 3, 4))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
@pytest.mark.parametrize("f", [80.0, 123.0, 210.0, 305.0, 390.0])
def test_harmonic_sounds(rate, f):
    log_pitch, strength, energy = tracked(voice(f, rate), rate)
    assert len(log_pitch) == 1 + int(rate * 0.5) // (rate // 100)
    inner = slice(5, -5)
    np.testing.assert_allclose(np.exp(log_pitch[inner]), f, rtol=0.01)
    assert strength[inner].min() > 0.95
    assert energy[inner].min() > 0.5 * energy.max()


def test_noise_is_weak_and_silence_without_energy():
    rng = np.random.default_rng(0)
    _, strength, _ = tracked(rng.normal(size=8000), 16000)
    assert strength.mean() < 0.4
    found = tracked(np.zeros(1600), 16000)
    assert np.isfinite(found).all()
    assert not found[2].any()


def test_an_offset_does_not_matter():
    rate = 16000
    found = tracked(voice(150.0, rate) + 5.0, rate)
    np.testing.assert_allclose(np.exp(found[0][5:-5]), 150.0, rtol=0.01)
    assert found[1][5:-5].min() > 0.95


def test_parts_do_not_matter(monkeypatch):
    wave = voice(200.0, 8000) + np.random.default_rng(0).normal(size=4000)
    whole = tracked(wave, 8000)
    monkeypatch.setattr(pitch, "AT_ONCE", 7)
    for a, b in zip(whole, tracked(wave, 8000), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_glide_is_followed():
    rate = 16000
    f = np.linspace(100, 200, rate)
    log_pitch, *_ = tracked(np.sin(2 * np.pi * np.cumsum(f) / rate), rate)
    np.testing.assert_allclose(
        np.exp(log_pitch[5:-5]), f[::160][5:][: len(log_pitch) - 10], rtol=0.02
    )
