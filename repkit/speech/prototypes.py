"""Internal. Clusters of phonetic vectors of which every speaker has equal shares; no word is seen.

As in DeepCluster and SwAV (Caron et al. 2018, 2020), utterances are assigned to prototypes, and the
network then learns to tell the assignment. Here the shares of the prototypes are balanced within
each speaker, so that what is learned cannot be the speaker: a cluster is something that all say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.audio.frames import exact
from repkit.engine.batches import sent
from repkit.engine.modes import evaluating
from repkit.engine.ranks import here, mean_over
from repkit.engine.rng import Kind, seed_of
from repkit.speech.batches import FrameStore
from repkit.speech.networks import slices

ROUNDS = 10  # of assignment and mean when prototypes are first placed
TEMPERATURE = 0.1  # of the softmax over cosines that learns to tell the assignment
SHARPNESS = 0.05  # the same of the assignment: a smaller one is harder
DAMPING = 0.5  # share of the columns' correction that a round of `sinkhorn` makes


class Assignments:
    """Soft assignments of all utterances, made anew at the start of every epoch.

    Parameters
    ----------
    y : int64 ndarray of shape (n,)
        Speakers; utterances with -1 are left out.
    heads : sequence of (slice, int)
        Clusterings: the slice of the vectors, and the number of prototypes.
    embed : callable
        ``networks -> (n, d)``, the phonetic vectors of all utterances.
    start : int
        The step, the first of an epoch, at which prototypes are placed.
    seed : int
    """

    def __init__(
        self,
        y: np.ndarray,
        heads: Sequence[tuple[slice, int]],
        embed: Callable[[SimpleNamespace], Tensor],
        *,
        start: int,
        seed: int,
    ) -> None:
        self.slices = [part for part, _ in heads]
        self.groups = [Groups.of(y, size) for _, size in heads]
        self.known = torch.from_numpy(y >= 0)
        self.embed, self.start, self.seed = embed, start, seed
        self.shares: list[Tensor] = []  # (n, k) for each clustering; none before the start

    @torch.no_grad()
    def refresh(self, n: SimpleNamespace, step: int) -> bool:
        """Assign all utterances, by the networks as they are: of (weights, step, seed) alone.

        True if there are now assignments where there were none, or the other way round.
        """
        if step < self.start:
            changed, self.shares = bool(self.shares), []
            return changed
        rows = self.embed(n)
        self.known = self.known.to(rows.device)
        self.groups = [groups.to(rows.device) for groups in self.groups]
        heads, found = zip(n.K.directions, self.slices, self.groups, strict=True), []
        for k, (directions, part, groups) in enumerate(heads):
            x = F.normalize(by_group(rows[:, part], groups), dim=1)
            if step == self.start:
                seed = seed_of(self.seed, Kind.CLUSTERS, k)
                directions.copy_(self._placed(x, groups, len(directions), seed))
            found.append(self._assigned(x, groups, directions))
        here().spread_([*n.K.directions, *found])
        if changed := not self.shares:
            self.shares = found
        else:
            torch._foreach_copy_(self.shares, found)
        return changed

    def _assigned(self, x: Tensor, groups: Groups, directions: Tensor) -> Tensor:
        cosines = x @ F.normalize(directions, dim=1).T
        return sinkhorn(cosines / SHARPNESS, groups) * self.known[:, None]

    def _placed(self, x: Tensor, groups: Groups, k: int, seed: int) -> Tensor:
        """Means of what is assigned, from k utterances drawn at random."""
        n = len(groups.order)
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(n, (k,), generator=generator)
        if n >= k:
            drawn = torch.randperm(n, generator=generator)[:k]
        directions = x[sent(groups.order[drawn], x.device)]
        for _ in range(ROUNDS):
            directions = self._assigned(x, groups, directions).T @ x
        return F.normalize(directions, dim=1)

    def loss(self, cosines: Sequence[Tensor], rows: Tensor) -> Tensor:
        """Cross-entropy of the softmax over cosines against the assignment of these utterances.

        A mean over utterances with a known speaker, and over clusterings.
        """
        known = self.known[rows].float()
        total = torch.zeros((), device=rows.device)
        for cosine, shares in zip(cosines, self.shares, strict=True):
            costs = -(shares[rows] * F.log_softmax(cosine / TEMPERATURE, 1)).sum(1)
            total = total + mean_over(costs, known)
        return total / max(len(self.shares), 1)


@torch.no_grad()
def phonetic_vectors(
    Ep: nn.Module,
    frames: FrameStore,
    prepare: Callable[[Tensor, Tensor], Tensor],
    *,
    phonetic_dim: int,
    max_frames: int,
) -> Tensor:
    """Of all utterances, unperturbed; of long ones the first ``max_frames``: ``(n, d)``."""
    out = torch.empty(len(frames.lengths), phonetic_dim, device=frames.device)
    with evaluating(Ep):
        for rows, x, length in frames.in_order(max_frames):
            place = sent(torch.from_numpy(rows), frames.device)
            out.index_copy_(0, place, Ep(prepare(x, length), length).float())
    return out


def clustered_slices(
    phonetic_dim: int, n_segments: int, sizes: Sequence[int], segment_size: int
) -> list[tuple[slice, int]]:
    """Slices of the phonetic vector, whole or of a segment, and the number of clusters of each."""
    heads = [(slice(0, phonetic_dim), size) for size in sizes]
    if segment_size:
        heads += [(part, segment_size) for part in slices(phonetic_dim, n_segments)]
    return heads


@dataclass(frozen=True)
class Groups:
    """Utterances within which shares are balanced.

    Parameters
    ----------
    owner : int64 Tensor of shape (n,)
        The group of each utterance, ``count`` for those of unknown speaker.
    count : int
        Number of groups.
    order : int64 Tensor
        The utterances of all groups, one group after the other; on the CPU.
    """

    owner: Tensor
    count: int
    order: Tensor

    @classmethod
    def of(cls, y: np.ndarray, k: int) -> Groups:
        """Each speaker who has at least k utterances, and all others together."""
        names, counts = np.unique(y[y >= 0], return_counts=True)
        large = names[counts >= k]
        owner = np.where(np.isin(y, large), np.searchsorted(large, y), len(large))
        count = len(large) + int((counts < k).any())
        owner = np.where(y >= 0, owner, count)
        order = np.argsort(owner, kind="stable")[: int((y >= 0).sum())]
        return cls(torch.from_numpy(owner), count, torch.from_numpy(order))

    def to(self, device: torch.device) -> Groups:
        """The same on a device."""
        return Groups(self.owner.to(device), self.count, self.order)

    def totals(self, x: Tensor) -> Tensor:
        """The sum over each group, those of unknown speaker last: ``(n, c) -> (count + 1, c)``.

        Mostly in float64: a kernel that adds in any order gives what another gives, then, but for
        the last digits.
        """
        x = x.to(exact(x.device))
        return x.new_zeros(self.count + 1, x.shape[1]).index_add_(0, self.owner, x)

    def sums(self, x: Tensor) -> Tensor:
        """The sum over each group, at each of its rows: ``(n, c) -> (n, c)``."""
        return self.totals(x).index_select(0, self.owner)


def by_group(x: Tensor, groups: Groups) -> Tensor:
    """Each column to mean 0 and about unit deviation within the groups; 0 for others."""
    count = groups.sums(torch.ones_like(x[:, :1]))
    centered = x - groups.sums(x) / count
    deviation = (groups.sums(centered.square()) / count).sqrt()
    inside = groups.owner[:, None] < groups.count
    return torch.where(inside, centered / (deviation + 0.05), 0.0).to(x.dtype)


def sinkhorn(scores: Tensor, groups: Groups, rounds: int = 20) -> Tensor:
    """Rows that sum to 1, columns of about equal sums in each group (Cuturi 2013): ``(n, k)``.

    Few and damped rounds: columns that were far from equal still differ by some hundredths.
    """
    equal = groups.totals(torch.ones_like(scores[:, :1])).div_(scores.shape[1])
    shares = scores.to(equal.dtype).exp()
    least = torch.finfo(equal.dtype).tiny
    for _ in range(rounds):
        columns = groups.totals(shares).clamp_min_(least)
        shares *= (equal / columns).pow_(DAMPING).index_select(0, groups.owner)
        shares /= shares.sum(1, keepdim=True)
    return shares.to(scores.dtype)
