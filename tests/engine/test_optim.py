"""Adam and SGD on vectors against torch's."""

import pytest
import torch
from torch import nn

from repkit.engine.optim import SGD, Adam, rate_setters, setter

DECAYS = {
    "adam": (lambda p, **o: Adam(p, 1e-2, **o), lambda p, **o: torch.optim.AdamW(p, 1e-2, **o)),
    "sgd": (lambda p, **o: SGD(p, 1e-2, **o), lambda p, **o: torch.optim.SGD(p, 1e-2, **o)),
    "sgd, momentum": (
        lambda p, **o: SGD(p, 1e-2, momentum=0.9, **o),
        lambda p, **o: torch.optim.SGD(p, 1e-2, momentum=0.9, **o),
    ),
}
each = pytest.mark.parametrize("name", DECAYS)


@each
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_equals_torchs_fused_one(name, weight_decay):
    torch.manual_seed(0)
    start = torch.randn(101)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    mine, of_torch = DECAYS[name]
    a = mine([ours], weight_decay=weight_decay)
    b = of_torch([theirs], weight_decay=weight_decay, fused=True)
    for k in range(20):
        ours.grad, theirs.grad = (torch.sin(p.detach() * k) for p in (ours, theirs))
        for options in (*a.param_groups, *b.param_groups):
            options["lr"] = 1e-2 / (k + 1)
        a.step()
        b.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert not torch.equal(ours, start)


def test_groups_have_rates_of_their_own():
    """As in torch's: rates by group, vectors without one at the rate of all."""
    torch.manual_seed(0)
    starts = [torch.randn(n) for n in (64, 128, 70)]
    ours, theirs = ([nn.Parameter(s.clone()) for s in starts] for _ in range(2))

    def groups(p):
        return [{"params": [p[0]], "lr": 0.3}, {"params": p[1:2], "lr": 0.0}, {"params": [p[2]]}]

    a = Adam(groups(ours), 1e-2, weight_decay=0.1)
    b = torch.optim.AdamW(groups(theirs), 1e-2, weight_decay=0.1, fused=True)
    assert [g["lr"] for g in a.param_groups] == [g["lr"] for g in b.param_groups] == [0.3, 0, 0.01]
    for k in range(1, 20):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad, other.grad = (torch.sin(p.detach() * k) for p in (mine, other))
        for options in (*a.param_groups, *b.param_groups):
            options["lr"] *= 0.9
        a.step()
        b.step()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert torch.equal(ours[1], starts[1])  # a rate of 0 moves nothing
    assert not torch.equal(ours[2], starts[2])


@each
def test_the_state_of_several_groups_goes_round(name):
    def make():
        p = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(5))]
        return p, DECAYS[name][0]([{"params": [p[0]], "lr": 0.3}, {"params": [p[1]], "lr": 0.1}])

    def go(p, optimizer, steps):
        for k in steps:
            for vector in p:
                vector.grad = torch.cos(vector.detach() + k)
            optimizer.step()

    p, first = make()
    go(p, first, range(3))
    first.param_groups[1]["lr"] = 0.05
    again, other = make()
    for mine, its in zip(again, p, strict=True):
        mine.data.copy_(its.data)
    other.load_state_dict(first.state_dict())
    assert [g["lr"] for g in other.param_groups] == [0.3, 0.05]
    for pair in ((p, first), (again, other)):
        go(*pair, range(3, 6))
    torch.testing.assert_close(again, p, rtol=0, atol=0)


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


@each
@pytest.mark.parametrize("skipped", [(0,), (1,), (0, 2, 3)])
def test_a_skipped_step_changes_nothing(name, skipped):
    """The same as without the step, weight decay and the count of steps included."""
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 101)) for _ in range(2))
    a, b = (DECAYS[name][0]([p], weight_decay=0.1) for p in (ours, theirs))
    for k in range(5):
        ours.grad = theirs.grad = torch.linspace(-1, k, 101)
        a.step(torch.tensor(k in skipped))
        if k not in skipped:
            b.step()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    torch.testing.assert_close(a.state_dict(), b.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("make", [Adam, SGD])
def test_a_learning_rate_in_a_tensor(make):
    """It stays the same tensor, and a state holds its number."""
    first, second = (make([nn.Parameter(torch.ones(3))], 0.25) for _ in range(2))
    rate = second.param_groups[0]["lr"] = torch.tensor(0.5)
    for optimizer in (first, second):
        optimizer.vectors[0].grad = torch.ones(3)
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["lr"] is rate
    assert second.state_dict()["lr"] == [0.25]
    for optimizer in (first, second):
        optimizer.step()
    assert torch.equal(first.vectors[0].data, second.vectors[0].data)
    first.load_state_dict(second.state_dict())
    assert first.param_groups[0]["lr"] == 0.25
    assert not isinstance(first.param_groups[0]["lr"], torch.Tensor)


def two_groups(make):
    parameters = [nn.Parameter(torch.ones(3)) for _ in range(2)]
    return make([{"params": [p], "lr": 1.0} for p in parameters])


@pytest.mark.parametrize("make", [lambda p: Adam(p, 1.0), lambda p: torch.optim.SGD(p, 1.0)])
def test_learning_rates_of_groups(make):
    optimizer = two_groups(make)
    place = optimizer.param_groups[1]["lr"] = torch.tensor(1.0)
    first, second = rate_setters([optimizer])
    first(0.25)
    second(0.3)
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert optimizer.param_groups[1]["lr"] is place
    assert torch.equal(place, torch.tensor(0.3))


def test_learning_rates_after_a_state_was_loaded():
    """Torch's optimizers have other groups then."""
    optimizer = two_groups(lambda p: torch.optim.SGD(p, 1.0))
    first, second = rate_setters([optimizer])
    optimizer.load_state_dict(optimizer.state_dict())
    first(0.25)
    second(0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.5]


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3, 1e-46, float("inf"), float("nan")])
def test_a_number_is_what_torch_would_put_there(kind, value):
    place, other = torch.ones((), dtype=kind), torch.ones((), dtype=kind)
    setter(place)(value)
    torch.testing.assert_close(place, other.fill_(value), rtol=0, atol=0, equal_nan=True)


def test_a_number_on_another_device_is_put_there_by_an_operation():
    place = torch.ones((), device="meta")
    assert setter(place)(0.5) is place
