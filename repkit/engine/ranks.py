"""Internal. One training in several processes, each of which takes its share of every batch.

Under ``torchrun --nproc-per-node N`` (or in any other way in which torch.distributed's RANK,
WORLD_SIZE, MASTER_ADDR and MASTER_PORT are set, or a process group is there), a fit is one fit of
all processes together. Each runs the same script on the same data. The batch of a step is the one
that a single process would have; a process takes as many rows of every part of it as the others.
The gradients are averaged, and so N processes take the steps of one. What is not a mean over rows
is made of the rows of all: see `pooled` and `averaged`, which losses call.

What differs between processes: torch's global generator (dropout, augmentation), and the batch that
batch norm sees, which is a process's own. Its running statistics are averaged at every step.

Whatever is decided (the end of a training, the selected epoch) is decided by rank 0, which alone
scores, calls callbacks, prints, and reads and writes checkpoints. With ``REPKIT_RANKS=0`` in the
environment each process fits for itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from repkit._processes import asked_alone, launched

T = TypeVar("T")


class RankError(RuntimeError):
    """A training of several processes that cannot go on."""


class Ranks:
    """The processes of a training.

    Parameters
    ----------
    rank : int, default=0
        Which of them this is.
    world : int, default=1
        How many there are. Alone, nothing here does anything.
    talk : process group, optional
        Through which objects go, on the CPU. By default, the one of all tensors.
    """

    def __init__(self, rank: int = 0, world: int = 1, talk: Any = None) -> None:
        self.rank, self.world, self.talk = rank, world, talk

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Say in a sentence that another process is gone."""
        try:
            yield
        except RuntimeError as error:
            raise RankError(
                f"rank {self.rank} of {self.world} stops: another process of this training has "
                "ended or does not answer; start all of them again"
            ) from error

    # ---------------------------------------------------------------- shares of a batch

    def share(self, count: int) -> int:
        """How many of so many rows of a batch are this process's own.

        Raises
        ------
        ValueError
            If the processes cannot have equally many.
        """
        if count % self.world:
            raise ValueError(
                f"batch_size must give each of the {self.world} processes as many rows; one part "
                f"of a step has {count}, which {self.world} does not divide"
            )
        return count // self.world

    def places(self, counts: Sequence[int]) -> Tensor:
        """Find the own places in a batch of parts of so many rows: equally many of each."""
        parts, start = [torch.empty(0, dtype=torch.int64)], 0
        for count in counts:
            own = self.share(count)
            parts.append(start + self.rank * own + torch.arange(own))
            start += count
        return torch.cat(parts)

    # ---------------------------------------------------------------- tensors

    def add_(self, x: Tensor) -> Tensor:
        """Put the sum over all processes in the place of a contiguous tensor."""
        if self.world > 1:
            with self._asking():
                dist.all_reduce(x)
        return x

    def mean_(self, tensors: Iterable[Tensor]) -> None:
        """Put the mean over all processes in the place of each tensor, in one message."""
        if self.world > 1:
            self._exchange(tensors, lambda x: self.add_(x).div_(self.world))

    def spread_(self, tensors: Iterable[Tensor]) -> None:
        """Put rank 0's in the place of each tensor."""

        def spread(x: Tensor) -> Tensor:
            with self._asking():
                dist.broadcast(x, 0)
            return x

        if self.world > 1:
            self._exchange(tensors, spread)

    @staticmethod
    def _exchange(tensors: Iterable[Tensor], act: Callable[[Tensor], Tensor]) -> None:
        """Act on all tensors of a type as on one vector."""
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for x in tensors:
            if x.numel():
                by_type.setdefault(x.dtype, []).append(x.detach())
        for some in by_type.values():
            if len(some) == 1 and some[0].is_contiguous():
                act(some[0])
                continue
            found = act(torch.cat([x.reshape(-1) for x in some]))
            for x, part in zip(some, found.split([x.numel() for x in some]), strict=True):
                x.copy_(part.view(x.shape))

    # ---------------------------------------------------------------- decisions

    def first(self, decide: Callable[[], T]) -> T:
        """What a function gives on rank 0, which alone calls it, and as if it were alone.

        An error of it is raised everywhere: on the others as a `RankError`.
        """
        if self.world == 1:
            return decide()
        found: list[Any] = [None, None]
        failed: BaseException | None = None
        if self.rank == 0:
            try:
                with _as(ALONE):
                    found[0] = decide()
            except BaseException as error:
                failed, found[1] = error, f"{type(error).__name__}: {error}"
        try:
            with self._asking():
                dist.broadcast_object_list(found, 0, group=self.talk)
        except RankError:
            if failed is None:
                raise
        if failed is not None:
            raise failed
        if found[1] is not None:
            raise RankError(f"rank {self.rank} of {self.world} stops, as rank 0 did: {found[1]}")
        decided: T = found[0]
        return decided

    def same(self, value: T) -> T:
        """Rank 0's value."""
        return self.first(lambda: value)

    def check(self, what: str, value: Any) -> None:
        """Raise a RankError on all processes unless each has the same value."""
        if self.world == 1:
            return
        found: list[Any] = [None] * self.world
        with self._asking():
            dist.all_gather_object(found, value, group=self.talk)
        others = [k for k, other in enumerate(found) if other != found[0]]
        if others:
            raise RankError(
                f"rank {others[0]} of {self.world} has another {what} than rank 0; each process "
                "must call fit on the same data, all of them, with the same parameters (or set "
                "REPKIT_RANKS=0: each then fits for itself)"
            )


ALONE = Ranks()
_current = ALONE  # of the fit that is going on; there is one at a time in a process
_joined = False  # whether there is one: a fit inside of it is of one process


def here() -> Ranks:
    """The processes of the fit that is going on."""
    return _current


@contextmanager
def _as(ranks: Ranks) -> Iterator[None]:
    global _current
    before, _current = _current, ranks
    try:
        yield
    finally:
        _current = before


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """The processes of the fit that begins here.

    A fit inside of another, in a callback say, is of its own process alone, as are those in
    processes that were started by another one: workers of a grid search.

    Parameters
    ----------
    device : torch.device
        Where the fit trains.
    """
    global _joined
    outer = _joined
    ranks = ALONE if outer or not together() else _formed(device)
    _joined = True
    try:
        with _as(ranks):
            yield ranks
    finally:
        _joined = outer


def together() -> bool:
    """Whether this process is one of several that fit together."""
    if asked_alone() or not dist.is_available():
        return False
    return dist.get_world_size() > 1 if dist.is_initialized() else launched()


_talks: dict[Any, Any] = {}


def _formed(device: torch.device) -> Ranks:
    """The processes, in a group that is made if there is none."""
    if device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"device must be 'cpu' or a CUDA one for a fit in several processes, not {device}; "
            "with REPKIT_RANKS=0 in the environment each process fits for itself"
        )
    if not dist.is_initialized():
        # NCCL wants a card for each process.
        wanted = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        nccl = dist.is_nccl_available() and torch.cuda.device_count() >= wanted
        with Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))._asking():
            dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo")
    group = dist.group.WORLD
    if dist.get_backend() == "nccl" and group not in _talks:
        _talks[group] = dist.new_group(backend="gloo")
    return Ranks(dist.get_rank(), dist.get_world_size(), _talks.get(group))


# -------------------------------------------------------------------- in losses


class _Sum(torch.autograd.Function):
    """The sum over all processes; each has a loss of its own, and the gradient is of their sum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.add_(x.detach().clone(memory_format=torch.contiguous_format))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.add_(gradient.clone(memory_format=torch.contiguous_format)), None


def averaged(x: Tensor) -> Tensor:
    """The mean over all processes of the fit, with its gradient; alone, the tensor itself."""
    ranks = here()
    return x if ranks.world == 1 else _Sum.apply(x, ranks) / ranks.world


def pooled(x: Tensor) -> Tensor:
    """The rows of all processes, equally many of each, in the order of the ranks.

    For what is not a mean over rows: the entropy of a mean, a distance of two sets. Every process
    then has the whole loss, and the mean of their gradients is its gradient.

    Parameters
    ----------
    x : Tensor of shape (n, ...)

    Returns
    -------
    Tensor of shape (n * processes, ...)
        Alone, ``x`` itself.
    """
    ranks = here()
    if ranks.world == 1:
        return x
    whole = x.new_zeros(ranks.world, *x.shape)
    whole[ranks.rank] = x
    return _Sum.apply(whole, ranks).flatten(0, 1)


def mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the values where ``chosen`` is 1; 0 where it nowhere is.

    Each process may choose another number of them: it divides by a share of how many all choose.
    """
    count = averaged(chosen.sum()).clamp_min(1.0 / here().world)
    return (values * chosen).sum() / count
