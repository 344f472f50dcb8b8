"""Internal. One training step for every system: groups, phases, and one loss per group."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from repkit.engine.batches import Batch, BatchSource
from repkit.engine.compiling import calling, compiled
from repkit.engine.flat import Group, mirrored, recurrent
from repkit.engine.modes import frozen, norms, still
from repkit.engine.optim import VectorOptimizer, rate_setters, setter
from repkit.engine.ranks import here
from repkit.engine.replay import Graphs, graphs_of
from repkit.engine.rng import Kind, seed_everything, seed_of
from repkit.engine.system import Phase, System

Optimizer = torch.optim.Optimizer | VectorOptimizer
Record = tuple[int, tuple[str, ...], Tensor]  # of a phase: its number, names of terms and values
# From one parameter a group, or from ``{"params": [...], "lr": rate}`` where rates differ.
OptimizerFactory = Callable[[list[Any]], Optimizer]


class Engine:
    """Takes the steps of a system and holds all that changes while it is trained.

    Parameters
    ----------
    system : System
        Networks, losses and the order of the steps.
    batches : BatchSource
        What each step is taken over.
    optimizer : callable or mapping of str to callable
        ``parameters -> torch.optim.Optimizer``, called once a group; or one for each group. With
        ``rates`` it gets parameter groups, ``[{"params": [...], "lr": rate}, ...]``.
    total_steps : int
        Progress is ``step / total_steps``.
    seed : int
        Seed of the noise and of dropout.
    precision : {"fp32", "bf16"}, default="fp32"
        With bf16 the phases run under autocast.
    ema : float, default=0.0
        Decay of the exponential moving average of all weights; 0 keeps none. Phases see the
        averaged networks, in evaluation mode, as ``networks.ema``.
    rates : callable, optional
        The learning rate of a parameter from its full name, ``"F.0.weight"``.
    learning_rate_schedule : callable, optional
        ``progress -> factor`` of every optimizer's learning rate.
    compile : bool, default=False
        Compile each network with ``torch.compile``, as phases call it; see `compiling`.
    changes : iterable of callable
        What of the user's own the phases call, beside the networks. Steps are recorded and replayed
        where all code is known to do the same at every step; see `replay`.
    """

    def __init__(
        self,
        system: System,
        batches: BatchSource,
        *,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory],
        total_steps: int,
        seed: int,
        precision: str = "fp32",
        ema: float = 0.0,
        rates: Callable[[str], float] | None = None,
        learning_rate_schedule: Callable[[float], float] | None = None,
        compile: bool = False,
        changes: Iterable[Callable[..., Any]] = (),
    ) -> None:
        self.system = system
        self.batches = batches
        self.device = batches.device
        self.total_steps = total_steps
        self.seed = seed
        self.precision = precision
        self.ema = ema
        self.learning_rate_schedule = learning_rate_schedule
        self.position = 0
        self.ranks = here()
        for network in system.networks.values():
            network.to(self.device).to(memory_format=torch.channels_last)
        self._meet()
        self.networks = SimpleNamespace(**system.networks)
        self.averaged: dict[str, nn.Module] = {}
        if ema:
            self.averaged = {k: copy.deepcopy(m) for k, m in system.networks.items()}
            for network in self.averaged.values():
                network.eval().requires_grad_(False)
            self.networks.ema = SimpleNamespace(**self.averaged)
        # What the phases call; the modules themselves stay as they are, names and all.
        self._called = self.networks
        self._calling: Callable[[], AbstractContextManager[Any]] = nullcontext
        if compile:
            quick = compiled(system.networks, self.device)
            self._called, self._calling = SimpleNamespace(**vars(self.networks) | quick), calling
        self.groups = {group: self._group(names, rates) for group, names in system.groups.items()}
        makers = (
            optimizer if isinstance(optimizer, Mapping) else dict.fromkeys(self.groups, optimizer)
        )
        self.optimizers = {
            name: makers[name](
                [
                    vector if rate is None else {"params": [vector], "lr": rate}
                    for vector, rate in zip(g.vectors, g.rates, strict=True)
                ]
            )
            for name, g in self.groups.items()
            if g.parameters
        }
        for name, own_optimizer in self.optimizers.items():
            # Several processes take the mean of one vector; a graph wants fixed addresses.
            self.groups[name].lends = (
                isinstance(own_optimizer, VectorOptimizer)
                and self.device.type == "cpu"
                and self.ranks.world == 1
            )
        self._frozen = frozen(*system.networks.values())
        self._base_rates = [g["lr"] for o in self.optimizers.values() for g in o.param_groups]
        self._set_rates = rate_setters(self.optimizers.values())
        self._noise = {
            name: torch.empty((batches.size, *noise.shape), device=self.device)
            for name, noise in system.noise.items()
        }
        self._own = None if batches.own is None else batches.own.to(self.device)
        self._scheduled = {name: torch.zeros((), device=self.device) for name in system.schedules}
        self._set_scheduled = {name: setter(x) for name, x in self._scheduled.items()}
        self._generator = torch.Generator(self.device)
        self._norms_outside: dict[tuple[int, ...], list[Any]] = {}
        self._averages: list[Tensor] = []
        self._sources: list[Tensor] = []
        self._copies: list[Tensor] = []
        self._copied: list[Tensor] = []
        if ema:
            self._pair_averages()
        self._records: list[list[Record]] = []
        self._graphs: Graphs | None = None
        functions = filter(None, [*(p.loss for p in system.phases), system.forward])
        self._code = [*system.networks.values(), *changes, *functions]
        if (graphs := graphs_of(self.device, [self._generator], total_steps, compile)) is not None:
            self.use_graphs(graphs)
        self._reset()

    def _meet(self) -> None:
        """Have the weights of rank 0 on all ranks, of which each trains the same."""
        networks = self.system.networks
        # Each process has the statistics of its own share of a batch.
        self._statistics = [
            x
            for network in networks.values()
            for key, x in network.named_buffers()
            if key.rpartition(".")[2] in ("running_mean", "running_var")
        ]
        if self.ranks.world == 1:
            return
        shapes = {
            f"{name}.{key}": tuple(x.shape)
            for name, network in networks.items()
            for key, x in network.state_dict().items()
        }
        self.ranks.check("set of weights", shapes)
        self.ranks.check("X", self.batches.digest())
        self.ranks.check("length of the training", (self.total_steps, self.batches.steps_per_epoch))
        self.ranks.spread_(x for m in networks.values() for x in (*m.parameters(), *m.buffers()))

    def use_graphs(self, graphs: Graphs) -> None:
        """Record steps and replay them; before the first step.

        Parameters
        ----------
        graphs : Graphs
            New ones.
        """
        others = [o for o in self.optimizers.values() if not isinstance(o, VectorOptimizer)]
        kind = torch.float64 if self.device.type == "cpu" else None  # as precise as a number
        if others:
            graphs.give_up(f"the optimizer {type(others[0]).__name__} keeps numbers on the host")
        elif self.ranks.world > 1:
            graphs.give_up("several processes take them together")
        else:
            graphs.look(self._code)
        if graphs.given_up is None:
            for optimizer in self.optimizers.values():
                for options in optimizer.param_groups:
                    options["lr"] = torch.tensor(options["lr"], dtype=kind, device=self.device)
            self._set_rates = rate_setters(self.optimizers.values())
        self._graphs = graphs
        self._decay = torch.zeros((), device=self.device)
        self._set_decay = setter(self._decay)

    def _group(self, names: Iterable[str], rates: Callable[[str], float] | None) -> Group:
        named = [
            (f"{name}.{key}", p)
            for name in names
            for key, p in self.system.networks[name].named_parameters()
            if p.requires_grad
        ]
        layers = recurrent(self.system.networks[name] for name in names)
        return Group(
            [p for _, p in named],
            None if rates is None else [rates(key) for key, _ in named],
            [list(layer.parameters(recurse=False)) for layer in layers],
        )

    @staticmethod
    def _parameters(networks: Mapping[str, nn.Module], names: Iterable[str]) -> Iterator[Tensor]:
        return (p for name in names for p in networks[name].parameters())

    def _pair_averages(self) -> None:
        """Find what is averaged, each group's vector and running statistics, and what is copied."""
        for group, names in self.system.groups.items():
            twins = {
                id(p): twin
                for p, twin in zip(
                    self._parameters(self.system.networks, names),
                    self._parameters(self.averaged, names),
                    strict=True,
                )
            }
            own = self.groups[group]
            places = iter(own.parameters)
            for vector, count in zip(own.vectors, own.counts, strict=True):
                average = torch.zeros_like(vector.data)
                part = [next(places) for _ in range(count)]
                for p, place in zip(part, mirrored(average, part), strict=True):
                    twins[id(p)].data = place.copy_(twins[id(p)].data)
                self._averages.append(average)
                self._sources.append(vector.data)
        for name, network in self.averaged.items():
            sources = dict(self.system.networks[name].named_buffers())
            for key, twin in network.named_buffers():
                if key.endswith(("running_mean", "running_var")):
                    self._averages.append(twin)
                    self._sources.append(sources[key])
                elif twin.is_floating_point():
                    # Singular vectors of spectral norms, say: their mean has another length.
                    self._copies.append(twin)
                    self._copied.append(sources[key])

    def _norms_outside_of(self, phases: tuple[int, ...]) -> list[Any]:
        """Layers whose running statistics stand still in these phases: of networks not trained."""
        if phases not in self._norms_outside:
            inside = {
                name
                for number in phases
                for group in self.system.phases[number].groups or self.system.groups
                for name in self.system.groups[group]
            }
            self._norms_outside[phases] = norms(
                *(m for name, m in self.system.networks.items() if name not in inside)
            )
        return self._norms_outside[phases]

    @contextmanager
    def _forward(self, fixed: list[Any]) -> Iterator[None]:
        """Autocast, with the running statistics of these layers fixed."""
        with still(fixed), self._autocast():
            yield

    def begin_epoch(self) -> None:
        """Reset every source of randomness to a function of (seed, step), and refresh the system.

        So a run that is resumed, or replayed, at the start of an epoch needs no random state.
        """
        self._reset()
        changed = self.system.refresh and self.system.refresh(self.networks, self.position)
        if self._graphs is not None and self._graphs.given_up is None:
            self._graphs.look(self._code, changed)

    def _reset(self) -> None:
        self._records = [[] for _ in self.system.phases]
        self._generator.manual_seed(seed_of(self.seed, Kind.NOISE, self.position))
        own = (self.ranks.rank,) if self.ranks.rank else ()
        seed_everything(seed_of(self.seed, Kind.GLOBAL, self.position, *own), self.device)

    def train_mode(self) -> None:
        """Put the networks in training mode, but for layers with statistics in frozen parts."""
        for network in self.system.networks.values():
            network.train()
        for layer in self._frozen:
            layer.eval()

    def eval_mode(self) -> None:
        """Put the networks in evaluation mode."""
        for network in self.system.networks.values():
            network.eval()

    def step(self) -> None:
        """Take one step at the current position, and move on from it."""
        position, graphs = self.position, self._graphs
        batch = self.batches.draw(position)
        progress = position / self.total_steps
        for name, schedule in self.system.schedules.items():
            self._set_scheduled[name](schedule(progress))
        if self.learning_rate_schedule is not None:
            factor = self.learning_rate_schedule(progress)
            for set_rate, rate in zip(self._set_rates, self._base_rates, strict=True):
                set_rate(factor * rate)
        # Early on the average is taken over as many steps as there have been.
        decay = min(self.ema, (1.0 + position) / (10.0 + position))
        phases = tuple([n for n, p in enumerate(self.system.phases) if position % p.every == 0])
        if graphs is None or graphs.given_up is not None:
            found = self._act(phases, batch, decay, self._called)
        else:
            self._set_decay(1.0 - decay)
            shapes = graphs.place(batch)
            graph = graphs.recorded(phases, shapes)
            if graph is not None:
                found = graph.replay()
            else:
                act = partial(self._act, phases, batch, None)
                plain = None if self._called is self.networks else partial(act, self.networks)
                found = graphs.take(phases, shapes, partial(act, self._called), plain)
                for own in self.groups.values():
                    own.drop()  # the next step has others, which only its record knows
        for number, names, values in found:
            self._records[number].append((position, names, values))
        self.position = position + 1

    def _act(
        self, phases: tuple[int, ...], batch: Batch, decay: float | None, called: Any
    ) -> list[Record]:
        """What a step does on the device; the decay of the averages is in a tensor if not given."""
        found = []
        vars(batch).update(self._scheduled)
        self.batches.fill(batch)
        self._draw_noise(batch)
        with self._calling():
            if self.system.forward is not None:
                with self._forward(self._norms_outside_of(phases)):
                    self.system.forward(called, batch)
            for number in phases:
                phase = self.system.phases[number]
                for repeat in range(phase.times):
                    if repeat or phase.fresh:
                        self._draw_noise(batch)
                    found.append(self._run(number, phase, batch, called))
        self.ranks.mean_(self._statistics)
        if self.ema:
            if decay is None:
                weights = [self._decay] * len(self._averages)
                torch._foreach_lerp_(self._averages, self._sources, weights)
            else:
                torch._foreach_lerp_(self._averages, self._sources, 1.0 - decay)
            if self._copies:
                torch._foreach_copy_(self._copies, self._copied)
        return found

    def _run(self, number: int, phase: Phase, batch: Batch, called: Any) -> Record:
        with self._forward(self._norms_outside_of((number,))):
            terms = phase.loss(called, batch)
        groups = [name for name in terms if name in self.groups]
        if phase.groups is not None and set(groups) != set(phase.groups):
            raise ValueError(
                f"a phase of the groups {phase.groups} returned losses for {tuple(groups)}"
            )
        # All gradients first, then all steps: every group moves from the same point.
        groups = [name for name in groups if self.groups[name].parameters]
        for group in groups:
            self.groups[group].drop()
        unreached = {
            group: self.groups[group].set_gradients(
                torch.autograd.grad(
                    terms[group],
                    self.groups[group].parameters,
                    retain_graph=True if group != groups[-1] else None,
                    allow_unused=True,
                )
            )
            for group in groups
        }
        for group in groups:
            self.ranks.mean_(v.grad for v in self.groups[group].vectors if v.grad is not None)
        for group in groups:
            own, optimizer = self.groups[group], self.optimizers[group]
            if len(unreached[group]) == len(own.parameters):
                continue
            with own.holding(unreached[group], partial(self._states, optimizer, own)):
                self._move(optimizer, own, terms.get(f"skip_{group}"))
        names = tuple(f"loss_{k}" if k in self.groups else k for k in terms)
        values = torch.stack([v.detach().float() for v in terms.values()])
        return number, names, values

    @staticmethod
    def _states(optimizer: Optimizer, group: Group) -> list[Mapping[str, Any]]:
        """What the optimizer remembers of each of a group's vectors."""
        if isinstance(optimizer, VectorOptimizer):
            return [*optimizer.state]
        return [optimizer.state.get(vector, {}) for vector in group.vectors]

    @staticmethod
    def _move(optimizer: Optimizer, own: Group, skip: Tensor | None) -> None:
        """One step, unless ``skip`` is true: then weights and state stay as they are."""
        if isinstance(optimizer, VectorOptimizer):
            optimizer.step(skip, own.lent)
        elif skip is None or not skip:  # other optimizers know no such thing: the host has to look
            optimizer.step()

    def _draw_noise(self, batch: Batch) -> None:
        for name, noise in self.system.noise.items():
            drawn = self._noise[name]
            noise.fill(drawn, self._generator)
            setattr(batch, name, drawn if self._own is None else drawn[self._own])

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def read(self) -> tuple[dict[str, float], tuple[int, str] | None]:
        """Read the terms of all steps since `begin_epoch`.

        The one place where the host waits for the device.

        Returns
        -------
        means : dict of str to float
            Mean of each term, by name.
        bad : (step, term) or None
            The first step with a term that is not finite, and the term's name.
        """
        means: dict[str, float] = {}
        bad: tuple[int, str] | None = None
        for records in self._records:
            if not records:
                continue
            steps = [step for step, _, _ in records]
            names = records[0][1]
            stacked = torch.stack([row for _, _, row in records])
            self.ranks.mean_([stacked])
            values = stacked.cpu().double()
            for name, value in zip(names, values.mean(0).tolist(), strict=True):
                means.setdefault(name, value)  # a group's loss is that of its first phase
            wrong = (~values.isfinite()).nonzero()
            if len(wrong):
                row, column = wrong[0].tolist()
                if bad is None or steps[row] < bad[0]:
                    bad = steps[row], names[column]
        return means, bad

    def scheduled(self) -> dict[str, float]:
        """Evaluate the schedules at the last step taken.

        Returns
        -------
        dict of str to float
            Values by name.
        """
        progress = max(self.position - 1, 0) / self.total_steps
        return {name: value(progress) for name, value in self.system.schedules.items()}

    def broken(self) -> str | None:
        """Look for a trained weight or a running statistic that is not finite.

        Returns
        -------
        str or None
            The first group that has one, if any.
        """
        for group, names in self.system.groups.items():
            values = [p.detach() for p in self.groups[group].parameters]
            values += [b for name in names for b in self.system.networks[name].buffers()]
            if values and not torch.stack([v.isfinite().all() for v in values]).all():
                return group
        return None

    def release(self) -> None:
        """Give the parameters memory of their own again, when training is over.

        The averaged ones are then frozen where the trained ones are.
        """
        for group in self.groups.values():
            group.release()
        for name, network in self.averaged.items():
            own = self.system.networks[name].parameters()
            for parameter, trained in zip(network.parameters(), own, strict=True):
                parameter.data = parameter.data.clone(memory_format=torch.preserve_format)
                parameter.requires_grad_(trained.requires_grad)
        for layer in recurrent([*self.system.networks.values(), *self.averaged.values()]):
            layer.flatten_parameters()  # nothing but on a GPU

    def state_dict(self) -> dict[str, Any]:
        """Copy all that training changes.

        Returns
        -------
        dict
            Position, networks, averaged networks and optimizers; tensors are copies, safe from
            later steps.
        """
        return copy_state(
            {
                "position": self.position,
                "networks": {k: m.state_dict() for k, m in self.system.networks.items()},
                "averaged": {k: m.state_dict() for k, m in self.averaged.items()},
                "optimizers": {k: o.state_dict() for k, o in self.optimizers.items()},
            }
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to a state.

        Parameters
        ----------
        state : mapping
            What `state_dict` gave.
        """
        for name, network in self.system.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, network in self.averaged.items():
            network.load_state_dict(state["averaged"][name])
        for group, optimizer in self.optimizers.items():
            optimizer.load_state_dict(copy_state(state["optimizers"][group]))
        if self._graphs is not None:
            self._graphs.forget()
        self.position = state["position"]


def copy_state(state: Any) -> Any:
    """A deep copy of nested dicts and lists that clones tensors (a state dict aliases them)."""
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, Mapping):
        return {k: copy_state(v) for k, v in state.items()}
    if isinstance(state, list):
        return [copy_state(v) for v in state]
    return state
