"""Internal. Vectors of frames in training: two views of the same time, and balanced clusters.

As in Spin (Chang, Glass and Liu 2023), the frames of an utterance are assigned to prototypes, and
the network learns to tell the assignment from another voice's view of the same frame. The shares of
the prototypes are balanced within each speaker of the batch, so that the speaker is of no help.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.linalg import eigh
from torch import Tensor, nn

from repkit.engine.modes import evaluating
from repkit.engine.ranks import mean_over
from repkit.speech.batches import FrameStore
from repkit.speech.bodies import inside
from repkit.speech.prototypes import DAMPING, SHARPNESS, TEMPERATURE

RIDGE = 0.1  # of the mean variance of the vectors, added to what the perturbation changes
ROUNDS = 2  # perturbed views of every utterance from which that is found


def aligned(f: Tensor, length: Tensor, wanted: Tensor, time: int, stack: int) -> Tensor:
    """Vectors of frames at the times of another view, that has the same course at another speed.

    Parameters
    ----------
    f : Tensor of shape (n, steps, d)
        Of a view of ``length`` frames, each of ``stack`` joined frames.
    length, wanted : Tensor of shape (n,)
        Frames of that view and of the other; the first and the last of both are the same.
    time : int
        Frames that the other view is padded to.
    stack : int

    Returns
    -------
    Tensor of shape (n, ceil(time / stack), d)
        Linear between the two vectors that are next in time; zero beyond the end.
    """
    steps = -(-time // stack)
    middle = torch.arange(steps, device=f.device) * stack + 0.5 * (stack - 1)
    factor = (length - 1.0) / (wanted - 1.0).clamp_min(1.0)
    place = (middle * factor[:, None] - 0.5 * (stack - 1)) / stack
    last = ((length + stack - 1) // stack - 1)[:, None]
    place = torch.minimum(place.clamp_min(0.0), last.to(place.dtype))
    before = place.floor().long()
    after = torch.minimum(before + 1, last)

    def at(index: Tensor) -> Tensor:
        return f.gather(1, index[..., None].expand(-1, -1, f.shape[2]))

    found = torch.lerp(at(before), at(after), (place - before)[..., None])
    return found * inside((wanted + stack - 1) // stack, steps)


def drawn(f: Tensor, length: Tensor, stack: int) -> Tensor:
    """One frame's vector of each utterance, at random: ``(n, steps, d) -> (n, d)``."""
    steps = (length + stack - 1) // stack
    place = (torch.rand(len(f), device=f.device) * steps).long().clamp_max(f.shape[1] - 1)
    return f.gather(1, place[:, None, None].expand(-1, 1, f.shape[2]))[:, 0]


@torch.no_grad()
def frame_shares(f: Tensor, mask: Tensor, y: Tensor, directions: Tensor) -> Tensor:
    """Soft assignments of vectors of frames, of balanced shares within each speaker.

    Parameters
    ----------
    f : Tensor of shape (n, steps, d)
        Vectors of frames.
    mask : Tensor of shape (n, steps, 1)
        1 within the utterances; frames of unknown speakers count for nothing.
    y : Tensor of shape (n,)
        Speakers, or -1.
    directions : Tensor of shape (k, d)
        Prototypes.

    Returns
    -------
    Tensor of shape (n, steps, k)
        Rows that sum to 1. Speakers of fewer frames than prototypes are balanced together.
    """
    n, k = len(y), len(directions)
    owner = (y[:, None] == y[None]).float().argmax(1)  # the first utterance of the same speaker
    mask = mask * (y >= 0)[:, None, None]
    count = torch.zeros(n, device=f.device).index_add_(0, owner, mask.sum((1, 2)))
    owner = torch.where(count[owner] < k, n, owner)

    def total(values: Tensor) -> Tensor:
        """Sums over the frames of each group, ``(n, steps, c) -> (n + 1, c)``."""
        return values.new_zeros(n + 1, values.shape[2]).index_add_(0, owner, values.sum(1))

    count = total(mask).clamp_min(1.0)
    x = (f - (total(f * mask) / count)[owner][:, None]) * mask
    x = x / ((total(x.square()) / count).sqrt()[owner][:, None] + 0.05)
    with torch.autocast(f.device.type, enabled=False):
        scores = F.normalize(x, dim=2) @ F.normalize(directions, dim=1).T / SHARPNESS
    wanted = (count / k).log()
    for _ in range(20):
        columns = total(scores.exp() * mask).clamp_min(1e-30).log()
        scores = scores - DAMPING * (columns - wanted)[owner][:, None]
        scores = scores - scores.logsumexp(2, keepdim=True)
    return scores.exp()


def assignment_loss(cosines: Tensor, shares: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of the softmax over cosines against shares, a mean over frames that count.

    ``(n, steps, k)`` twice and ``(n, steps, 1)``; of several views, one after the other.
    """
    costs = -(shares * F.log_softmax(cosines / TEMPERATURE, 2)).sum(2, keepdim=True)
    return mean_over(costs, mask)


@torch.no_grad()
def perturbation_basis(
    Ep: nn.Module,
    store: FrameStore,
    y: np.ndarray,
    prepare: Callable[[Tensor, Tensor], Tensor],
    perturb: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
    max_frames: int,
) -> tuple[np.ndarray, np.ndarray]:
    """A basis in which the perturbation moves vectors of frames equally far in all directions.

    Batch norm gives every column the same deviation, whatever it tells; distances are then as much
    of rooms and voices as of phones. With C the covariance of the vectors and N that of what the
    perturbation changes in them, the columns are the generalized eigenvectors, C u = l (N + r) u,
    the greatest l first, with u' (N + r) u = 1 and a small multiple r of the identity.

    Parameters
    ----------
    Ep : nn.Module
        With vectors of frames.
    store : FrameStore
        Utterances; of long ones the beginning is read.
    y : int64 ndarray of shape (n,)
        Speakers, or -1.
    prepare, perturb : callable
        As in training. Numbers are drawn from torch's global generator.
    max_frames : int

    Returns
    -------
    mean : ndarray of shape (d,)
    basis : ndarray of shape (d, d)
    """
    # Of each batch: frames, sums, products, and products of the changes.
    found: list[tuple[Tensor, ...]] = []
    with evaluating(Ep):
        for rows, x, length in store.in_order(max_frames):
            clean = Ep.both(prepare(x, length), length)[1]  # type: ignore[operator]
            mask = inside((length + Ep.stack - 1) // Ep.stack, clean.shape[1])  # type: ignore[operator]
            speaker = torch.from_numpy(y[rows]).to(x.device)
            moved = torch.zeros(clean.shape[2], clean.shape[2], dtype=torch.float64)
            for _ in range(ROUNDS):
                other, changed = perturb(x, length, speaker)
                f = Ep.both(prepare(other, changed), changed)[1]  # type: ignore[operator]
                f = aligned(f, changed, length, x.shape[1], Ep.stack)  # type: ignore[arg-type]
                moved += _products((f - clean) * mask) / ROUNDS
            sums = (clean * mask).sum((0, 1)).double().cpu()
            found.append((mask.sum().double().cpu(), sums, _products(clean * mask), moved))
    count, total, square, change = (torch.stack(v).sum(0) for v in zip(*found, strict=True))
    mean = (total / count).numpy()
    C = (square / count).numpy() - np.outer(mean, mean)
    ridge = RIDGE * max(np.trace(C) / len(C), 1e-6)
    N = (change / count).numpy() + ridge * np.eye(len(C))
    _, basis = eigh(C, N)
    return mean.astype(np.float32), np.ascontiguousarray(basis[:, ::-1], dtype=np.float32)


def _products(x: Tensor) -> Tensor:
    """Sum over all frames of the products of columns: ``(n, steps, d) -> (d, d)``."""
    x = x.flatten(0, 1).cpu().double()
    return x.T @ x
