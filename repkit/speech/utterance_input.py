"""Internal. What holds speech to frames, and frames to padded batches outside training."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from repkit.audio import FrontEnd, Skipped, Utterances, extract
from repkit.audio.frames import PIECE
from repkit.audio.front_end import LOWEST
from repkit.base.applying import BLOCK
from repkit.speech.batches import FrameStore
from repkit.speech.bodies import inside

ROUND = 16  # frames outside training are padded to multiples of this
AREA = 4096  # rows times frames of the least batch, about
QUIET = -12.0  # the lowest level kept, below an utterance's mean
SILENT = -10.5  # the level of a band in which next to nothing is heard


class TableRows(Utterances):
    """Waveforms of an array that scikit-learn has checked: a row of zeros is silence, no error."""

    def _silent(self, i: int, total: int) -> None:
        pass


@dataclass
class UtteranceFrames:
    """Frames of the usable utterances of an input.

    Attributes
    ----------
    frames : list of ndarray of shape (T, D)
        As the networks' statistics take them: the level of log-mel frames is taken out.
    levels : ndarray of shape (n_kept,)
        What was taken out of the static columns.
    kept : ndarray of shape (n_kept,)
        Places in the input.
    n : int
        Utterances in the input.
    skipped : list of Skipped
        Those left out.
    """

    frames: list[np.ndarray]
    levels: np.ndarray
    kept: np.ndarray
    n: int
    skipped: list[Skipped]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """A row for every utterance of the input: NaN for those skipped."""
        if len(self.kept) == self.n:
            return values
        out = np.full((self.n, *values.shape[1:]), np.nan, dtype=values.dtype)
        out[self.kept] = values
        return out

    def warn(self, what: str, stacklevel: int) -> None:
        """Say how many were left out, if any, and why the first: ``what`` has room for two numbers.

        Parameters
        ----------
        what : str
        stacklevel : int
            As if this were ``warnings.warn`` itself, one more.
        """
        if self.skipped:
            first = self.skipped[0]
            warnings.warn(
                f"{what.format(len(self.skipped), self.n)}; the first, {first.name}, because "
                f"{first.reason}",
                stacklevel=stacklevel,
            )


def utterance_frames(
    utterances: Utterances, front_end: FrontEnd, device: torch.device
) -> UtteranceFrames:
    """Read utterances and make frames, those of log-mel energies without the utterance's level."""
    found = extract(utterances, front_end, device)
    frames, levels = [], np.zeros(len(found.frames), dtype=np.float32)
    for k, whole in enumerate(found.frames):
        x, levels[k] = framed(whole, utterances.kind, front_end)
        frames.append(x)
    return UtteranceFrames(frames, levels, found.kept, len(utterances), found.skipped)


def framed(whole: np.ndarray, kind: str, front_end: FrontEnd) -> tuple[np.ndarray, float]:
    """Frames as the networks' statistics take them, changed in place, and their level."""
    if kind != "audio" or front_end.kind != "logmel":
        return whole, 0.0
    pieces = torch.from_numpy(whole)[:, : front_end.n_mels].split(PIECE)
    # Energies are computed once of the first piece, which is all that most utterances have.
    first = pieces[0].double().exp_()
    total = float(first.sum()) + sum(float(x.double().exp_().sum()) for x in pieces[1:])
    own = float(np.float32(np.log(total / (len(whole) * front_end.n_mels))))
    for k, piece in enumerate(pieces):
        energies = piece.double().exp_() if k else first
        piece.copy_(energies.mul_(math.exp(-own)).add_(math.exp(QUIET)).log_())
    return whole, own


def doubtful_rate(frames: list[np.ndarray], front_end: FrontEnd) -> str | None:
    """Why the sample rate of arrays may be wrong, if the energy of their log-mel frames tells.

    Speech reaches to 4 kHz and farther, so there is something above a third of the highest
    frequency that a rate of up to 24 kHz allows. Where there is not, the samples are likely of a
    greater rate than was said, and what is taken for one second is less.
    """
    rate, n_mels = front_end.sample_rate, front_end.n_mels
    if front_end.kind != "logmel" or rate > 24000:
        return None
    total = sum(np.exp(x[:, :n_mels], dtype=np.float64).sum(0) for x in frames)
    loud = np.flatnonzero(np.log(total / sum(map(len, frames))) > SILENT)
    if not len(loud):
        return None
    # The upper edge of the highest band that is heard.
    low, high = (2595.0 * np.log10(1.0 + f / 700.0) for f in (LOWEST, rate / 2.0))
    edge = low + (high - low) * (loud[-1] + 2) / (n_mels + 1)
    hertz = 700.0 * (10.0 ** (edge / 2595.0) - 1.0)
    if hertz > rate / 6.0:
        return None
    return (
        f"next to nothing is heard above {hertz:.0f} Hz: is sample_rate={rate} that of the arrays? "
        "Samples of a greater rate would sound like this"
    )


def is_table(X: Any) -> bool:
    """Whether it is an array, data frame or sparse matrix of two dimensions."""
    if isinstance(X, list | tuple | str | Path):
        return False
    n_dims = getattr(X, "ndim", None)
    return (np.asarray(X).ndim if n_dims is None else n_dims) == 2


def standardization(
    mean: np.ndarray, std: np.ndarray, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """Stored frames and their lengths to what the networks see: standardized, zero beyond ends."""
    center = torch.from_numpy(mean).to(device)
    scale = torch.from_numpy(1.0 / std).to(device)
    return lambda x, length: (x - center).mul_(scale).mul_(inside(length, x.shape[1]))


# ---------------------------------------------------------------- pieces of long utterances


class Pieces(NamedTuple):
    """The utterance, the first frame and the length of each piece, ``(n,)``."""

    rows: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


def pieces_of(lengths: np.ndarray, max_frames: int) -> Pieces:
    """Cut utterances of these lengths into equal pieces of at most ``max_frames``."""
    counts = -(-lengths // max_frames)
    rows = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = place * lengths[rows] // counts[rows]
    return Pieces(rows, first, (place + 1) * lengths[rows] // counts[rows] - first)


def padded_batches(
    store: FrameStore, pieces: Pieces
) -> Iterator[tuple[np.ndarray, np.ndarray, Tensor, Tensor]]:
    """Yield ``(wanted, index, x, length)``: pieces in batches whose shapes hardly vary.

    A piece is padded to a multiple of `ROUND` frames whatever comes with it, and the rows to
    a whole number of blocks: matrix kernels round differently for odd sizes, and what an
    utterance gives should not depend on its company. ``index[: len(wanted)]`` is ``wanted``.
    """
    rows, starts, lengths = pieces
    times = -(-lengths // ROUND) * ROUND
    for time in np.unique(times):
        block = int(np.clip(AREA // time, 1, BLOCK))
        chosen = np.flatnonzero(times == time)
        for k in range(0, len(chosen), 8 * block):
            wanted = chosen[k : k + 8 * block]
            index = np.pad(wanted, (0, -len(wanted) % block), mode="edge")
            x, length = store.take(rows[index], starts[index], lengths[index], int(time))
            yield wanted, index, x, length
