"""Internal. Adam on few long vectors, without the bookkeeping that lists of tensors need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


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

    def step(self, skip: torch.Tensor | None = None) -> None:
        """Move the parameters by their gradients.

        Parameters
        ----------
        skip : bool tensor of shape (), optional
            Where it is true, weights and state stay as they are. The host does not look at it.
        """
        found_inf = None if skip is None else skip.float()
        taken = 1 if found_inf is None else 1 - found_inf
        k = 0
        for group in self.param_groups:
            for vector in group["params"]:
                state = self.state[k]
                k += 1
                state["step"] += taken
                torch._fused_adamw_(
                    [vector.data],
                    [vector.grad],
                    [state["mean"]],
                    [state["square"]],
                    [],
                    [state["step"]],
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
        for group, rate in zip(self.param_groups, state["lr"], strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
