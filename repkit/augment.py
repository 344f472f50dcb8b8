"""Random changes to batches of images that keep the label, on the device.

Each is a module that maps floats (n, channels, height, width) in [0, 1] to the same shape. Every
image gets its own random numbers, from torch's global generator. Chain the modules with
``torch.nn.Sequential``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit._arguments import integer, number, shown

__all__ = ["RandomAffine", "RandomInvert", "RandomMasks", "RandomTexture", "RandomThickness"]


def _per_image(x: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw a uniform number for each image, (n, 1, 1, 1)."""
    return torch.empty(len(x), 1, 1, 1, device=x.device, dtype=x.dtype).uniform_(low, high)


class _Images(nn.Module):
    """Base of changes to a batch of images, with or without a channel axis."""

    def forward(self, x: Tensor) -> Tensor:
        """Change a batch of images.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width) or (n, height, width)
            Images in [0, 1].

        Returns
        -------
        Tensor of the same shape
            Changed images.

        Raises
        ------
        ValueError
            If it is of another shape.
        """
        if not isinstance(x, Tensor) or not x.is_floating_point():
            found = f"of {x.dtype}" if isinstance(x, Tensor) else shown(x)
            raise TypeError(f"x must be a float tensor of images, not {found}")
        if x.ndim == 3:
            return self._changed(x[:, None])[:, 0]
        if x.ndim != 4:
            raise ValueError(
                "x must be images (n, channels, height, width) or (n, height, width), not of shape "
                f"{tuple(x.shape)}"
            )
        return self._changed(x)

    def _changed(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class RandomAffine(_Images):
    """Rotate, zoom, stretch, shear and shift images, each by a uniform amount around none.

    Parameters
    ----------
    degrees : float, default=15.0
        Greatest rotation, in degrees.
    zoom : float, default=0.25
        Greatest natural logarithm of the scale, common to both axes.
    stretch : float, default=0.1
        Greatest natural logarithm of a further scale, drawn for each axis.
    shear : float, default=0.2
        Greatest shear, as the tangent of its angle.
    shift : float, default=0.08
        Greatest shift along each axis, as a fraction of the side.

    Examples
    --------
    >>> RandomAffine(degrees=5.0)(torch.rand(4, 1, 28, 28)).shape
    torch.Size([4, 1, 28, 28])
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
        self.degrees, self.zoom = number(degrees, "degrees"), number(zoom, "zoom", 0.0, 10.0)
        self.stretch, self.shear = number(stretch, "stretch", 0.0, 10.0), number(shear, "shear")
        self.shift = number(shift, "shift")

    def _changed(self, x: Tensor) -> Tensor:
        draw = torch.empty(7, len(x), device=x.device).uniform_(-1.0, 1.0)
        angle = draw[0] * math.radians(self.degrees)
        cos, sin, shear = angle.cos(), angle.sin(), draw[4] * self.shear
        # Where each output pixel is read: scale * rotation * shear, then the shift.
        width = torch.exp(draw[1] * self.zoom + draw[2] * self.stretch)
        height = torch.exp(draw[1] * self.zoom + draw[3] * self.stretch)
        # In coordinates from -1 to 1 along each side, which differ in length.
        aspect = x.shape[2] / x.shape[3]
        first = [width * cos, width * (shear * cos - sin) * aspect, 2.0 * self.shift * draw[5]]
        second = [height * sin / aspect, height * (shear * sin + cos), 2.0 * self.shift * draw[6]]
        matrix = torch.stack([torch.stack(first, 1), torch.stack(second, 1)], 1)
        grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False)

    def extra_repr(self) -> str:
        """Name the parameters in the module's ``repr``.

        Returns
        -------
        text : str
            The parameters and their values.
        """
        return (
            f"degrees={self.degrees}, zoom={self.zoom}, stretch={self.stretch}, "
            f"shear={self.shear}, shift={self.shift}"
        )


class RandomThickness(_Images):
    """Make strokes thicker, thinner or softer: blend with the 3x3 maximum, minimum or mean.

    Parameters
    ----------
    p : float, default=0.5
        Chance that an image is changed. The strength of the change is uniform in [0, 1].
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = number(p, "p", 0.0, 1.0)

    def _changed(self, x: Tensor) -> Tensor:
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
        amount = _per_image(x) * (_per_image(x) < self.p)
        return torch.lerp(x, other, amount)

    def extra_repr(self) -> str:
        """Name the parameters in the module's ``repr``.

        Returns
        -------
        text : str
            The parameters and their values.
        """
        return f"p={self.p}"


class RandomTexture(_Images):
    """Replace images by their absolute difference from a smooth random field.

    This is how MNIST-M blends digits into photographs (Ganin et al. 2016, section 5.2.4). The
    field, a stand-in for any background, is a random mixture of uniform noise on coarse to fine
    grids, gray to fully colored, stretched to a random part of [0, 1]. Its strength is random.

    Parameters
    ----------
    p : float, default=0.8
        Chance that an image is changed.
    grids : tuple of int, default=(2, 5, 12)
        Cells along a side, for each scale of the noise.
    """

    def __init__(self, p: float = 0.8, grids: tuple[int, ...] = (2, 5, 12)) -> None:
        super().__init__()
        several = isinstance(grids, list | tuple) and len(grids) > 0
        if not several:
            raise TypeError(f"grids must be a tuple of integers, not {shown(grids)}")
        self.p = number(p, "p", 0.0, 1.0)
        self.grids = tuple(integer(n, f"grids[{k}]", 1, 1024) for k, n in enumerate(grids))

    def _changed(self, x: Tensor) -> Tensor:
        strength = _per_image(x) * (_per_image(x) < self.p)
        return (x - strength * self.field(x)).abs()

    def field(self, x: Tensor) -> Tensor:
        """Draw the random fields of a batch.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Images that give the shape, device and dtype.

        Returns
        -------
        field : Tensor of shape (n, channels, height, width)
            A field in [0, 1] for each image.
        """
        color = _per_image(x)
        field = torch.zeros_like(x)
        for cells in self.grids:
            noise = torch.rand(*x.shape[:2], cells, cells, device=x.device, dtype=x.dtype)
            noise = torch.lerp(noise[:, :1].expand_as(noise), noise, color)
            field += _per_image(x) * F.interpolate(
                noise, x.shape[2:], mode="bilinear", align_corners=False
            )
        low, high = field.amin((1, 2, 3), keepdim=True), field.amax((1, 2, 3), keepdim=True)
        span = _per_image(x, 0.2, 1.0)
        return (field - low) / (high - low + 1e-4) * span + _per_image(x) * (1.0 - span)

    def extra_repr(self) -> str:
        """Name the parameters in the module's ``repr``.

        Returns
        -------
        text : str
            The parameters and their values.
        """
        return f"p={self.p}, grids={self.grids}"


class RandomInvert(_Images):
    """Invert some images: ``1 - x``.

    Parameters
    ----------
    p : float, default=0.5
        Chance that an image is inverted.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = number(p, "p", 0.0, 1.0)

    def _changed(self, x: Tensor) -> Tensor:
        return torch.where(_per_image(x) < self.p, 1.0 - x, x)

    def extra_repr(self) -> str:
        """Name the parameters in the module's ``repr``.

        Returns
        -------
        text : str
            The parameters and their values.
        """
        return f"p={self.p}"


class RandomMasks(_Images):
    """Set a band of rows and a band of columns of every image to 0 (SpecAugment, Park et al. 2019).

    Of standardized log-mel pictures 0 is the mean.

    Parameters
    ----------
    rows, columns : float, default=0.25
        Greatest width of each band, as a share of the side. All widths up to it are equally
        likely, none among them.

    Examples
    --------
    >>> masked = RandomMasks(rows=0.5, columns=0.0)(torch.ones(1, 1, 40, 48))
    >>> bool(masked.sum() >= 20 * 48)
    True
    """

    def __init__(self, rows: float = 0.25, columns: float = 0.25) -> None:
        super().__init__()
        self.rows, self.columns = (
            number(rows, "rows", 0.0, 1.0),
            number(columns, "columns", 0.0, 1.0),
        )

    def _changed(self, x: Tensor) -> Tensor:
        for axis, most in ((2, self.rows), (3, self.columns)):
            size = x.shape[axis]
            # Whole numbers: all widths alike, and all places where a band of that width fits.
            width = torch.floor(_per_image(x) * (round(most * size) + 1))
            start = torch.floor(_per_image(x) * (size - width + 1))
            shape = [1, 1, 1, 1]
            shape[axis] = size
            place = torch.arange(size, device=x.device).view(shape)
            x = x.masked_fill((place >= start) & (place < start + width), 0.0)
        return x

    def extra_repr(self) -> str:
        """Name the parameters in the module's ``repr``.

        Returns
        -------
        text : str
            The parameters and their values.
        """
        return f"rows={self.rows}, columns={self.columns}"
