"""Random changes to image batches that keep the label, on the device.

Each is a module that maps ``(n, channels, height, width)`` floats in [0, 1] to the same shape, with
new random numbers for every image from torch's global generator. Chain them with
``torch.nn.Sequential``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def per_image(x: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """A uniform number for each image, ``(n, 1, 1, 1)``."""
    return torch.empty(len(x), 1, 1, 1, device=x.device, dtype=x.dtype).uniform_(low, high)


class RandomAffine(nn.Module):
    """Rotation, zoom, stretch, shear and shift, each uniform around none.

    Parameters
    ----------
    degrees : float
        Greatest rotation.
    zoom : float
        Greatest natural logarithm of the scale.
    stretch : float
        The same for each axis on its own.
    shear : float
        Greatest shear, as a tangent.
    shift : float
        Greatest shift, as a fraction of the side.
    """

    def __init__(
        self,
        degrees: float = 15.0,
        zoom: float = 0.25,
        stretch: float = 0.1,
        shear: float = 0.2,
        shift: float = 0.08,
    ) -> None:
        super().__init__()
        self.degrees, self.zoom, self.stretch = degrees, zoom, stretch
        self.shear, self.shift = shear, shift

    def forward(self, x: Tensor) -> Tensor:
        draw = torch.empty(7, len(x), device=x.device).uniform_(-1.0, 1.0)
        angle = draw[0] * math.radians(self.degrees)
        cos, sin, shear = angle.cos(), angle.sin(), draw[4] * self.shear
        # Where each output pixel is read: scale * rotation * shear, then the shift.
        width = torch.exp(draw[1] * self.zoom + draw[2] * self.stretch)
        height = torch.exp(draw[1] * self.zoom + draw[3] * self.stretch)
        first = [width * cos, width * (shear * cos - sin), 2.0 * self.shift * draw[5]]
        second = [height * sin, height * (shear * sin + cos), 2.0 * self.shift * draw[6]]
        matrix = torch.stack([torch.stack(first, 1), torch.stack(second, 1)], 1)
        grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False)

    def extra_repr(self) -> str:
        return (
            f"degrees={self.degrees}, zoom={self.zoom}, stretch={self.stretch}, "
            f"shear={self.shear}, shift={self.shift}"
        )


class RandomThickness(nn.Module):
    """Strokes thicker, thinner or softer: a blend with the 3x3 maximum, minimum or mean.

    Parameters
    ----------
    p : float
        Chance that an image is changed; by how much is uniform.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        # Separable, by shifts: the pooling kernels are ten times slower on CPUs.
        columns = padded[..., :-2], padded[..., 1:-1], padded[..., 2:]
        changed = []
        for combine in (torch.maximum, torch.minimum, torch.add):
            rows = combine(combine(columns[0], columns[1]), columns[2])
            changed.append(
                combine(combine(rows[..., :-2, :], rows[..., 1:-1, :]), rows[..., 2:, :])
            )
        changed[2] = changed[2] / 9.0
        kind = torch.randint(3, (len(x), 1, 1, 1), device=x.device)
        other = torch.where(kind == 0, changed[0], torch.where(kind == 1, changed[1], changed[2]))
        amount = per_image(x) * (per_image(x) < self.p)
        return torch.lerp(x, other, amount)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class RandomTexture(nn.Module):
    """The absolute difference from a smooth random field, of a random strength.

    The field is a random mixture of uniform noise on coarse to fine grids, gray to fully colored,
    stretched to a random part of [0, 1]: a stand-in for any background.

    Parameters
    ----------
    p : float
        Chance that an image is changed.
    grids : tuple of int
        Cells along a side, for each scale of the noise.
    """

    def __init__(self, p: float = 0.8, grids: tuple[int, ...] = (2, 5, 12)) -> None:
        super().__init__()
        self.p, self.grids = p, tuple(grids)

    def forward(self, x: Tensor) -> Tensor:
        strength = per_image(x) * (per_image(x) < self.p)
        return (x - strength * self.field(x)).abs()

    def field(self, x: Tensor) -> Tensor:
        """A random field in [0, 1] of the shape of ``x``."""
        color = per_image(x)
        field = torch.zeros_like(x)
        for cells in self.grids:
            noise = torch.rand(*x.shape[:2], cells, cells, device=x.device, dtype=x.dtype)
            noise = torch.lerp(noise[:, :1].expand_as(noise), noise, color)
            field += per_image(x) * F.interpolate(
                noise, x.shape[2:], mode="bilinear", align_corners=False
            )
        low, high = field.amin((1, 2, 3), keepdim=True), field.amax((1, 2, 3), keepdim=True)
        span = per_image(x, 0.2, 1.0)
        return (field - low) / (high - low + 1e-4) * span + per_image(x) * (1.0 - span)

    def extra_repr(self) -> str:
        return f"p={self.p}, grids={self.grids}"


class RandomInvert(nn.Module):
    """``1 - x`` for some images.

    Parameters
    ----------
    p : float
        Chance that an image is inverted.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(per_image(x) < self.p, 1.0 - x, x)

    def extra_repr(self) -> str:
        return f"p={self.p}"
