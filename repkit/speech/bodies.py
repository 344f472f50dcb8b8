"""Internal. Bodies of the networks of speech: from frames to features, one row each.

A body maps padded frames ``(n, T, D)``, zero beyond their ends, and their mask ``(n, T, 1)`` to
features ``(n, T, C)``. Each utterance is read as if it were alone; what a body gives beyond an end
is not read. The names of bodies are values of ``encoder``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.nets.build import Spec, build
from repkit.nets.convolutions import Conv1d

HEADS = 4  # of the transformer


def inside(length: Tensor, time: int) -> Tensor:
    """1 for the frames of each utterance, 0 beyond: ``(n,) -> (n, time, 1)``."""
    steps = torch.arange(time, device=length.device)
    return (steps < length[:, None]).float()[..., None]


class Block(nn.Module):
    """Convolution over time, layer norm and GELU, added to the input where the widths agree."""

    def __init__(self, n_in: int, n_out: int, kernel: int) -> None:
        super().__init__()
        self.convolution = Conv1d(n_in, n_out, kernel, padding=kernel // 2)
        self.norm = nn.LayerNorm(n_out)
        self.residual = n_in == n_out

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        # Biases and norms have filled the padding, which the convolution would read.
        h = self.convolution((x * mask).transpose(1, 2)).transpose(1, 2)
        h = F.gelu(self.norm(h))
        return x + h if self.residual else h


class Convolutions(nn.Module):
    """A stack of `Block`."""

    def __init__(self, n_in: int, width: int, layers: int = 3, kernel: int = 3) -> None:
        super().__init__()
        widths = [n_in] + [width] * layers
        self.blocks = nn.ModuleList(Block(a, b, kernel) for a, b in pairwise(widths))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, mask)
        return x


class Recurrence(nn.Module):
    """A GRU forwards and one backwards, of half the width each (Chen et al. 2018).

    The backward one reads each utterance turned around within its own length: padding then comes
    last for both, and no length has to be known on the host, as packing would have it.
    """

    def __init__(self, n_in: int, width: int) -> None:
        super().__init__()
        self.onward = nn.GRU(n_in, width // 2, batch_first=True)
        self.backward = nn.GRU(n_in, width // 2, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        steps = torch.arange(x.shape[1], device=x.device)
        length = mask.sum(1).long()
        turned = torch.where(steps < length, length - 1 - steps, steps)[..., None]

        def turn(h: Tensor) -> Tensor:
            return h.gather(1, turned.expand(-1, -1, h.shape[2]))

        return torch.cat([self.onward(x)[0], turn(self.backward(turn(x))[0])], 2)


class Transformer(nn.Module):
    """A linear layer, sines of the frame's number, and pre-norm layers (Xiong et al. 2020)."""

    def __init__(self, n_in: int, width: int, layers: int = 2) -> None:
        super().__init__()
        self.entry = nn.Linear(n_in, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, HEADS, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = self.entry(x)
        steps = torch.arange(x.shape[1], device=x.device)[:, None]
        rates = 1000.0 ** -torch.linspace(0, 1, h.shape[2] // 2, device=x.device)
        h = h + torch.cat([(steps * rates).sin(), (steps * rates).cos()], 1)
        beyond = mask[..., 0] == 0
        for layer in self.layers:
            h = layer(h, src_key_padding_mask=beyond)
        return self.norm(h)


class Alone(nn.Module):
    """Layers that read each of the joined frames by itself, and a linear one beside them."""

    def __init__(self, n_in: int, width: int) -> None:
        super().__init__()
        self.blocks = Convolutions(n_in, width, 2, kernel=1)
        self.linear = nn.Linear(n_in, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        out: Tensor = self.blocks(x, mask) + self.linear(x)
        return out


BODIES: dict[str, Callable[..., nn.Module]] = {
    "conv": Convolutions,
    "gru": Recurrence,
    "transformer": Transformer,
    "mlp": Alone,
}


def build_body(spec: Spec, n_in: int, width: int) -> tuple[nn.Module, int]:
    """The body that ``encoder`` stands for, and the width of what it gives.

    Raises
    ------
    ValueError, TypeError
        If it is none, or does not map ``(n, T, n_in)`` and a mask ``(n, T, 1)`` to ``(n, T, C)``.
    """
    body = build(spec, n_in, width, name="encoder", named=BODIES)
    if isinstance(spec, str):
        return body, width
    weight = next(body.parameters(), torch.empty(0))
    try:
        with torch.no_grad():
            x = torch.zeros(2, 3, n_in, device=weight.device)
            out: Any = body(x, torch.ones(2, 3, 1, device=weight.device))
    except Exception as error:
        raise ValueError(
            f"encoder does not take frames of shape (n, T, {n_in}) and a mask (n, T, 1): {error}"
        ) from error
    if not isinstance(out, Tensor) or out.ndim != 3 or out.shape[:2] != (2, 3):
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(
            f"encoder must give a row for every frame, (n, T, C); for 2 utterances of 3 frames it "
            f"gave {shape}"
        )
    return body, out.shape[2]
