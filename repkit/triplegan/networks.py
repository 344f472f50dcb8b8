"""Internal. The discriminator of samples with every class."""

from __future__ import annotations

from torch import Tensor, nn


class ProjectionDiscriminator(nn.Module):
    """Judges the pairs of a sample with every class at once.

    ``l(x, k) = v_k . h(x) + psi(h(x))`` (Miyato and Koyama 2018, equation 3): one pass for all k.

    Parameters
    ----------
    body : nn.Module
        h, ``x -> (n, width)``.
    width, n_classes : int
    """

    def __init__(self, body: nn.Module, width: int, n_classes: int) -> None:
        super().__init__()
        self.body = body
        self.psi = nn.Linear(width, 1)
        self.v = nn.Linear(width, n_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pairs, ``(n, classes)``."""
        h = self.body(x)
        return self.psi(h) + self.v(h)
