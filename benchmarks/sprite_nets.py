"""Networks for sprites: a generator that draws a small picture and puts it somewhere."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CANVAS = 20  # side of the picture that is put down
GRID = 32  # side of the image before it is doubled
PAPER = 6.0  # minus this is the logit of an empty pixel


class StampGenerator(nn.Module):
    """A picture drawn from all latents, set down with a pose that is linear in them.

    The pose (shift along x and y, logarithm of the size, angle) is carried out by a spatial
    transformer (Jaderberg et al. 2015). Uniform codes, and a pose that must be uniform to look
    real, then meet best one to one, since a sum of uniform numbers is not uniform. Nothing says
    which code is which. It is a strong assumption, good for one object on an empty ground.

    Parameters
    ----------
    latent_dim : int
    shape_out : tuple of int
        (64, 64), or with a channel in front.
    """

    def __init__(self, latent_dim: int, shape_out: tuple[int, ...]) -> None:
        super().__init__()
        if tuple(shape_out[-2:]) != (2 * GRID, 2 * GRID):
            raise ValueError(f"StampGenerator makes images of 64x64, not {shape_out}")
        self.shape = tuple(shape_out)
        self.draw = nn.Sequential(
            nn.Linear(latent_dim, 128),
            nn.BatchNorm1d(128),
            nn.ReLU(),
            nn.Linear(128, 128),
            nn.BatchNorm1d(128),
            nn.ReLU(),
            nn.Linear(128, CANVAS**2),
        )
        self.pose = nn.Linear(latent_dim, 4)
        with torch.no_grad():
            # At first a soft disc, anywhere.
            axis = (torch.arange(CANVAS) + 0.5) / CANVAS * 2.0 - 1.0
            radius = torch.hypot(axis[:, None], axis[None, :])
            self.draw[-1].bias.copy_((8.0 * (0.6 - radius)).flatten())
            self.pose.weight.normal_(0.0, 0.16)
            self.pose.weight[3] *= 3.0
            self.pose.bias.zero_()

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            picture = self.draw(z).view(-1, 1, CANVAS, CANVAS).clamp(-10.0, 10.0) + PAPER
            x, y, size, angle = self.pose(z).unbind(1)
            # From places in the image to places in the picture: the inverse of the pose.
            scale = 2.0 * torch.exp(-size)
            cos, sin = scale * angle.cos(), scale * angle.sin()
            first = torch.stack([cos, sin, -(cos * x + sin * y)], 1)
            second = torch.stack([-sin, cos, -(cos * y - sin * x)], 1)
            matrix = torch.stack([first, second], 1)
            grid = F.affine_grid(matrix, [len(z), 1, GRID, GRID], align_corners=False)
            image = F.grid_sample(picture, grid, align_corners=False) - PAPER
            image = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
            return image.reshape(len(z), *self.shape)


class PlacedFeatures(nn.Module):
    """Narrow convolutions on 64 px images, halved first, with two channels that say where.

    The coordinates are those of Liu et al. 2018 (CoordConv).
    """

    where: Tensor

    def __init__(self, shape_in: tuple[int, ...], n_features: int) -> None:
        super().__init__()
        side = shape_in[-1] // 2
        axis = (torch.arange(side) + 0.5) / side * 2.0 - 1.0
        self.register_buffer("where", torch.stack(torch.meshgrid(axis, axis, indexing="xy"))[None])
        widths = (1 + 2, 16, 32, 64)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.last = nn.Linear(64 * (side // 8) ** 2, n_features)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(x.reshape(len(x), 1, *x.shape[-2:]), 2)
        x = torch.cat([x, self.where.expand(len(x), -1, -1, -1).to(x.dtype)], 1)
        x = x.contiguous(memory_format=torch.channels_last)
        return F.leaky_relu(self.last(self.layers(x)), 0.2)


def hold_then_fall(progress: float) -> float:
    """The learning rate whole for 70 % of the steps, then straight down to a fiftieth."""
    return min(1.0, max(0.02, (1.0 - progress) / 0.3))
