"""Adam on a vector against torch's."""

import pytest
import torch
from torch import nn

from repkit.engine.optim import Adam


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_equals_torchs_fused_adamw(weight_decay):
    torch.manual_seed(0)
    start = torch.randn(101)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    a = Adam([ours], 1e-2, weight_decay=weight_decay)
    b = torch.optim.AdamW([theirs], 1e-2, weight_decay=weight_decay, fused=True)
    for k in range(20):
        ours.grad, theirs.grad = (torch.sin(p.detach() * k) for p in (ours, theirs))
        for options in (*a.param_groups, *b.param_groups):
            options["lr"] = 1e-2 / (k + 1)
        a.step()
        b.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_state_goes_round():
    ours = nn.Parameter(torch.ones(3))
    ours.grad = torch.tensor([1.0, -2.0, 0.5])
    a = Adam([ours], 1e-2)
    a.step()
    weights = ours.detach().clone()
    saved = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in a.state_dict().items()}
    a.step()
    expected = ours.detach().clone()
    again = nn.Parameter(weights)
    again.grad = ours.grad.clone()
    b = Adam([again], 0.5)
    b.load_state_dict(saved)
    b.step()
    assert torch.equal(again, expected)


@pytest.mark.parametrize("skipped", [(0,), (1,), (0, 2, 3)])
def test_a_skipped_step_changes_nothing(skipped):
    """The same as without the step, weight decay and the count of steps included."""
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 101)) for _ in range(2))
    a, b = (Adam([p], 1e-2, weight_decay=0.1) for p in (ours, theirs))
    for k in range(5):
        ours.grad = theirs.grad = torch.linspace(-1, k, 101)
        a.step(torch.tensor(k in skipped))
        if k not in skipped:
            b.step()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    torch.testing.assert_close(a.state_dict(), b.state_dict(), rtol=0, atol=0)
