"""Networks over padded utterances: each reads as if it were alone, whatever the batch.

Encoders take frames ``x`` (n, T, D), zero beyond ``length`` (n,), and give a row each. A body maps
frames and their mask ``(n, T, 1)`` to as many rows of features; what it gives beyond an end is
not read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.nets.build import Spec, build

HEADS = 4  # of the transformer


def inside(length: Tensor, time: int) -> Tensor:
    """1 for the frames of each utterance, 0 beyond: ``(n,) -> (n, time, 1)``."""
    steps = torch.arange(time, device=length.device)
    return (steps < length[:, None]).float()[..., None]


def joined(x: Tensor, length: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Each n frames side by side, ``(rows, ceil(T / n), n D)``, zeros at the end."""
    rows, time, width = x.shape
    x = F.pad(x, (0, 0, 0, -time % n))
    return x.reshape(rows, -1, n * width), (length + n - 1) // n


def near(place: Tensor, n: int) -> Tensor:
    """Weights of n points for places in [0, n - 1]: linear between the two next ones."""
    return (1.0 - (place[..., None] - torch.arange(n, device=place.device)).abs()).clamp_min(0.0)


def parts(h: Tensor, mask: Tensor, n: int) -> Tensor:
    """Means over n overlapping parts of equal share of the time: ``(rows, T, C) -> (rows, n, C)``.

    A frame counts for the two parts whose middles it lies between, by its nearness.
    """
    length = mask.sum(1)
    steps = torch.arange(h.shape[1], device=h.device)
    place = ((steps + 0.5) / length * n - 0.5).clamp(0.0, n - 1.0)
    weight = near(place, n) * mask
    weight = weight / weight.sum(1, keepdim=True).clamp_min(1e-4)
    return torch.einsum("btn,btc->bnc", weight, h.float())


def mean_deviation(h: Tensor, mask: Tensor) -> Tensor:
    """Mean and standard deviation over time: ``(rows, T, C) -> (rows, 2 C)``."""
    h, count = h.float(), mask.sum(1)
    mean = (h * mask).sum(1) / count
    variance = ((h - mean[:, None]).square() * mask).sum(1) / count
    return torch.cat([mean, (variance + 1e-5).sqrt()], 1)


def slices(dim: int, n: int) -> list[slice]:
    """A row of dim numbers cut into n slices, as equal as can be."""
    edges = [dim * k // n for k in range(n + 1)] if n else []
    return [slice(low, high) for low, high in pairwise(edges)]


def centered(x: Tensor, mask: Tensor) -> Tensor:
    """Each column to mean 0 and about unit deviation within its utterance; zero beyond the end."""
    count = mask.sum(1, keepdim=True)
    x = (x - (x * mask).sum(1, keepdim=True) / count) * mask
    # A column that hardly varies is not blown up.
    return x / (x.square().sum(1, keepdim=True) / count + 0.1).sqrt()


class Block(nn.Module):
    """Convolution over time, layer norm and GELU, added to the input where the widths agree."""

    def __init__(self, n_in: int, n_out: int, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2)
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


BODIES: dict[str, Callable[..., nn.Module]] = {
    "conv": Convolutions,
    "gru": Recurrence,
    "transformer": Transformer,
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


class Encoder(nn.Module):
    """A body over joined frames, pooled over time, and a linear layer.

    Parameters
    ----------
    body : nn.Module
    width : int
        Of what it gives.
    dim_out : int
    stack : int
        Frames joined to one.
    segments : int
        Pooling over so many `parts`, each of which has its own slice of the row (`slices`); 0:
        `mean_deviation` of the whole.
    last : nn.Module
        What the rows go through at the end.
    instance_norm : bool
        Give each column mean 0 and deviation 1 within the utterance first (Chou et al. 2019).
    """

    def __init__(
        self,
        body: nn.Module,
        width: int,
        dim_out: int,
        stack: int,
        segments: int,
        last: nn.Module,
        instance_norm: bool = False,
    ) -> None:
        super().__init__()
        self.body, self.stack, self.segments = body, stack, segments
        self.instance_norm = instance_norm
        sizes = [(width, part.stop - part.start) for part in slices(dim_out, segments)]
        self.linear = nn.ModuleList(nn.Linear(*s) for s in sizes or [(2 * width, dim_out)])
        self.last = last

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        if self.instance_norm:
            x = centered(x, inside(length, x.shape[1]))
        x, length = joined(x, length, self.stack)
        mask = inside(length, x.shape[1])
        h = self.body(x, mask)
        # Beyond an end there may be anything: zero, lest a NaN of a body outlive its weight of 0.
        h = torch.where(mask > 0, h, 0.0)
        pooled = (
            parts(h, mask, self.segments) if self.segments else mean_deviation(h, mask)[:, None]
        )
        rows = [linear(pooled[:, k]) for k, linear in enumerate(self.linear)]
        out: Tensor = self.last(torch.cat(rows, 1))
        return out


class Unit(nn.Module):
    """Rows of length 1."""

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x.float(), dim=1)


class Decoder(nn.Module):
    """``(p, s, length, T) -> (n, T, D)``: all frames at once, from vectors and their place in time.

    The vectors and the logarithm of the length are mapped to points that are evenly spread over the
    utterance; between them features are interpolated, and convolutions follow.
    """

    def __init__(
        self,
        phonetic_dim: int,
        speaker_dim: int,
        n_features: int,
        width: int,
        stack: int,
        *,
        points: int = 8,
        harmonics: int = 4,
        layers: int = 2,
    ) -> None:
        super().__init__()
        self.n_features, self.stack, self.points = n_features, stack, points
        self.harmonics, self.width = harmonics, width
        self.course = nn.Linear(phonetic_dim + speaker_dim + 1, points * width)
        self.voice = nn.Linear(speaker_dim, width)
        self.place = nn.Linear(1 + 2 * harmonics, width)
        self.blocks = Convolutions(width, width, layers, kernel=5)
        self.out = nn.Linear(width, stack * n_features)

    def forward(self, p: Tensor, s: Tensor, length: Tensor, time: int) -> Tensor:
        steps, ends = -(-time // self.stack), (length + self.stack - 1) // self.stack
        size = torch.log(length[:, None] / 50.0)
        course = self.course(torch.cat([p, s, size], 1)).view(-1, self.points, self.width)
        clock = torch.arange(steps, device=p.device)
        relative = ((clock + 0.5) / ends[:, None]).clamp(0.0, 1.0)
        weight = near((relative * self.points - 0.5).clamp(0.0, self.points - 1.0), self.points)
        octaves = math.pi * 2.0 ** torch.arange(self.harmonics, device=p.device)
        angles = relative[..., None] * octaves
        place = torch.cat([relative[..., None], angles.sin(), angles.cos()], 2)
        h = torch.einsum("btn,bnc->btc", weight, course) + self.voice(s)[:, None]
        h = self.blocks(F.gelu(h + self.place(place)), inside(ends, steps))
        return self.out(h).reshape(len(p), -1, self.n_features)[:, :time]


class Prototypes(nn.Module):
    """Cosines of slices of rows with learned directions.

    Parameters
    ----------
    heads : sequence of (slice, int)
        Each a slice and the number of its directions.
    """

    def __init__(self, heads: Sequence[tuple[slice, int]]) -> None:
        super().__init__()
        self.slices = [part for part, _ in heads]
        self.directions = nn.ParameterList(torch.randn(k, s.stop - s.start) for s, k in heads)

    def forward(self, x: Tensor) -> list[Tensor]:
        units = [F.normalize(x[:, part].float(), dim=1) for part in self.slices]
        return [
            unit @ F.normalize(d, dim=1).T for unit, d in zip(units, self.directions, strict=True)
        ]

    def quantized(self, x: Tensor, temperature: float) -> Tensor:
        """Rows softly replaced by the directions next to them, a mean over heads of whole rows.

        The squares of what comes out add up to the row's width, or less, as after batch norm.

        Raises
        ------
        ValueError
            If there is no such head.
        """
        whole = [d for d in self.directions if d.shape[1] == x.shape[1]]
        if not whole:
            raise ValueError(
                "quantize needs prototypes of whole vectors, and the model was fitted without: fit "
                "it again with prototypes=(20, 40), say, or set quantize=None"
            )
        unit, out = F.normalize(x.float(), dim=1), torch.zeros_like(x, dtype=torch.float32)
        for directions in whole:
            directions = F.normalize(directions, dim=1)
            out = out + F.softmax(unit @ directions.T / temperature, 1) @ directions
        return out * (math.sqrt(x.shape[1]) / len(whole))


def critic(n_in: int, n_out: int, width: int = 128) -> nn.Module:
    """The adversary: two hidden layers."""
    return nn.Sequential(
        nn.Linear(n_in, width),
        nn.LeakyReLU(0.1),
        nn.Linear(width, width),
        nn.LeakyReLU(0.1),
        nn.Linear(width, n_out),
    )
