"""The parameters of a group as one vector: one step, one average, one transfer for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

# Every parameter starts at a multiple of so many numbers. A kernel's vector loop then never ends
# inside one, and its rounding does not depend on what else is in the group.
ALIGN = 64


def flatten(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Move the parameters into one vector, of which each then is a view. They keep their layout.

    Returns
    -------
    Tensor of shape (total,)
        Zero between the parameters.
    """
    parameters = list(parameters)
    if not parameters:
        return torch.empty(0)
    vector = parameters[0].data.new_zeros(sum(_room(p) for p in parameters))
    for parameter, view in zip(parameters, views(vector, parameters), strict=True):
        parameter.data = view.copy_(parameter.data)
    return vector


def views(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of consecutive parts of the vector, each of the shape and layout of a tensor."""
    parts = vector.split([_room(t) for t in like]) if like else ()
    return [_shaped(part[: t.numel()], t) for part, t in zip(parts, like, strict=True)]


def _room(t: Tensor) -> int:
    return -(-t.numel() // ALIGN) * ALIGN


def _shaped(part: Tensor, t: Tensor) -> Tensor:
    if t.ndim == 4 and t.is_contiguous(memory_format=torch.channels_last):
        return part.view(t.shape[0], *t.shape[2:], t.shape[1]).permute(0, 3, 1, 2)
    return part.view(t.shape)


class Group:
    """Parameters that step together.

    Attributes
    ----------
    parameters : list of nn.Parameter
        Each once, also where two networks share it.
    vector : nn.Parameter
        What the optimizer sees.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list({id(p): p for p in parameters}.values())
        self.vector = nn.Parameter(flatten(self.parameters))
        self.vector.grad = torch.zeros_like(self.vector)
        self._gradients = views(self.vector.grad, self.parameters)
        for parameter, gradient in zip(self.parameters, self._gradients, strict=True):
            parameter.grad = gradient

    def set_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Hand the gradients to the optimizer; a parameter that the loss does not reach has 0."""
        if not self.parameters:
            return
        reached = [
            (place, g) for place, g in zip(self._gradients, gradients, strict=True) if g is not None
        ]
        if len(reached) < len(gradients) and self.vector.grad is not None:
            self.vector.grad.zero_()
        if reached:
            torch._foreach_copy_([place for place, _ in reached], [g for _, g in reached])

    def release(self) -> None:
        """Give each parameter memory of its own again."""
        for parameter in self.parameters:
            parameter.grad = None
            parameter.data = parameter.data.clone(memory_format=torch.preserve_format)
