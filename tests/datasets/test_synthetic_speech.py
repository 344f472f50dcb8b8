"""Made speech: what is asked for is what is heard."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from repkit.datasets import make_speech
from repkit.datasets._phones import PHONES, lexicon
from repkit.datasets._voice import noise_level, one_pole, resonate


def spectra(data):
    """Mean and deviation over time of a coarse log spectrum (n, 64)."""
    window, rows = np.hanning(200), []
    for x in data:
        frames = np.lib.stride_tricks.sliding_window_view(x, 200)[::80] * window
        power = abs(np.fft.rfft(frames, 256)[:, :128]) ** 2
        bands = np.log(power.reshape(len(frames), 32, 4).sum(2) + 1e-6)
        rows.append(np.concatenate([bands.mean(0), bands.std(0)]))
    return np.array(rows)


def probe(made, label):
    """Accuracy of a logistic probe, the later half of the takes held out."""
    X, train = spectra(made.data), made.take < (made.take.max() + 1) / 2
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    return model.fit(X[train], label[train]).score(X[~train], label[~train])


def test_layout():
    made = make_speech(3, 6, 2, random_state=0)
    assert len(made.data) == 36
    assert {x.dtype for x in made.data} == {np.dtype(np.float32)}
    assert [abs(x).max() for x in made.data] == pytest.approx([0.9] * 36)
    for name, size in (("speaker", 3), ("word", 6), ("take", 2)):
        assert made[name].dtype == np.int64
        assert np.bincount(made[name]).tolist() == [36 // size] * size
    assert len(made.word_names) == len(set(made.word_names)) == 6
    assert made.factors.shape == (36, 10)
    np.testing.assert_allclose(made.factors.duration, [len(x) / 8000 for x in made.data])
    own = made.factors.drop(columns=["token_f0", "duration"]).groupby(made.speaker)
    assert (own.nunique() == 1).all(axis=None)


def test_phone_boundaries_tile_the_utterance():
    made = make_speech(2, 10, 1, vocab="digits", random_state=0)
    for i, table in made.phones.groupby("utterance"):
        assert tuple(table.phone) == made.transcriptions[made.word[i]]
        assert table.start.iloc[0] == 0
        assert table.end.iloc[-1] == len(made.data[i])
        assert (table.start.to_numpy()[1:] == table.end.to_numpy()[:-1]).all()
        assert (table.end > table.start).all()


def test_seed():
    before = np.random.get_state()[1].copy()
    one, two, other = (make_speech(2, 3, 2, random_state=s).data for s in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    make_speech(1, 1, 1)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def pitch(x, rate=8000):
    """Frequency of the highest peak of the autocorrelation, 70 to 350 Hz."""
    x = x - x.mean()
    r = np.correlate(x, x, "full")[len(x) - 1 :]
    low, high = int(rate / 350), int(rate / 70)
    lag = low + r[low:high].argmax()
    return rate / lag


def test_pitch_is_recovered():
    made = make_speech(6, 4, 3, vocab="cv", snr_db=np.inf, random_state=0)
    found = []
    for table, x in zip(made.phones.groupby("utterance"), made.data, strict=True):
        vowel = table[1].iloc[1]
        found.append(pitch(x[vowel.start : vowel.end]))
    # Pitch falls from 8 % above the mean to 8 % below; the vowel is the later part.
    ratio = np.array(found) / made.factors.token_f0
    assert np.median(ratio) == pytest.approx(0.97, abs=0.03)
    assert np.mean(abs(ratio - 0.97) < 0.08) > 0.85


def peaks(x, rate=8000, order=8):
    """Resonances of a linear prediction of order 8, narrower than 400 Hz, in Hz."""
    x = np.diff(x) * np.hanning(len(x) - 1)
    r = np.correlate(x, x, "full")[len(x) - 1 :][: order + 1]
    r[0] *= 1 + 1e-6
    roots = np.roots(np.concatenate([[1], -solve_toeplitz(r[:-1], r[1:])]))
    roots = roots[roots.imag > 0]
    narrow = -np.log(abs(roots)) * rate / np.pi < 400
    return np.sort(np.angle(roots[narrow]) * rate / (2 * np.pi))


def test_formants_are_recovered():
    made = make_speech(
        8, 40, 1, vocab="cv", speaker_spread=0.3, channel=0, snr_db=60, random_state=0
    )
    errors = []
    for table, x in zip(made.phones.groupby("utterance"), made.data, strict=True):
        vowel = table[1].iloc[1]
        if vowel.phone in {"ih", "eh", "ae", "ah"}:  # well apart from each other and from f0
            middle = (vowel.start + 2 * vowel.end) // 3
            found = peaks(x[middle - 200 : middle + 200])
            for target in (vowel.f1, vowel.f2):
                errors.append(abs(found - target).min() / target)
    assert len(errors) > 100
    assert np.median(errors) < 0.06
    assert np.mean(np.array(errors) < 0.2) > 0.9


def test_speaker_is_in_the_spread():
    # 6 speakers: chance is 1/6, with a deviation of 3 % on 180 takes.
    accuracy = []
    for s in (0, 0.3, 1):
        made = make_speech(6, 6, 10, speaker_spread=s, random_state=0)
        accuracy.append(probe(made, made.speaker))
    assert accuracy[0] < 0.27
    assert accuracy[1] > 0.35
    assert accuracy[1] + 0.05 < accuracy[2]
    assert accuracy[2] > 0.9


def test_factors_fill_their_ranges():
    for spread in (1, 5):
        factors = make_speech(100, 1, 1, speaker_spread=spread, random_state=0).factors
        for name, low, high in (
            ("tilt", 0.2, 0.8),
            ("open_quotient", 0.45, 0.75),
            ("jitter", 0.003, 0.015),
            ("breathiness", 0.01, 0.08),
            ("bandwidth", 0.8, 1.3),
        ):
            if spread == 1:
                edge = 0.05 * (high - low)
                assert low <= factors[name].min() < low + edge, name
                assert high - edge < factors[name].max() <= high, name
            else:
                assert 0 < factors[name].min() < low, name
                assert high < factors[name].max(), name
        assert (factors[["tilt", "open_quotient"]] < 1).all(axis=None)


def test_one_voice_without_spread():
    made = make_speech(4, 2, 2, speaker_spread=0, token_noise=0, random_state=0)
    assert (made.factors.nunique() == 1).drop("duration").all()
    still = make_speech(4, 2, 2, speaker_spread=1, token_noise=0, random_state=0)
    assert (still.phones.groupby(["phone"]).f1.nunique() == 4).all()


def test_words_are_harder_with_token_noise_and_unseen_speakers():
    easy, hard = (make_speech(6, 8, 6, token_noise=t, random_state=0) for t in (0.5, 3))
    assert probe(easy, easy.word) > 0.9
    assert probe(hard, hard.word) < probe(easy, easy.word) - 0.08


@pytest.mark.parametrize(("vocab", "n"), [("cv", 12), ("cvc", 12), ("cvc", 27), ("cvc", 2720)])
def test_minimal_pairs(vocab, n):
    words = list(lexicon(vocab, n).values())
    assert len(set(words)) == n
    assert {phone for word in words for phone in word} <= PHONES.keys()
    for word in words[:50]:
        apart = [sum(a != b for a, b in zip(word, other, strict=True)) for other in words]
        assert apart.count(1) >= len(word)


def test_faster_than_speech():
    start = time.process_time()
    made = make_speech(8, 10, 6, random_state=0)
    spent = time.process_time() - start
    assert made.factors.duration.sum() > 50 * spent


@pytest.mark.parametrize("rate", [4000, 11025, 16000])
def test_other_rates(rate):
    made = make_speech(2, 10, 1, vocab="digits", sample_rate=rate, random_state=0)
    assert made.sample_rate == rate
    assert all(np.isfinite(x).all() for x in made.data)
    assert made.factors.duration.between(0.1, 1.5).all()
    assert [t.end.iloc[-1] for _, t in made.phones.groupby("utterance")] == list(
        map(len, made.data)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_speakers": 0}, "n_speakers must be an integer of at least 1, not 0"),
        ({"n_takes": 0}, "n_takes must be an integer of at least 1, not 0"),
        ({"n_words": 0}, "n_words must be an integer of at least 1, not 0"),
        (
            {"n_words": 11, "vocab": "digits"},
            "n_words must be from 1 to 10 with vocab='digits', not 11",
        ),
        ({"n_words": 171, "vocab": "cv"}, "n_words must be from 1 to 170 with vocab='cv', not 171"),
        ({"vocab": "vcv"}, "vocab must be 'digits', 'cv' or 'cvc', not 'vcv'"),
        ({"token_noise": -1}, "token_noise must be a number of at least 0, not -1"),
        ({"speaker_spread": np.nan}, "speaker_spread must be a number of at least 0, not nan"),
        ({"sample_rate": 2000}, "sample_rate must be an integer of at least 4000, not 2000"),
    ],
)
def test_make_speech_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        make_speech(**options)


def test_filters():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 400))
    x.flags.writeable = False
    pole = np.array([[0.5], [0.9]])
    y = one_pole(x, pole)
    before = np.concatenate([np.zeros((2, 1)), y[:, :-1]], axis=1)
    np.testing.assert_allclose(y, (1 - pole) * x + pole * before)
    frequencies = np.array([[[500.0], [1500.0]]])
    got = resonate(x[:1], frequencies, np.array([[80.0], [120.0]]), 8000)[0]
    expected = x[0]
    for f, width in ((500, 80), (1500, 120)):
        r = np.exp(-np.pi * width / 8000)
        poles = [1, -2 * r * np.cos(2 * np.pi * f / 8000), r * r]
        expected = lfilter([sum(poles)], poles, expected)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)
    noise = rng.standard_normal((1, 20_000))
    center, width = np.full((1, 1, 1), 3300.0), np.array([[900.0]])
    level = noise_level(center, width, 8000)[0, 0, 0]
    assert resonate(noise, center, width, 8000).std() == pytest.approx(level, rel=0.03)
