"""Internal. Adam on few long vectors, without the bookkeeping that lists of tensors need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from repkit.engine.flat import Piece

Setter = Callable[[float], Any]


class Adam:
    """Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019).

    The numbers are those of ``torch.optim.AdamW(fused=True)`` on the same tensors, bit for bit. A
    step on a network of two small layers takes about four fifths of the time, since there is a
    single tensor to look after; on wide layers there is no difference.

    Parameters
    ----------
    parameters : sequence of nn.Parameter, or of dict
        Floats with gradients that stay where they are; or groups ``{"params": [...], "lr": rate}``.
    lr : float
        Learning rate of the parameters whose group has none. In ``param_groups`` a tensor of shape
        () can take its place, to be changed without a new number in a step.
    beta1, beta2 : float
        Decay of the mean gradient and of its mean square.
    eps : float
        Added to the root of the mean square.
    weight_decay : float
        Share of a weight, times the learning rate, that a step takes away.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter] | Sequence[dict[str, Any]],
        lr: float,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.param_groups: list[dict[str, Any]] = [
            {"lr": lr, **(p if isinstance(p, dict) else {"params": [p]})} for p in parameters
        ]
        self.vectors = [p for group in self.param_groups for p in group["params"]]
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.weight_decay = weight_decay
        self.state: list[dict[str, torch.Tensor]] = [
            {
                "mean": torch.zeros_like(vector.data),
                "square": torch.zeros_like(vector.data),
                "step": torch.zeros((), device=vector.device),
            }
            for vector in self.vectors
        ]

    def step(
        self, skip: torch.Tensor | None = None, lent: Sequence[Sequence[Piece]] | None = None
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
        found_inf = None if skip is None else skip.float()
        taken = 1 if found_inf is None else 1 - found_inf
        k = 0
        for group in self.param_groups:
            for vector in group["params"]:
                state, pieces = self.state[k], lent[k] if lent else ()
                k += 1
                state["step"] += taken
                moved = [vector.data, state["mean"], state["square"]]
                weights, means, squares = ([x] for x in moved)
                gradients = [vector.grad]
                if pieces:
                    cuts, gradients = _cuts(vector.grad, pieces)
                    weights, means, squares = ([x[cut] for cut in cuts] for x in moved)
                torch._fused_adamw_(
                    weights,
                    gradients,
                    means,
                    squares,
                    [],
                    [state["step"]] * len(weights),
                    lr=group["lr"],
                    beta1=self.beta1,
                    beta2=self.beta2,
                    eps=self.eps,
                    weight_decay=self.weight_decay,
                    amsgrad=False,
                    maximize=False,
                    # What torch's gradient scaler skips a step with.
                    found_inf=found_inf,
                )

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


def _cuts(own: torch.Tensor, lent: Sequence[Piece]) -> tuple[list[slice], list[torch.Tensor]]:
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


def setter(place: torch.Tensor) -> Setter:
    """What puts a number into a tensor of shape (); on a CPU in a tenth of an operation's time."""
    return partial(place.numpy().__setitem__, ()) if place.device.type == "cpu" else place.fill_


def rate_setters(optimizers: Iterable[torch.optim.Optimizer | Adam]) -> list[Setter]:
    """What gives each group of these optimizers its learning rate; a tensor stays where it is."""
    return [_rate_setter(o, k) for o in optimizers for k in range(len(o.param_groups))]


def _rate_setter(optimizer: torch.optim.Optimizer | Adam, k: int) -> Setter:
    rate = optimizer.param_groups[k]["lr"]
    if isinstance(optimizer, Adam) and isinstance(rate, torch.Tensor):
        return setter(rate)

    def set_rate(rate: float) -> None:
        options = optimizer.param_groups[k]  # torch's have others after a state was loaded
        if isinstance(options["lr"], torch.Tensor):
            options["lr"].fill_(rate)
        else:
            options["lr"] = rate

    return set_rate
