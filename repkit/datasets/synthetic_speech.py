"""Synthetic speech with known speakers, words and phones, by a source-filter model."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import convolve1d
from sklearn.utils import Bunch

from repkit import _arguments
from repkit._random import Seed, generator
from repkit.datasets._phones import PHONES, VOWELS, lexicon
from repkit.datasets._voice import CONTROL, Array, glottal_pulses, noise_level, one_pole, resonate

__all__ = [
    "make_speech",
]

_BANDWIDTHS = np.array([70.0, 100.0, 140.0])
_AT_ONCE = 256  # utterances made side by side
_BURST = 0.025  # seconds


class _Plan(NamedTuple):
    phones: tuple[str, ...]
    seconds: Array  # (P,)
    formants: Array  # (P, 3), in Hz

    def ends(self, sample_rate: int) -> np.ndarray:
        """Where each phone ends, in samples."""
        return np.rint(np.cumsum(self.seconds) * sample_rate).astype(np.int64)


def make_speech(
    n_speakers: int = 12,
    n_words: int = 12,
    n_takes: int = 8,
    *,
    vocab: str = "cvc",
    sample_rate: int = 8000,
    speaker_spread: float = 1.0,
    token_noise: float = 1.0,
    channel: float = 1.0,
    snr_db: float = 40.0,
    random_state: Seed = None,
) -> Bunch:
    """Make isolated words by invented speakers, with all their factors known.

    Every speaker says every word `n_takes` times. A speaker is a pitch (about 118 or 205 Hz, for
    every other one), a vocal tract that scales all formants (1 or 1.15), a spectral tilt, an open
    quotient, a jitter, a breathiness, a speed, a bandwidth and a channel (a filter of 4 taps).
    Each take varies formants, durations and pitch once more.

    Parameters
    ----------
    n_speakers : int, default=12
        Number of speakers.
    n_words : int, default=12
        Number of words.
    n_takes : int, default=8
        Number of utterances of each word by each speaker.
    vocab : {"cvc", "cv", "digits"}, default="cvc"
        Kind of words. "cvc" and "cv": up to 2720 or 170 syllables, each of which differs from
        others in one phone (minimal pairs). "digits": the English digits, which are easier.
    sample_rate : int, default=8000
        Samples per second in Hz, at least 4000.
    speaker_spread : float, default=1.0
        Scales all differences between speakers, including the channel. At 0 there is one voice.
    token_noise : float, default=1.0
        Scales the variation between takes.
    channel : float, default=1.0
        Scales the differences between channels.
    snr_db : float, default=40.0
        Level of white noise below the utterance's mean power, in dB. inf for no noise.
    random_state : int, RandomState, Generator or None, default=None
        Seed of all random draws. Numpy's global state is never used.

    Returns
    -------
    data : Bunch
        ``data``, a list of n float32 waveforms (T,), peak 0.9; ``word`` and ``speaker``, int64
        (n,); ``take``, int64; ``word_names``; ``transcriptions``, the phones of each word;
        ``factors``, a DataFrame with a row an utterance: the speaker's eight factors, and of the
        take ``token_f0`` (mean pitch, Hz) and ``duration`` (s); ``phones``, a DataFrame with a row
        a phone: utterance, phone, start and end (in samples, end excluded), and its formant
        targets ``f1`` to ``f3`` (Hz); ``sample_rate``. Ordered by speaker, word and take.

    Raises
    ------
    ValueError
        If a count is below 1, there are more words than `vocab` has, a scale is negative, or
        `sample_rate` is too low.

    Notes
    -----
    Vowels have the formants of Peterson and Barney (JASA 1952); the cascade of resonators is that
    of Klatt (JASA 1980). Utterances start and end without silence.

    Examples
    --------
    >>> data = make_speech(n_speakers=2, n_words=3, n_takes=1, random_state=0)
    >>> len(data.data), data.word_names
    (6, ('b-ih-t', 'b-eh-t', 'd-ih-t'))
    """
    import pandas as pd

    for name, count in (("n_speakers", n_speakers), ("n_takes", n_takes)):
        _arguments.integer(count, name, 1, 10**4)
    for name, scale in (
        ("speaker_spread", speaker_spread),
        ("token_noise", token_noise),
        ("channel", channel),
    ):
        _arguments.number(scale, name, 0.0, 1000.0)
    _arguments.integer(n_words, "n_words")
    if not isinstance(vocab, str):
        raise TypeError(f"vocab must be the name of a vocabulary, not {_arguments.shown(vocab)}")
    _arguments.integer(sample_rate, "sample_rate", 4000, 10**6)
    if not (isinstance(snr_db, float) and snr_db == np.inf):  # which is no noise at all
        _arguments.number(snr_db, "snr_db", -1000.0)
    words = lexicon(vocab, n_words)
    rng = generator(random_state)
    voices = _speakers(rng, n_speakers, speaker_spread)
    taps = np.zeros((n_speakers, 4))
    taps[:, 0] = 1
    taps += 0.15 * channel * speaker_spread * rng.standard_normal(taps.shape)

    speaker, word, take = (
        index.ravel() for index in np.indices((n_speakers, n_words, n_takes)).astype(np.int64)
    )
    factors = {name: values[speaker] for name, values in voices.items()}
    factors["token_f0"] = factors["f0"] * _log_normal(rng, 0.04 * token_noise, len(word))
    transcriptions = tuple(words.values())
    data: list[np.ndarray] = []
    tables: list[dict[str, Any]] = []
    for start in range(0, len(word), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        plans = [
            _plan(rng, transcriptions[w], factors["vtl"][i], factors["rate"][i], token_noise)
            for i, w in enumerate(word[rows], start)
        ]
        own = {name: values[rows, None] for name, values in factors.items()}
        for i, (wave, plan) in enumerate(
            zip(_spoken(rng, plans, own, sample_rate), plans, strict=True), start
        ):
            data.append(_recorded(rng, wave, taps[speaker[i]], snr_db))
            tables.append(_table(i, plan, sample_rate))
    factors["duration"] = np.array([len(x) for x in data]) / sample_rate
    return Bunch(
        data=data,
        word=word,
        speaker=speaker,
        take=take,
        word_names=tuple(words),
        transcriptions=transcriptions,
        factors=pd.DataFrame(factors),
        phones=pd.concat([pd.DataFrame(table) for table in tables], ignore_index=True),
        sample_rate=int(sample_rate),
    )


def _log_normal(rng: np.random.Generator, spread: float, size: Any) -> Array:
    return np.exp(spread * rng.standard_normal(size))


def _speakers(rng: np.random.Generator, n: int, spread: float) -> dict[str, Array]:
    """Factors of the speakers, pulled to the middle of their range by a spread below 1."""
    female = np.arange(n) % 2

    def between(low: float, high: float) -> Array:
        values = spread * (high - low) * (rng.random(n) - 0.5) + (low + high) / 2
        # A spread above 1 leaves the range, but not what is possible: poles and quotients below 1.
        return np.clip(values, low / 2, 2 * high if high > 1 else min(2 * high, 0.95))

    # Means and deviations of the logarithm; both sexes meet in between.
    pitch = np.log([118.0, 205.0])
    size = np.log([1.0, 1.15])
    return {
        "f0": np.exp(
            pitch.mean() + spread * (pitch[female] - pitch.mean() + 0.10 * rng.standard_normal(n))
        ),
        "vtl": np.exp(
            size.mean() + spread * (size[female] - size.mean() + 0.035 * rng.standard_normal(n))
        ),
        "tilt": between(0.20, 0.80),
        "open_quotient": between(0.45, 0.75),
        "jitter": between(0.003, 0.015),
        "breathiness": between(0.01, 0.08),
        "rate": _log_normal(rng, 0.12 * spread, n),
        "bandwidth": between(0.8, 1.3),
    }


def _plan(
    rng: np.random.Generator, phones: tuple[str, ...], vtl: float, rate: float, noise: float
) -> _Plan:
    """Plan an utterance: phones, their durations in seconds (P,), formant targets in Hz (P, 3)."""
    seconds, targets = [], []
    for phone in phones:
        mean, deviation = (0.110, 0.015) if phone in VOWELS else (0.070, 0.010)
        seconds.append(max(mean + noise * deviation * rng.standard_normal(), 0.03) / rate)
        formants = np.array(PHONES[phone].formants)
        targets.append(formants * vtl * _log_normal(rng, 0.03 * noise, 3))
    return _Plan(phones, np.array(seconds), np.array(targets))


def _spoken(
    rng: np.random.Generator, plans: list[_Plan], own: dict[str, Array], sample_rate: int
) -> list[Array]:
    """Make the waveforms of some utterances; `own` has their factors, each (n, 1)."""
    lengths = [plan.ends(sample_rate)[-1] for plan in plans]
    n, longest = len(plans), max(lengths)
    hop = round(CONTROL * sample_rate)
    n_controls = -(-longest // hop)
    formants, levels, noise = _controls(plans, n_controls)

    # From the controls to the samples: levels in straight lines.
    at = np.arange(longest) / hop - 0.5
    grid = np.arange(n_controls)
    voiced, hissing = (np.stack([np.interp(at, grid, x) for x in level]) for level in levels)
    fall = 1.08 - 0.16 * np.arange(longest) / np.array(lengths)[:, None]
    trembling = 1 + own["jitter"] * rng.standard_normal((n, n_controls))
    trembling = np.repeat(trembling, hop, axis=1)[:, :longest]

    source = glottal_pulses(own["token_f0"] * fall * trembling, own["open_quotient"], sample_rate)
    breath = own["breathiness"] * source * rng.standard_normal(source.shape)
    source = one_pole(source, own["tilt"])
    source = np.diff(source, axis=1, prepend=0)  # the lips radiate the flow's rate of change
    source = source / source.std(axis=1, keepdims=True) + breath
    bandwidths = _BANDWIDTHS[:, None] * own["bandwidth"].T
    voice = resonate(source * voiced, formants, bandwidths, sample_rate)
    # A vowel's power is 1: the levels of the noises are relative to it.
    vowel = voiced > 0.9
    voice /= np.sqrt((voice**2 * vowel).sum(1) / vowel.sum(1))[:, None]

    center, width = noise
    hiss = resonate(rng.standard_normal(voiced.shape), center, width, sample_rate)
    level = np.repeat(noise_level(center, width, sample_rate)[:, 0].T, hop, axis=1)
    sound = voice + hissing * hiss / level[:, :longest]
    return [x[:length] for x, length in zip(sound, lengths, strict=True)]


def _controls(plans: list[_Plan], n: int) -> tuple[Array, Array, tuple[Array, Array]]:
    """Formants (n, 3, m); voice and noise levels (2, m, n); center and width (n, 1, m) each."""
    m = len(plans)
    formants, levels = np.empty((n, 3, m)), np.empty((2, m, n))
    center, width = np.empty((2, n, 1, m))
    time = (np.arange(n) + 0.5) * CONTROL
    wide, narrow = np.hanning(9)[1:-1], np.hanning(5)[1:-1]
    for j, plan in enumerate(plans):
        ends = np.cumsum(plan.seconds)
        middles = ends - plan.seconds / 2
        glide = [np.interp(time, middles, target) for target in plan.formants.T]
        formants[:, :, j] = _smooth(np.array(glide), wide).T
        phone = np.minimum(np.searchsorted(ends, time, side="right"), len(ends) - 1)
        made = np.array([PHONES[name][1:] for name in plan.phones]).T
        voice, noise, center[:, 0, j], width[:, 0, j], stop = made[:, phone]
        burst = time >= ends[phone] - _BURST
        levels[:, j] = _smooth(np.stack([voice, np.where((stop == 0) | burst, noise, 0)]), narrow)
    return formants, levels, (center, width)


def _smooth(x: Array, window: Array) -> Array:
    """Weighted mean over neighbors in the last axis, the ends held."""
    return convolve1d(x, window / window.sum(), mode="nearest")


def _recorded(rng: np.random.Generator, x: Array, taps: Array, snr_db: float) -> np.ndarray:
    """Send a waveform through its channel, add noise and set the peak."""
    x = np.convolve(x, taps)[: len(x)]
    deviation = np.sqrt((x**2).mean()) * 10 ** (-snr_db / 20)
    x = x + deviation * rng.standard_normal(len(x))
    return (0.9 * x / np.abs(x).max()).astype(np.float32)


def _table(i: int, plan: _Plan, sample_rate: int) -> dict[str, Any]:
    ends = plan.ends(sample_rate)
    return {
        "utterance": i,
        "phone": plan.phones,
        "start": np.concatenate([[0], ends[:-1]]),
        "end": ends,
        **{f"f{k + 1}": plan.formants[:, k] for k in range(3)},
    }
