"""Internal. The discriminator of pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repkit.nets.trunks import LEAK


class PairDiscriminator(nn.Module):
    """Judges pairs (x, z): a greater logit says that x is the real half.

    The outputs of a trunk on x are mapped to a hidden layer, to which a linear map of z is added
    before batch norm: z enters as a bias that depends on the pair (Donahue et al. 2017). That batch
    norm, over real and over generated pairs apart (a call each), tied E to G in short trials on
    8x8 digits, where networks without it gave samples as good and an encoder linked to nothing.

    Parameters
    ----------
    trunk : nn.Module
        ``x -> (n, width)``.
    width : int
    latent_dim : int
    n_hidden : int
    unary : bool, default=False
        Two more columns: judgments of x alone and of z alone (Donahue and Simonyan 2019).
    """

    def __init__(
        self, trunk: nn.Module, width: int, latent_dim: int, n_hidden: int, unary: bool = False
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.from_x = nn.Linear(width, n_hidden, bias=False)
        self.from_z = nn.Linear(latent_dim, n_hidden, bias=False)
        self.joint = nn.Sequential(
            nn.BatchNorm1d(n_hidden), nn.LeakyReLU(LEAK), nn.Linear(n_hidden, 1)
        )
        self.judge_x = nn.Linear(width, 1) if unary else None
        self.judge_z = (
            nn.Sequential(
                nn.Linear(latent_dim, n_hidden), nn.LeakyReLU(LEAK), nn.Linear(n_hidden, 1)
            )
            if unary
            else None
        )

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Logits of shape (n, 1), or (n, 3): joint, of x, of z."""
        f = self.trunk(x)
        logits = [self.joint(self.from_x(f) + self.from_z(z))]
        if self.judge_x is not None and self.judge_z is not None:
            logits += [self.judge_x(f), self.judge_z(z)]
        return torch.cat(logits, 1)
