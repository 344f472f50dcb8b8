import pytest
import torch
from torch import nn

from repkit.infogan.networks import PairFeatures, code_head
from repkit.nets.trunks import hidden_layer

from ..networks import reached, rows_are_apart

pytestmark = pytest.mark.usefixtures("seeded")


@pytest.mark.parametrize("norm", [True, False])
def test_the_head_of_the_codes(norm):
    head = code_head(8, 3, norm=norm, n_hidden=7)
    network, x = nn.Sequential(hidden_layer((4,), 8), head), torch.randn(6, 4)
    out = network(x)
    assert out.shape == (6, 3)
    assert reached(out, network)
    assert rows_are_apart(network, x) != norm


@pytest.mark.parametrize("shape", [(4, 4), (3, 8, 6), (1, 28, 28), (3, 3), (2, 3, 9), (5,)])
def test_pair_features(shape):
    network = PairFeatures(shape, 32, 4)
    x, other = torch.rand(3, *shape), torch.rand(3, *shape)
    out = network(x, other)
    assert out.shape == (3, 4)
    assert reached(out, network)
    assert rows_are_apart(network, x, other)
    assert not torch.allclose(network(other, x), out)
    for moved in (network(x, other.roll(1, 0)), network(x.roll(1, 0), other)):
        assert not torch.allclose(moved, out)
