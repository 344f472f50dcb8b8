"""Internal. Adam and SGD on few long vectors, without the bookkeeping of lists of tensors.

Their steps can be recorded, ask for nothing on the host, and do not load torch's compiler, as the
first optimizer of torch's in a process does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from repkit.engine.flat import Piece

Setter = Callable[[float], Any]
Parameters = Sequence[nn.Parameter] | Sequence[dict[str, Any]]
Lists = list[list[Tensor]]
State = dict[str, Tensor]


class VectorOptimizer:
    """What `Adam` and `SGD` have in common.

    Parameters
    ----------
    parameters : sequence of nn.Parameter, or of dict
        Floats with gradients that stay where they are; or groups ``{"params": [...], "lr": rate}``.
    lr : float
        Learning rate of the parameters whose group has none. In ``param_groups`` a tensor of shape
        () can take its place, to be changed without a new number in a step.
    weight_decay : float
        See the optimizer.
    moments : sequence of str
        What is remembered of each weight; 0 at the start.
    """

    def __init__(
        self, parameters: Parameters, lr: float, weight_decay: float, moments: Sequence[str]
    ) -> None:
        self.param_groups: list[dict[str, Any]] = [
            {"lr": lr, **(p if isinstance(p, dict) else {"params": [p]})} for p in parameters
        ]
        self.vectors = [p for group in self.param_groups for p in group["params"]]
        self.weight_decay, self.moments = weight_decay, moments
        self.state: list[dict[str, Tensor]] = [
            {name: torch.zeros_like(vector.data) for name in moments} for vector in self.vectors
        ]

    def step(
        self, skip: Tensor | None = None, lent: Sequence[Sequence[Piece]] | None = None
    ) -> None:
        """Move the parameters by their gradients.

        Parameters
        ----------
        skip : bool tensor of shape (), optional
            Where it is true, weights and state stay as they are. The host does not look at it.
        lent : sequence of sequence of (int, int, Tensor), optional
            For each vector, parts of it and their gradients, which then are not read in its own
            ``grad``: in order, from and to multiples of `flat.ALIGN`.
        """
        common = {
            "weight_decay": self.weight_decay,
            "maximize": False,
            # What torch's gradient scaler skips a step with.
            "found_inf": None if skip is None else skip.float(),
        }
        k = 0
        for group in self.param_groups:
            for vector in group["params"]:
                state, pieces = self.state[k], lent[k] if lent else ()
                k += 1
                whole = [vector.data, *(state[name] for name in self.moments)]
                moved, gradients = [[x] for x in whole], [vector.grad]
                if pieces:
                    cuts, gradients = _cuts(vector.grad, pieces)
                    moved = [[x[cut] for cut in cuts] for x in whole]
                self._move(moved, gradients, state, lr=group["lr"], **common)

    def _move(self, moved: Lists, gradients: list[Tensor], state: State, **common: Any) -> None:
        """Move a vector in pieces: weights, and ``moments`` in their order."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Live tensors and the learning rates."""
        return {"state": self.state, "lr": [float(group["lr"]) for group in self.param_groups]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Copy a `state_dict` into place."""
        for own, other in zip(self.state, state["state"], strict=True):
            for name, value in own.items():
                value.copy_(other[name])
        for set_rate, rate in zip(rate_setters([self]), state["lr"], strict=True):
            set_rate(rate)


class Adam(VectorOptimizer):
    """Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019).

    The numbers are those of ``torch.optim.AdamW(fused=True)`` on the same tensors, bit for bit. A
    step on a network of two small layers takes about four fifths of the time, since there is a
    single tensor to look after; on wide layers there is no difference.

    Parameters
    ----------
    parameters, lr
        See `VectorOptimizer`.
    beta1, beta2 : float
        Decay of the mean gradient and of its mean square.
    eps : float
        Added to the root of the mean square.
    weight_decay : float
        Share of a weight, times the learning rate, that a step takes away.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, ("mean", "square"))
        self.own: dict[str, Any] = {"beta1": beta1, "beta2": beta2, "eps": eps, "amsgrad": False}
        for vector, state in zip(self.vectors, self.state, strict=True):
            state["step"] = torch.zeros((), device=vector.device)

    def _move(self, moved: Lists, gradients: list[Tensor], state: State, **common: Any) -> None:
        skipped = common["found_inf"]
        state["step"] += 1 if skipped is None else 1 - skipped
        weights, means, squares = moved
        steps = [state["step"]] * len(weights)
        torch._fused_adamw_(weights, gradients, means, squares, [], steps, **self.own, **common)


class SGD(VectorOptimizer):
    """Gradient descent with momentum, as torch has it: the rate is not in the momentum.

    The numbers are those of ``torch.optim.SGD(fused=True)`` on the same tensors, bit for bit.

    Parameters
    ----------
    parameters, lr
        See `VectorOptimizer`.
    momentum : float
        Decay of the sum of gradients that a step follows; with 0 it follows the gradient.
    weight_decay : float
        Share of a weight that is added to its gradient.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay, ("sum",) if momentum else ())
        self.own: dict[str, Any] = {"momentum": momentum, "dampening": 0.0, "nesterov": False}

    def _move(self, moved: Lists, gradients: list[Tensor], state: State, **common: Any) -> None:
        weights, *sums = moved
        # At the first step the sums are 0, which comes to the same.
        common |= self.own | {"is_first_step": False}
        torch._fused_sgd_(weights, gradients, sums[0] if sums else [], **common)


def _cuts(own: Tensor, lent: Sequence[Piece]) -> tuple[list[slice], list[Tensor]]:
    """The whole of a vector in slices, and the gradient of each: its own, or a lent one."""
    cuts, gradients, end = [], [], 0
    for start, stop, gradient in [*lent, (len(own), len(own), own[:0])]:
        if start > end:
            cuts.append(slice(end, start))
            gradients.append(own[end:start])
        if stop > start:
            cuts.append(slice(start, stop))
            gradients.append(gradient)
        end = stop
    return cuts, gradients


def setter(place: Tensor) -> Setter:
    """What puts a number into a tensor of shape (); on a CPU in a tenth of an operation's time."""
    return partial(place.numpy().__setitem__, ()) if place.device.type == "cpu" else place.fill_


def rate_setters(optimizers: Iterable[torch.optim.Optimizer | VectorOptimizer]) -> list[Setter]:
    """What gives each group of these optimizers its learning rate; a tensor stays where it is."""
    return [_rate_setter(o, k) for o in optimizers for k in range(len(o.param_groups))]


def _rate_setter(optimizer: torch.optim.Optimizer | VectorOptimizer, k: int) -> Setter:
    rate = optimizer.param_groups[k]["lr"]
    if isinstance(optimizer, VectorOptimizer) and isinstance(rate, Tensor):
        return setter(rate)

    def set_rate(rate: float) -> None:
        options = optimizer.param_groups[k]  # torch's have others after a state was loaded
        if isinstance(options["lr"], Tensor):
            options["lr"].fill_(rate)
        else:
            options["lr"] = rate

    return set_rate
