"""Internal. A source-filter synthesizer: glottal pulses and noise through moving resonances.

Many utterances are made side by side, so that the resonators, whose coefficients change all the
time, run over samples in Python and over utterances in numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Array = NDArray[np.float64]
CONTROL = 0.005  # seconds from one set of formants to the next


def glottal_pulses(f0: Array, open_quotient: Array, sample_rate: int) -> Array:
    """Airflow (n, T), open for a share of each period: the pulses of KLGLOTT88.

    ``t² (1 - t)`` opens slowly and closes at once (Klatt and Klatt, JASA 1990), which leaves the
    higher formants something to filter.

    Parameters
    ----------
    f0 : ndarray of shape (n, T)
        In Hz.
    open_quotient : ndarray of shape (n, 1)
    """
    phase = np.cumsum(f0, axis=1) / sample_rate % 1.0
    t = np.minimum(phase / open_quotient, 1.0)
    return 27 / 4 * t**2 * (1 - t)


def one_pole(x: Array, pole: Array) -> Array:
    """Lowpass ``y[t] = (1 - pole) x[t] + pole y[t - 1]``, `pole` of shape (n, 1)."""
    return np.stack([lfilter([1 - a], [1, -a], row) for row, a in zip(x, pole[:, 0], strict=True)])


def resonate(x: Array, frequencies: Array, bandwidths: Array, sample_rate: int) -> Array:
    """Filter by resonators in cascade, each of gain 1 at 0 Hz (Klatt, JASA 1980, equation 2).

    Parameters
    ----------
    x : ndarray of shape (n, T)
    frequencies : ndarray of shape (F, K, n)
        Of K resonators, in Hz, at every `CONTROL` seconds; kept below 0.47 of the sample rate.
    bandwidths : ndarray broadcast to (F, K, n)
        In Hz.
    """
    a, b, c = _coefficients(frequencies, bandwidths, sample_rate)
    rows = np.array(x.T, order="C")
    last, before = np.zeros((2, *frequencies.shape[1:]))
    new, scratch = np.empty_like(last), np.empty_like(last)
    hop = round(CONTROL * sample_rate)
    for t, row in enumerate(rows):
        f = min(t // hop, len(a) - 1)
        np.multiply(b[f], last, out=new)
        np.multiply(c[f], before, out=scratch)
        new += scratch
        for k in range(len(new)):
            new[k] += a[f, k] * (row if k == 0 else new[k - 1])
        row[:] = new[-1]
        before, last, new = last, new, before
    return rows.T


def noise_level(frequencies: Array, bandwidths: Array, sample_rate: int) -> Array:
    """Deviation of white noise of deviation 1 behind one resonator: that of an AR(2) process."""
    a, b, c = _coefficients(frequencies, bandwidths, sample_rate)
    return a * np.sqrt((1 - c) / ((1 + c) * ((1 - c) ** 2 - b**2)))


def _coefficients(
    frequencies: Array, bandwidths: Array, sample_rate: int
) -> tuple[Array, Array, Array]:
    """``y[t] = a x[t] + b y[t - 1] + c y[t - 2]``."""
    c = -np.exp(-2 * np.pi * np.broadcast_to(bandwidths, frequencies.shape) / sample_rate)
    angle = 2 * np.pi * np.minimum(frequencies / sample_rate, 0.47)
    b = 2 * np.sqrt(-c) * np.cos(angle)
    return 1 - b - c, b, c
