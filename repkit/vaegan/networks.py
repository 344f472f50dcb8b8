"""Internal. The discriminator that shows a hidden layer."""

from __future__ import annotations

from torch import Tensor, nn

from repkit.nets.trunks import LEAK


class FeatureDiscriminator(nn.Module):
    """Judges samples, and shows the hidden layer D_l in which they can be compared.

    Parameters
    ----------
    body : nn.Module
        ``x -> (n, width)``, up to D_l.
    width : int
        Outputs of the body.
    n_hidden : int
        Outputs of the first of two linear layers that follow.
    dim_out : int
        Number of logits.
    """

    def __init__(self, body: nn.Module, width: int, n_hidden: int, dim_out: int) -> None:
        super().__init__()
        self.body = body
        self.judge = nn.Sequential(
            nn.Linear(width, n_hidden), nn.LeakyReLU(LEAK), nn.Linear(n_hidden, dim_out)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """D_l, ``(n, width)``, and logits, ``(n, dim_out)``."""
        hidden = self.body(x)
        return hidden, self.judge(hidden)
