"""Bodies from frames to features: by name, or of one's own."""

import pytest
import torch
from torch import nn

from repkit.speech.bodies import BODIES, build_body, inside

D = 6


def test_inside():
    assert inside(torch.tensor([1, 3]), 3)[..., 0].tolist() == [[1, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("name", BODIES)
def test_a_row_of_features_for_every_frame(name):
    body, width = build_body(name, D, 24)
    assert width == 24
    mask = inside(torch.tensor([5, 3]), 5)
    assert body(torch.randn(2, 5, D) * mask, mask).shape == (2, 5, 24)


class Own(nn.Module):
    def __init__(self, n_in, width):
        super().__init__()
        self.linear = nn.Linear(n_in, 5)

    def forward(self, x, mask):
        return self.linear(x)


def test_bodies_of_ones_own():
    assert build_body(Own, D, 24)[1] == 5
    given = Own(D, 24)
    body, width = build_body(given, D, 24)
    assert width == 5
    assert body is not given
    with pytest.raises(ValueError, match=r"encoder does not take frames of shape \(n, T, 7\)"):
        build_body(given, 7, 24)
    with pytest.raises(ValueError, match=r"it gave \(2, 5\)"):
        build_body(lambda *_: Pooled(D, 24), D, 24)
    with pytest.raises(ValueError, match="encoder='lstm' is not known"):
        build_body("lstm", D, 24)


class Pooled(Own):
    def forward(self, x, mask):
        return self.linear(x).mean(1)
