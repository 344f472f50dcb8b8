"""Log-mel and MFCC frames of padded batches of waveforms, on the device."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from repkit import _arguments
from repkit.audio import _torchaudio
from repkit.audio.frames import exact
from repkit.audio.reading import RATES

__all__ = ["FLOOR", "LOWEST", "FrontEnd", "mel_filters"]

# Added to mel energies before the logarithm: about 100 dB below a sine at full scale.
FLOOR = 1e-6
# Lower edge of the lowest mel filter, in Hz: below it there is hum and offset, no speech.
LOWEST = 20.0
AT_ONCE = 256  # frames that a thread computes at a time


@dataclass(frozen=True)
class FrontEnd:
    """The way from a waveform to frames. It learns nothing, has no state and can be shared.

    Frame t is centered on sample ``t * hop_length``. Zeros stand before the start of a waveform
    and after its end, so ``n`` samples give ``1 + n // hop_length`` frames, and a single sample
    gives one. Filters are HTK-mel triangles over the power spectrum, from 20 Hz to half the sample
    rate. The FFT has the smallest power of two of points that holds a window and puts a bin into
    every filter. The logarithm is the natural one of the energy plus 1e-6.

    Parameters
    ----------
    kind : {"logmel", "mfcc"}, default="logmel"
        What a frame holds: log mel energies, or the first `n_mfcc` coefficients of their
        orthonormal DCT.
    sample_rate : int, default=16000
        Sample rate in Hz, from 1000 to 1,000,000; sound at another rate is resampled to it.
    n_mels : int, default=40
        Number of mel filters.
    n_mfcc : int, default=13
        Number of cepstral coefficients, at most `n_mels`; used by ``kind="mfcc"`` only.
    window : float, default=0.025
        Length of the Hann window, in seconds.
    hop : float, default=0.010
        Time from one frame to the next, in seconds; at most `window`.
    deltas : bool, default=False
        Whether to append first and second differences over time: regressions over 5 frames in
        which the first and the last frame of an utterance are held.
    stack : int, default=1
        Number of frames joined into one, without overlap. The last frame of an utterance is
        repeated to fill its last group.
    normalize : {None, "utterance"}, default=None
        With ``"utterance"`` each column is scaled to mean 0 and standard deviation 1 over the
        frames of its utterance, before stacking; a column that does not vary becomes 0.

    Raises
    ------
    ValueError
        If a parameter is out of range, or if there are more filters than the FFT can tell apart.
    ImportError
        If torchaudio is missing or does not load; the extra ``speech`` installs it.

    See Also
    --------
    extract : Frames of many utterances.
    to_waveform : A waveform from frames.

    Examples
    --------
    >>> from repkit.audio import FrontEnd
    >>> front_end = FrontEnd("mfcc", sample_rate=8000, deltas=True)
    >>> front_end.n_features, front_end.n_frames(8000)
    (39, 101)
    """

    kind: str = "logmel"
    sample_rate: int = 16000
    n_mels: int = 40
    n_mfcc: int = 13
    window: float = 0.025
    hop: float = 0.010
    deltas: bool = False
    stack: int = 1
    normalize: str | None = None

    def __post_init__(self) -> None:
        _arguments.choice(self.kind, "kind", ("logmel", "mfcc"))
        _arguments.choice(self.normalize, "normalize", (None, "utterance"))
        _arguments.choice(self.deltas, "deltas", (False, True))
        _arguments.integer(self.sample_rate, "sample_rate", *RATES)
        for name in ("n_mels", "n_mfcc", "stack"):
            _arguments.integer(getattr(self, name), name, 1, 1000)
        for name in ("window", "hop"):
            _arguments.number(getattr(self, name), name, 0.0, 10.0, above=True)
        if self.kind == "mfcc" and self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc must be at most n_mels={self.n_mels}, not {self.n_mfcc}")
        if self.hop_length < 1 or self.hop > self.window:
            raise ValueError(
                f"hop must be at least one sample and no longer than window={self.window!r} "
                f"seconds, not {self.hop!r}"
            )
        self.n_fft  # noqa: B018  (raises the error of too many filters)

    @property
    def win_length(self) -> int:
        """Number of samples in a window."""
        return round(self.window * self.sample_rate)

    @property
    def hop_length(self) -> int:
        """Number of samples from one frame to the next, before stacking."""
        return round(self.hop * self.sample_rate)

    @property
    def n_fft(self) -> int:
        """Number of points of the FFT."""
        return _n_fft(self.sample_rate, self.win_length, self.n_mels)

    @property
    def n_static(self) -> int:
        """Number of columns before differences and stacking."""
        return self.n_mels if self.kind == "logmel" else self.n_mfcc

    @property
    def n_features(self) -> int:
        """Number of columns of the frames."""
        return self.n_static * (3 if self.deltas else 1) * self.stack

    def n_frames(self, n_samples: int) -> int:
        """Number of frames that a waveform gives, after stacking.

        Parameters
        ----------
        n_samples : int
            Length of the waveform at `sample_rate`, in samples.

        Returns
        -------
        int
            Number of frames, at least 1.
        """
        return -(-(1 + n_samples // self.hop_length) // self.stack)

    def static(self, waves: Tensor) -> Tensor:
        """Compute frames without differences, normalization and stacking.

        The same samples give the same frames in any batch.

        Parameters
        ----------
        waves : Tensor of shape (n, n_samples + n_fft)
            Float32 waveforms at `sample_rate`, with ``n_fft // 2`` samples before and after each.

        Returns
        -------
        Tensor of shape (n, 1 + n_samples // hop_length, n_static)
            Float32 frames, on the device of `waves`.
        """
        tools = _tools(self, waves.device)
        if waves.device.type != "cpu":
            return self._energies(waves, tools)
        # Few frames at a time stay in the processor's cache.
        most = AT_ONCE * torch.get_num_threads()
        hop, count = self.hop_length, 1 + (waves.shape[1] - self.n_fft) // self.hop_length
        rows = max(1, most // count)
        frames = waves.new_empty(len(waves), count, self.n_static)
        for row in range(0, len(waves), rows):
            for k in range(0, count, most):
                end = (min(k + most, count) - 1) * hop + self.n_fft
                piece = waves[row : row + rows, k * hop : end]
                frames[row : row + rows, k : k + most] = self._energies(piece, tools)
        return frames

    def _energies(self, waves: Tensor, tools: _Tools) -> Tensor:
        spectrum = torch.stft(
            waves,
            self.n_fft,
            self.hop_length,
            self.win_length,
            tools.window,
            center=False,
            return_complex=True,
        )
        squares = torch.view_as_real(spectrum.transpose(1, 2)).square_()
        # Sums in float64: in float32 the order of the terms, which depends on the shape of the
        # batch, would show in the last digits, and in more of them after normalization.
        power = (squares[..., 0] + squares[..., 1]).to(tools.filters.dtype)
        frames = (power @ tools.filters).add_(FLOOR).log_()
        return (frames if self.kind == "logmel" else frames @ tools.dct).float()


class _Tools(NamedTuple):
    window: Tensor  # (win_length,)
    filters: Tensor  # (n_fft // 2 + 1, n_mels)
    dct: Tensor  # (n_mels, n_mfcc)


@lru_cache(maxsize=16)
def _tools(front_end: FrontEnd, device: torch.device) -> _Tools:
    filters = mel_filters(front_end.sample_rate, front_end.n_fft, front_end.n_mels)
    dct = _torchaudio.create_dct(min(front_end.n_mfcc, front_end.n_mels), front_end.n_mels)
    return _Tools(
        torch.hann_window(front_end.win_length, device=device),
        filters.to(device, exact(device)),
        dct.to(device, exact(device)),
    )


def mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> Tensor:
    """Return HTK-mel triangles with peaks of 1, from 20 Hz to half the sample rate.

    Parameters
    ----------
    sample_rate : int
        Sample rate, in Hz.
    n_fft : int
        Number of points of the FFT.
    n_mels : int
        Number of filters.

    Returns
    -------
    Tensor of shape (n_fft // 2 + 1, n_mels)
        Weight of each FFT bin in each filter; float32, on the CPU. A column is 0 where no bin
        falls into a filter.

    Raises
    ------
    ImportError
        If torchaudio is missing or does not load; the extra ``speech`` installs it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty filters, which the caller looks for
        return _torchaudio.melscale_fbanks(
            n_fft // 2 + 1, LOWEST, sample_rate / 2, n_mels, sample_rate
        )


@lru_cache(maxsize=64)
def _n_fft(sample_rate: int, win_length: int, n_mels: int) -> int:
    smallest = 1 << max(win_length - 1, 1).bit_length()
    for n_fft in (smallest, 2 * smallest, 4 * smallest):
        if bool((mel_filters(sample_rate, n_fft, n_mels) > 0).any(dim=0).all()):
            return n_fft
    raise ValueError(
        f"n_mels={n_mels} is too many filters for a window of {win_length} samples at "
        f"{sample_rate} Hz: take fewer filters or a longer window"
    )
