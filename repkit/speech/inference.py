"""Internal. Trained networks over stored utterances of any length: vectors, and frames back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from repkit._arguments import shown
from repkit.speech.batches import FrameStore
from repkit.speech.utterance_input import Pieces, padded_batches, pieces_of

Encode = Callable[[Tensor, Tensor], Tensor]  # (x, length) -> rows
MARGIN = 16  # steps that a piece is read beyond its ends, where something is given along the time
Prepare = Callable[[Tensor, Tensor], Tensor]  # (x, length) -> x as the networks see it


@torch.no_grad()
def utterance_vectors(
    phonetic: Encode, speaker: Encode, store: FrameStore, prepare: Prepare, max_frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Phonetic and speaker vector of each utterance: means over its pieces, s of length 1.

    Parameters
    ----------
    phonetic, speaker : callable
        ``(x, length) -> (n, d)``, of what the networks see.
    store : FrameStore
        Utterances.
    prepare : callable
        Stored frames and lengths to what the networks see.
    max_frames : int
        Longer utterances are cut into equal pieces of at most this length.

    Returns
    -------
    p : ndarray of shape (n, phonetic_dim)
    s : ndarray of shape (n, speaker_dim)
    """
    pieces = pieces_of(store.lengths, max_frames)
    order, rows_p, rows_s = [], [], []
    for wanted, _, x, length in padded_batches(store, pieces):
        x = prepare(x, length)
        order.append(wanted)
        rows_p.append(phonetic(x, length).float().cpu().numpy()[: len(wanted)])
        rows_s.append(speaker(x, length).float().cpu().numpy()[: len(wanted)])
    place = np.argsort(np.concatenate(order))
    p, s = (mean_of_pieces(np.concatenate(rows)[place], pieces) for rows in (rows_p, rows_s))
    return p, s / np.maximum(np.linalg.norm(s, axis=1, keepdims=True), 1e-12)


@torch.no_grad()
def decoded_frames(
    phonetic: Encode,
    R: nn.Module,
    s: np.ndarray,
    store: FrameStore,
    prepare: Prepare,
    max_frames: int,
) -> list[np.ndarray]:
    """What R makes of the phonetic vectors of each utterance and the speaker vector given for it.

    Parameters
    ----------
    phonetic : callable
        ``(x, length) -> (n, phonetic_dim)``, of what the networks see.
    R : nn.Module
        The decoder.
    s : ndarray of shape (n, speaker_dim)
        A voice for each utterance.
    store : FrameStore
        Utterances.
    prepare : callable
        Stored frames and lengths to what the networks see.
    max_frames : int
        Longer utterances are decoded in equal pieces of at most this length.

    Returns
    -------
    list of ndarray of shape (T, D)
        Standardized frames, T as in the store.
    """
    pieces = pieces_of(store.lengths, max_frames)
    voices = torch.from_numpy(s).to(store.device)
    decoded: dict[int, np.ndarray] = {}
    for wanted, index, x, length in padded_batches(store, pieces):
        p = phonetic(prepare(x, length), length)
        rows = torch.from_numpy(pieces.rows[index]).to(store.device)
        out = R(p, voices[rows], length, x.shape[1]).float().cpu().numpy()
        for k, piece in enumerate(wanted):
            decoded[int(piece)] = out[k, : pieces.lengths[piece]]
    whole: list[list[np.ndarray]] = [[] for _ in store.lengths]
    for piece, row in enumerate(pieces.rows):
        whole[row].append(decoded[piece])
    return [np.concatenate(own) for own in whole]


@torch.no_grad()
def along_time(
    run: Callable[[Tensor, Tensor, Tensor], Tensor],
    store: FrameStore,
    prepare: Prepare,
    max_frames: int,
    stack: int,
    per_frame: int,
) -> list[np.ndarray]:
    """What networks give along the time of each utterance, long ones read piece by piece.

    A piece is read with `MARGIN` steps of its neighbors on either side, so that networks which see
    no farther give the same however utterances are cut.

    Parameters
    ----------
    run : callable
        ``(x, length, rows) -> (n, K, d)``: of what the networks see, and the utterances.
    store : FrameStore
        Utterances.
    prepare : callable
        Stored frames and lengths to what the networks see.
    max_frames : int
        Longer utterances are read in pieces of at most this length, the margins not counted.
    stack : int
        Frames of a step.
    per_frame : int
        Frames for each of what comes out: ``stack``, or 1.

    Returns
    -------
    list of ndarray of shape (ceil(T / per_frame), d)
    """
    margin, longest = MARGIN * stack, max(max_frames // stack, 1) * stack
    counts = -(-store.lengths // longest)
    rows = np.repeat(np.arange(len(counts)), counts)
    first = (np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)) * longest
    last = np.minimum(first + longest, store.lengths[rows])
    starts = np.maximum(first - margin, 0)
    ends = np.minimum(last + margin, store.lengths[rows])
    found: list[np.ndarray] = [np.empty(0)] * len(rows)
    for wanted, index, x, length in padded_batches(store, Pieces(rows, starts, ends - starts)):
        where = torch.from_numpy(rows[index]).to(store.device)
        out = run(prepare(x, length), length, where).float().cpu().numpy()
        for k, piece in enumerate(wanted):
            low = (first[piece] - starts[piece]) // per_frame
            high = low - (first[piece] - last[piece]) // per_frame  # rounded up
            found[piece] = out[k, low:high].copy()
    ends_of = np.cumsum(counts)
    return [np.concatenate(found[end - n : end]) for end, n in zip(ends_of, counts, strict=True)]


def by_vocoder(vocoder: Callable[[np.ndarray], Any], frames: np.ndarray) -> np.ndarray:
    """What a vocoder makes of the frames of an utterance, checked: ``(T, D) -> (samples,)``."""
    found = vocoder(frames)
    if hasattr(found, "detach"):
        found = found.detach().cpu()
    wave = np.asarray(found)
    if wave.ndim != 1 or not wave.size or wave.dtype.kind not in "iuf":
        raise ValueError(
            f"vocoder must give a waveform (samples,) for frames {frames.shape}, not "
            f"{wave.dtype} of shape {wave.shape} ({shown(vocoder)})"
        )
    wave = wave.astype(np.float32)
    if not np.isfinite(wave).all():
        raise ValueError(f"vocoder must give finite numbers, and {shown(vocoder)} does not")
    return wave


def mean_of_pieces(values: np.ndarray, pieces: Pieces) -> np.ndarray:
    """Means over the pieces of each utterance, by their lengths: ``(pieces, d) -> (n, d)``."""
    rows, _, lengths = pieces
    if len(rows) == rows[-1] + 1:
        return values
    out = np.zeros((rows[-1] + 1, values.shape[1]), dtype=np.float64)
    np.add.at(out, rows, values * lengths[:, None])
    return (out / np.bincount(rows, lengths)[:, None]).astype(np.float32)
