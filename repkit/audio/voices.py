"""What tells voices apart without any training: statistics of mel bands and of pitch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repkit._arguments import device as usable
from repkit.audio import _torchaudio, pitch, resampling
from repkit.audio.extraction import _all_skipped, _of_their_classes
from repkit.audio.front_end import FLOOR, FrontEnd
from repkit.audio.utterances import AudioError, Skipped, Utterances

__all__ = ["VoiceStatistics", "voice_statistics"]

QUIET = 1e-6  # of a recording's mean energy: added to all, so that silence is like silence
VOICED, LOUD = 0.6, 0.05  # least strength of a pitch; least share of the greatest energy
FEWEST = 3  # windows that count as voiced in any case


@dataclass(frozen=True)
class VoiceStatistics:
    """Vectors of the usable recordings, as `voice_statistics` returns them.

    Parameters
    ----------
    vectors : ndarray of shape (n_kept, n_features)
        Float32 vectors, in the order of the input.
    columns : list of str
        What each column holds.
    kept : ndarray of shape (n_kept,)
        Int64 index of each recording in the input: use it to select their labels.
    skipped : list of Skipped
        The unusable recordings, with index, name and reason.

    See Also
    --------
    voice_statistics : Computes them.
    """

    vectors: np.ndarray
    columns: list[str]
    kept: np.ndarray
    skipped: list[Skipped]


def voice_statistics(
    utterances: Utterances, front_end: FrontEnd, device: Any = "cpu"
) -> VoiceStatistics:
    """Describe the voice of every recording by statistics, without any training.

    They are five groups: mean, standard deviation and mean absolute change of each log-mel band;
    correlations of the cepstral coefficients 1 to 12 (as Stafylakis et al. 2021 pool channels); and
    the median and the quartiles of the logarithm of the pitch in Hz, with the mean strength of the
    pitch and the share of the windows that are voiced. How loud a recording is does not matter.
    Where few speakers are at hand to learn from, ``SpeakerVerifier(scoring="plda")`` tells unseen
    speakers by these better than by the vectors of a network. They hold the room and the
    microphone as well as the voice.

    Parameters
    ----------
    utterances : Utterances
        What `as_utterances` returns: sound, not ready frames.
    front_end : FrontEnd
        Sample rate, bands and times of the frames. It must be log-mel, without deltas, stacking
        and normalization.
    device : str or torch.device, default="cpu"
        Where to compute.

    Returns
    -------
    VoiceStatistics
        Vectors (191 columns for 40 bands), their indices in the input, and what was skipped.

    Raises
    ------
    AudioError
        If a recording is unusable and ``on_error="raise"``; it is a ``ValueError``.
    ValueError
        If the utterances are ready frames, the front end is another, or all were skipped.
    ImportError
        If torchaudio, or for files soundfile, is missing; the extra ``speech`` installs both.

    See Also
    --------
    repkit.speech.SpeakerVerifier : Tells speakers by such vectors.
    extract : The frames themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.audio import FrontEnd, as_utterances, voice_statistics
    >>> waves = [np.sin(np.arange(8000) * f * 2 * np.pi / 8000) for f in (120.0, 240.0)]
    >>> found = voice_statistics(as_utterances(waves, sample_rate=8000), FrontEnd(sample_rate=8000))
    >>> found.vectors.shape
    (2, 191)
    >>> np.exp(found.vectors[:, found.columns.index("pitch, median")]).round().tolist()
    [120.0, 240.0]
    """
    _of_their_classes(utterances, front_end)
    if utterances.kind != "audio":
        raise ValueError("utterances must be sound, for their pitch; these are ready frames")
    plain = replace(front_end, kind="logmel", deltas=False, stack=1, normalize=None)
    if front_end != plain:
        raise ValueError(
            "front_end must be log-mel without deltas, stack and normalize, such as "
            f"{plain}; given: {front_end}"
        )
    device = usable(device)
    vectors: dict[int, np.ndarray] = {}
    for i in range(len(utterances)):
        try:
            vectors[i] = _described(utterances, i, front_end, device)
        except AudioError as error:
            utterances.reject(error)
    if not vectors:
        raise _all_skipped(utterances)
    return VoiceStatistics(
        np.stack(list(vectors.values())),
        _columns(front_end.n_mels),
        np.array(list(vectors), np.int64),
        utterances.skipped,
    )


def _described(
    utterances: Utterances, i: int, front_end: FrontEnd, device: torch.device
) -> np.ndarray:
    """The vector of a recording, which is read block by block."""
    rate, hop = front_end.sample_rate, front_end.hop_length
    half, around = pitch.window_length(rate) // 2, front_end.n_fft // 2
    margin = max(half, around)
    frames: list[Tensor] = []
    tracks: list[Tensor] = []
    blocks = utterances.blocks(i, resampling.BLOCK)
    given = utterances.length(i)[1]
    for window, fresh in resampling.pieces(blocks, given, rate, hop, margin, device):
        n = 1 + fresh // hop
        if frames:  # its last, centered just behind the piece, is the first of this one
            frames[-1], tracks[-1] = frames[-1][:-1], tracks[-1][:, :-1]
        inner = window[margin - around : len(window) - margin + around]
        frames.append(front_end.static(inner[None])[0][:n])
        inner = window[margin - half : len(window) - margin + half]
        tracks.append(torch.stack(pitch.track(inner, rate, hop))[:, :n])
    bands = _bands(torch.cat(frames))
    return torch.cat([bands, _pitch(torch.cat(tracks, 1))]).cpu().numpy()


def _bands(x: Tensor) -> Tensor:
    """Statistics of log-mel frames ``(T, M)`` of any level."""
    energy = (x.exp() - FLOOR).clamp_min(0.0)
    x = (energy / energy.mean().clamp_min(torch.finfo(energy.dtype).tiny) + QUIET).log()
    centered = x - x.mean(0)
    change = x.diff(dim=0).abs().sum(0) / max(len(x) - 1, 1)
    n = _cepstra(x.shape[1])
    cepstra = centered @ _torchaudio.create_dct(n + 1, x.shape[1]).to(x)[:, 1:]
    cepstra = cepstra / cepstra.square().sum(0).sqrt().clamp_min(1e-12)
    first, second = torch.triu_indices(n, n, 1, device=x.device)
    related = (cepstra.T @ cepstra)[first, second]
    return torch.cat([x.mean(0), centered.square().mean(0).sqrt(), change, related])


def _pitch(track: Tensor) -> Tensor:
    """Statistics of log pitch, strength and energy, ``(3, T)``."""
    pitches, strength, energy = track
    voiced = (strength > VOICED) & (energy > LOUD * energy.max())
    if int(voiced.sum()) < FEWEST:
        voiced = strength >= strength.topk(min(FEWEST, len(strength))).values[-1]
    parts = torch.tensor([0.25, 0.5, 0.75], device=track.device)
    return torch.cat(
        [
            pitches[voiced].quantile(parts),
            strength[voiced].mean()[None],
            voiced.float().mean()[None],
        ]
    )


def _cepstra(n_mels: int) -> int:
    return min(12, n_mels - 1)


def _columns(n_mels: int) -> list[str]:
    """What `_bands` and `_pitch` hold, in order."""
    n = _cepstra(n_mels)
    return [
        *(f"band {m}, {kind}" for kind in ("mean", "deviation", "change") for m in range(n_mels)),
        *(f"cepstra {a} and {b}" for a in range(1, n + 1) for b in range(a + 1, n + 1)),
        *(f"pitch, {what}" for what in ("quarter", "median", "three quarters")),
        "pitch, strength",
        "pitch, share voiced",
    ]
