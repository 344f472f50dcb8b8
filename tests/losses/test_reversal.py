import pytest
import torch
from torch import nn

from repkit.losses import (
    GradientReversal,
    reverse,
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("tensor", [False, True])
def test_reverse(dtype, lam, tensor):
    x = torch.arange(6.0, dtype=dtype).view(2, 3).requires_grad_()
    factor = torch.tensor(lam, requires_grad=True) if tensor else lam
    out = reverse(x, factor)
    assert torch.equal(out, x)
    assert out.dtype == dtype
    weight = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]], dtype=dtype)
    (out * weight).sum().backward()
    assert x.grad.dtype == dtype
    torch.testing.assert_close(x.grad, -lam * weight)
    if tensor:
        assert factor.grad is None


def test_reverse_by_default_is_minus_the_gradient():
    x = torch.ones(3, requires_grad=True)
    reverse(x).sum().backward()
    assert x.grad.tolist() == [-1, -1, -1]


def test_the_layer():
    layer = GradientReversal(0.5)
    net = nn.Sequential(nn.Linear(2, 2), layer)
    assert "1.lam" in net.state_dict()
    x = torch.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.tolist() == [[-0.5, -0.5]]
    layer.lam.fill_(2)
    x.grad = None
    layer(x).sum().backward()
    assert x.grad.tolist() == [[-2, -2]]
