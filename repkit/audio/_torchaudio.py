"""Internal. The five functions of torchaudio that repkit uses; no other file imports torchaudio.

torchaudio 2.11 is its last release, and it does not load beside every torch: next to torch 2.15
its import raises because the two were built for different CUDA versions, and next to a CPU build
of torch because a CUDA library is missing. Whoever replaces torchaudio replaces these functions;
each does what torchaudio's function of that name does.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from repkit._optional import need


def compute_deltas(frames: Tensor) -> Tensor:
    """Regression slopes over 5 frames along the last axis, ``(..., T)``, the ends held."""
    deltas: Tensor = _load("torchaudio.functional").compute_deltas(frames)
    return deltas


def create_dct(n_mfcc: int, n_mels: int) -> Tensor:
    """Orthonormal DCT-II matrix, ``(n_mels, n_mfcc)``."""
    dct: Tensor = _load("torchaudio.functional").create_dct(n_mfcc, n_mels, "ortho")
    return dct


def griffinlim(
    power: Tensor, *, window: Tensor, n_fft: int, hop_length: int, n_iter: int, momentum: float
) -> Tensor:
    """Waveform of a power spectrogram ``(n_fft // 2 + 1, T)``, from random phases."""
    wave: Tensor = _load("torchaudio.functional").griffinlim(
        power,
        window=window,
        n_fft=n_fft,
        hop_length=hop_length,
        win_length=len(window),
        power=2.0,
        n_iter=n_iter,
        momentum=momentum,
        length=None,
        rand_init=True,
    )
    return wave


def melscale_fbanks(n_bins: int, low: float, high: float, n_mels: int, sample_rate: int) -> Tensor:
    """HTK-mel triangles with peaks of 1 between two frequencies in Hz, ``(n_bins, n_mels)``."""
    filters: Tensor = _load("torchaudio.functional").melscale_fbanks(
        n_bins, low, high, n_mels, sample_rate
    )
    return filters


def resampler(rate: int, target: int, dtype: torch.dtype) -> Any:
    """A ``torchaudio.transforms.Resample``, whose kernel is of the given type."""
    return _load("torchaudio.transforms").Resample(rate, target, dtype=dtype)


def _load(name: str) -> ModuleType:
    """Import a part of torchaudio.

    Raises
    ------
    ImportError
        It is missing, or it does not load beside the installed torch. The message says which, and
        what to install.
    """
    try:
        return need(name, "speech")
    except ImportError as error:
        if isinstance(error.__cause__, ModuleNotFoundError):
            raise
        raise ImportError(
            f"{error}; if that changes nothing, torch {torch.__version__} and torchaudio are "
            "builds for different devices: reinstall both from one package index",
            name=error.name,
        ) from error.__cause__
