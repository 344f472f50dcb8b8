"""Internal. Batches of speech: speakers times utterances, of like length, by one integer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from repkit.engine.batches import Batch, BatchSource, digest, sent
from repkit.engine.ranks import here, pooled
from repkit.engine.rng import Kind, generator_of

AT_ONCE = 2**15  # frames in a batch outside training, padding included
NAMES = ("first", "length", "y", "partner", "row")  # of what goes to the device in a step
JITTER = 0.25  # of the natural logarithm of a length, when utterances are sorted by it
EVEN = 16  # frames, of which batches on a GPU are multiples


def padded(time: int, device: torch.device) -> int:
    """Frames of a batch whose longest utterance has so many: of few lengths on a GPU.

    There each shape of batches is a graph of its own.
    """
    return -(-time // EVEN) * EVEN if device.type == "cuda" else time


class FrameStore:
    """Frames of many utterances, one after the other in a tensor on the device.

    Parameters
    ----------
    frames : sequence of ndarray of shape (T, D)
    device : torch.device
    """

    def __init__(self, frames: Sequence[np.ndarray], device: torch.device) -> None:
        self.lengths = np.array([len(x) for x in frames], dtype=np.int64)
        self.first = np.cumsum(self.lengths) - self.lengths
        self.device = device
        self.all = torch.from_numpy(np.concatenate(frames).astype(np.float32, copy=False))
        self.all = self.all.to(device)

    def take(
        self, rows: np.ndarray, starts: np.ndarray, lengths: np.ndarray, time: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Pieces of utterances, zero beyond their ends.

        Parameters
        ----------
        rows, starts, lengths : int64 ndarray of shape (n,)
            The utterance, its first frame, and how many.
        time : int, optional
            Frames to pad to; default: those of the longest.

        Returns
        -------
        x : Tensor of shape (n, time, D)
        length : int64 Tensor of shape (n,)
        """
        table = np.stack([self.first[rows] + starts, lengths])
        first, length = sent(torch.from_numpy(table), self.device)
        # The greatest length is known here, so that the device is never asked for it.
        return self.pieces(first, length, time or int(lengths.max())), length

    def pieces(self, first: Tensor, length: Tensor, time: int) -> Tensor:
        """Frames from these on: ``(n,), (n,) -> (n, time, D)``, zero beyond the lengths."""
        steps = torch.arange(time, device=self.device)
        inside = steps < length[:, None]
        index = torch.where(inside, first[:, None] + steps, 0)
        return self.all[index].mul_(inside[..., None])

    def in_order(self, max_frames: int) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
        """Yield ``(rows, x, length)`` of all utterances by length; of long ones the beginning."""
        lengths = np.minimum(self.lengths, max_frames)
        order = np.argsort(lengths, kind="stable")
        while len(order):
            # The longest that fit, with the longest among them.
            count = max(1, min(len(order), AT_ONCE // int(lengths[order[-1]])))
            rows, order = order[-count:], order[:-count]
            x, length = self.take(rows, np.zeros_like(rows), lengths[rows])
            yield rows, x, length


class SpeechBatches(BatchSource):
    """Batches of about ``speakers x utterances`` rows, derived from ``(seed, step)`` alone.

    In every turn each utterance is drawn once. Those of a speaker are sorted by length, roughly,
    and cut into chunks of about ``utterances``; a batch is about ``speakers`` chunks of like place
    in that order, of different speakers where that is possible. So the length and the number of
    rows differ from batch to batch.

    Batches have ``x`` (n, T, D), zero beyond ``length`` (n,); ``y`` (n,), the speaker or -1;
    ``partner`` (n,), the place in the batch of another utterance of the same speaker, and of itself
    where there is none or the speaker is unknown; ``row`` (n,), the utterance.

    In a fit of several processes the rows of a batch are dealt out to them, so that one has at most
    a row more than another. ``partner`` then is a place in the whole batch; see `whole`.

    Parameters
    ----------
    frames : FrameStore
    y : int64 ndarray of shape (n,)
        Speakers, from 0; -1 where unknown.
    speakers, utterances : int
        Each at least 2.
    max_frames : int
        Of a longer utterance a random piece of this length is drawn.
    seed : int
    steps_per_epoch : int, optional
        Default: one turn.
    """

    def __init__(
        self,
        frames: FrameStore,
        y: np.ndarray,
        *,
        speakers: int,
        utterances: int,
        max_frames: int,
        seed: int,
        steps_per_epoch: int | None = None,
    ) -> None:
        self.frames, self.y, self.seed = frames, y, seed
        self.device = frames.device
        self.max_frames = max_frames
        self.members = [np.flatnonzero(y == k) for k in np.unique(y)]
        # No chunk of one utterance, unless its speaker has no other.
        self.cuts = [max(1, min(round(len(m) / utterances), len(m) // 2)) for m in self.members]
        self.turn = max(1, sum(self.cuts) // speakers)
        self.steps_per_epoch = steps_per_epoch or self.turn
        # The most rows that a batch can have: what buffers for noise are made for.
        per_batch = -(-sum(self.cuts) // self.turn)
        largest = sorted(-(-len(m) // n) for m, n in zip(self.members, self.cuts, strict=True))
        self.size = per_batch * largest[-1]
        self.own: Tensor | None = None  # what a process has of a batch differs from step to step
        self._planned = -1
        self._plan: list[list[np.ndarray]] = []

    def chunks(self, step: int) -> list[np.ndarray]:
        """The chunks of a step: utterances of one speaker each."""
        turn, place = divmod(step, self.turn)
        if turn != self._planned:
            self._plan, self._planned = self._planned_turn(turn), turn
        return self._plan[place]

    def _planned_turn(self, turn: int) -> list[list[np.ndarray]]:
        rng = generator_of(self.seed, Kind.UTTERANCE_ORDER, turn)
        lengths = np.log(np.minimum(self.frames.lengths, self.max_frames))
        lengths = lengths + JITTER * rng.standard_normal(len(lengths))
        places, chunks = [], []
        for members, n in zip(self.members, self.cuts, strict=True):
            chunks += np.array_split(members[np.argsort(lengths[members])], n)
            # One shift for a speaker: those of few chunks come in any batch, the others evenly.
            places += list((np.arange(n) + rng.random()) / n)
        order = np.argsort(places)
        batches = np.array_split(order, self.turn)
        return [[chunks[k] for k in batches[b]] for b in rng.permutation(self.turn)]

    def draw(self, step: int) -> Batch:
        """All of a step's batch but ``x``, and how that is filled.

        By ``first`` (n,), where each piece begins in the store, and ``time``, frames with padding.
        """
        chunks = self.chunks(step)
        rng = generator_of(self.seed, Kind.PIECES, step)
        rows = np.concatenate(chunks)
        whole = self.frames.lengths[rows]
        lengths = np.minimum(whole, self.max_frames)
        first = self.frames.first[rows] + rng.integers(0, whole - lengths + 1)
        y, partner = self.y[rows], np.arange(len(rows))
        for speaker in np.unique(y[y >= 0]):
            places = np.flatnonzero(y == speaker)
            if len(places) > 1:
                shift = rng.integers(1, len(places), len(places))
                partner[places] = places[(np.arange(len(places)) + shift) % len(places)]
        # All in one: each way to the device takes as long as several operations there.
        ranks, more = here(), {}
        table = np.stack([first, lengths, y, partner, rows])
        if ranks.world > 1:
            more = self._dealt(y, ranks.world)
            table = np.ascontiguousarray(table[:, ranks.rank :: ranks.world])
            lengths = table[1]
        there = dict(zip(NAMES, sent(torch.from_numpy(table), self.device), strict=True))
        return Batch(time=padded(int(lengths.max()), self.device), **there, **more)

    def fill(self, batch: Batch) -> None:
        """Take the frames of what `draw` gave."""
        batch.x = self.frames.pieces(batch.first, batch.length, batch.time)

    def digest(self) -> int:
        """A number that other data hardly have; see `repkit.engine.batches`."""
        y = digest([torch.from_numpy(self.y)], len(self.y))
        return digest([self.frames.all], len(self.frames.all)) ^ y

    def _dealt(self, y: np.ndarray, world: int) -> dict[str, Tensor]:
        """What a process has to know of the rows of all."""
        n = len(y)
        if n < 2 * world:
            raise ValueError(
                f"batch_size must give each of the {world} processes at least 2 utterances; a step "
                f"has {n}"
            )
        rank, place = np.arange(n) % world, np.arange(n) // world
        table = np.stack([y, rank, rank * -(-n // world) + place])
        names = ("whole_y", "ranks", "order")
        return dict(zip(names, sent(torch.from_numpy(table), self.device), strict=True))


def whole(x: Tensor, b: Batch) -> Tensor:
    """Rows of the whole batch, in its order, from each process's: ``(n, ...) -> (m, ...)``.

    If there are several for each utterance, those of one view after those of another.
    """
    ranks = here()
    if ranks.world == 1:
        return x
    most = -(-len(b.order) // ranks.world)
    rest = x.new_zeros(most - len(b.y), *x.shape[1:])
    views = [pooled(torch.cat([view, rest])) for view in x.split(len(b.y))]
    return torch.cat([view.index_select(0, b.order) for view in views])
