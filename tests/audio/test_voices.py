"""Statistics of voices: what they hold, and that neither loudness nor blocks matter."""

import numpy as np
import pytest
import soundfile

from repkit.audio import FrontEnd, as_utterances, extract, resampling, voice_statistics

RATE = 8000
PLAIN = FrontEnd(sample_rate=RATE)


def described(waves, front_end=PLAIN, **options):
    return voice_statistics(as_utterances(waves, sample_rate=RATE, **options), front_end)


def test_each_column_is_what_its_name_says(waves):
    wave = waves[-1]
    found = described([wave])
    named = dict(zip(found.columns, found.vectors[0].tolist(), strict=True))
    assert len(named) == found.vectors.shape[1] == 191
    energy = np.exp(extract(as_utterances([wave], sample_rate=RATE), PLAIN).frames[0]) - 1e-6
    x = np.log(energy / energy.mean() + 1e-6)
    cepstra = np.array([np.cos(np.pi * k * (np.arange(40) + 0.5) / 40) for k in range(13)]) @ x.T
    assert named["band 3, mean"] == pytest.approx(x[:, 3].mean(), abs=1e-4)
    assert named["band 3, deviation"] == pytest.approx(x[:, 3].std(), abs=1e-4)
    assert named["band 3, change"] == pytest.approx(np.abs(np.diff(x[:, 3])).mean(), abs=1e-4)
    assert named["cepstra 1 and 2"] == pytest.approx(np.corrcoef(cepstra)[1, 2], abs=1e-4)
    assert named["cepstra 11 and 12"] == pytest.approx(np.corrcoef(cepstra)[11, 12], abs=1e-4)


def test_pitch_of_a_voice_that_rests():
    t = np.arange(RATE) / RATE
    voiced = sum(np.sin(2 * np.pi * k * 150 * t) / k for k in (1, 2, 3))
    wave = np.concatenate([voiced, 1e-3 * np.random.default_rng(0).normal(size=RATE)])
    found = described([wave])
    named = dict(zip(found.columns, found.vectors[0].tolist(), strict=True))
    for part in ("quarter", "median", "three quarters"):
        assert np.exp(named[f"pitch, {part}"]) == pytest.approx(150, rel=0.01)
    assert named["pitch, strength"] > 0.95
    assert named["pitch, share voiced"] == pytest.approx(0.5, abs=0.03)


def test_what_counts_as_voiced():
    """Neither a hum far below the voice, however periodic, nor loud noise."""
    rng = np.random.default_rng(0)
    t = np.arange(RATE) / RATE
    voiced = sum(np.sin(2 * np.pi * k * 150 * t) / k for k in (1, 2, 3))
    hum = 0.01 * np.sin(2 * np.pi * 300 * t)
    found = described([np.concatenate([voiced, hum, rng.normal(size=RATE)])])
    named = dict(zip(found.columns, found.vectors[0].tolist(), strict=True))
    assert named["pitch, share voiced"] == pytest.approx(1 / 3, abs=0.05)
    assert np.exp(named["pitch, three quarters"]) == pytest.approx(150, rel=0.02)


def test_digital_silence_is_finite(waves):
    found = described([np.concatenate([waves[-1], np.zeros(4000)])])
    assert np.isfinite(found.vectors).all()
    means = found.vectors[0, :40]
    assert means.min() > np.log(1e-6)


def test_loudness_does_not_matter(waves):
    loud = described(waves[5:])
    soft = described([0.01 * w for w in waves[5:]])
    # Energies below the front end's own floor are lost.
    np.testing.assert_allclose(loud.vectors, soft.vectors, atol=0.02)


@pytest.mark.parametrize("rate", [RATE, 11025])
def test_blocks_do_not_matter(monkeypatch, rate):
    rng = np.random.default_rng(0)
    t = np.arange(5 * rate) / rate
    wave = np.sin(2 * np.pi * 130 * t) * (1 + np.sin(7 * t)) + 0.1 * rng.normal(size=len(t))
    whole = voice_statistics(as_utterances([wave], sample_rate=rate), PLAIN).vectors
    monkeypatch.setattr(resampling, "BLOCK", 3000)
    parts = voice_statistics(as_utterances([wave], sample_rate=rate), PLAIN).vectors
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-4)


def test_short_and_steady_sound_is_finite(waves):
    found = described([*waves, np.ones(3), np.full(500, 0.5), np.sin(np.arange(4000))])
    assert np.isfinite(found.vectors).all()
    for n_mels in (1, 2, 13):
        front_end = FrontEnd(sample_rate=RATE, n_mels=n_mels)
        other = described(waves, front_end)
        assert other.vectors.shape == (len(waves), len(other.columns))
        assert np.isfinite(other.vectors).all()


def test_files_and_what_is_skipped(waves, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, waves[-1], RATE, subtype="FLOAT")
    found = voice_statistics(
        as_utterances([path, tmp_path / "none.wav", path], on_error="skip"), PLAIN
    )
    assert found.kept.tolist() == [0, 2]
    assert [x.index for x in found.skipped] == [1]
    np.testing.assert_allclose(found.vectors[0], described([waves[-1]]).vectors[0], atol=1e-5)
    with pytest.raises(ValueError, match=r"none\.wav"):
        voice_statistics(as_utterances([path, tmp_path / "none.wav"]), PLAIN)
    with pytest.raises(ValueError, match="all 1 utterances were skipped"):
        described([np.zeros(10)], on_error="skip")


def test_errors(waves):
    with pytest.raises(TypeError, match="utterances must be of the class Utterances"):
        voice_statistics(waves, PLAIN)
    with pytest.raises(TypeError, match="front_end must be of the class FrontEnd"):
        voice_statistics(as_utterances(waves), "logmel")
    with pytest.raises(ValueError, match="these are ready frames"):
        described([np.ones((3, 40))])
    for other in ({"kind": "mfcc"}, {"deltas": True}, {"stack": 2}, {"normalize": "utterance"}):
        with pytest.raises(ValueError, match="front_end must be log-mel without deltas"):
            described(waves, FrontEnd(sample_rate=RATE, **other))
