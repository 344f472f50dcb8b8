"""Internal. What a training algorithm is made of: networks, groups of them, phases with losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from repkit.engine.batches import Batch

Losses = dict[str, Tensor]
Step = Callable[[SimpleNamespace, Batch], Losses]


@dataclass(frozen=True)
class Phase:
    """One evaluation of losses, followed by one step of each group's optimizer.

    Parameters
    ----------
    loss : callable
        ``loss(networks, batch) -> dict``. A key that names a group holds the scalar which that
        group minimizes; any other key is a scalar that only goes to the history. Every loss is
        differentiated by its own group's parameters only, all at the same point. ``skip_<group>``
        is a bool tensor of shape (): where it is true, that group's optimizer does not step, and
        neither weights nor its state change. Its mean is in the history, too.
    groups : tuple of str, optional
        The groups that step here. None: all.
    every : int, default=1
        Run at every so-many-th step.
    times : int, default=1
        Run so often in a step, on the same rows with fresh noise.
    fresh : bool, default=False
        Draw the noise anew also for the first time, rather than share it with the phase before.
    """

    loss: Step
    groups: tuple[str, ...] | None = None
    every: int = 1
    times: int = 1
    fresh: bool = False


@dataclass(frozen=True)
class Noise:
    """Random numbers that the engine draws for each batch.

    Parameters
    ----------
    shape : tuple of int
        Shape of one row.
    kind : {"normal", "uniform", "onehot"}, default="normal"
        Law of the numbers: N(0, 1); uniform on [-1, 1]; or one of the ``shape[0]`` columns is
        1, each equally likely, and the others are 0.
    """

    shape: tuple[int, ...]
    kind: str = "normal"

    def fill(self, buffer: Tensor, generator: torch.Generator) -> None:
        """Draw the numbers of a batch.

        Parameters
        ----------
        buffer : Tensor of shape (n, ...)
            Where they go.
        generator : torch.Generator
            Where they come from, on the buffer's device.

        Raises
        ------
        ValueError
            If ``kind`` is none of the three.
        """
        if self.kind == "normal":
            buffer.normal_(generator=generator)
        elif self.kind == "uniform":
            buffer.uniform_(-1.0, 1.0, generator=generator)
        elif self.kind == "onehot":
            column = torch.randint(
                buffer.shape[1], (len(buffer), 1), generator=generator, device=buffer.device
            )
            buffer.zero_().scatter_(1, column, 1.0)
        else:
            raise ValueError(
                f"noise kind must be 'normal', 'uniform' or 'onehot', not {self.kind!r}"
            )


@dataclass(frozen=True)
class System:
    """A training algorithm: what is trained, in which groups and in which order.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        Phases see them as attributes.
    groups : mapping of str to tuple of str
        The networks that share an optimizer, by the group's name.
    phases : tuple of Phase
        Run in this order in every step.
    forward : callable, optional
        ``forward(networks, batch)``, run once at the start of a step: what it stores on the batch
        is shared by the phases. It stays right until a group that it went through has stepped.
    noise : mapping of str to Noise
        Appears on the batch under the same name.
    schedules : mapping of str to callable
        ``progress in [0, 1] -> value``, on the batch as a tensor of shape ().
    refresh : callable, optional
        ``refresh(networks, step)``, run at the start of every epoch: what the epoch's steps take as
        given. It must depend on the weights and the step alone, for a run may be resumed there. It
        writes where it wrote before, or is true: steps then read other tensors from now on.
    """

    networks: Mapping[str, nn.Module]
    groups: Mapping[str, tuple[str, ...]]
    phases: tuple[Phase, ...]
    forward: Callable[[SimpleNamespace, Batch], None] | None = None
    noise: Mapping[str, Noise] = field(default_factory=dict)
    schedules: Mapping[str, Callable[[float], float]] = field(default_factory=dict)
    refresh: Callable[[SimpleNamespace, int], bool | None] | None = None

    def __post_init__(self) -> None:
        members = [name for names in self.groups.values() for name in names]
        unknown = set(members) - set(self.networks)
        if unknown or len(members) != len(set(members)):
            raise ValueError(
                f"groups must name networks, each once at most: {dict(self.groups)} "
                f"over {sorted(self.networks)}"
            )
        for phase in self.phases:
            if set(phase.groups or ()) - set(self.groups):
                raise ValueError(f"phase groups {phase.groups} are not among {list(self.groups)}")
