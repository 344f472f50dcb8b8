"""What a step does: whether two of them do the same."""

import re

import torch

from repkit.engine.sight import Sight


def seen(act):
    sight = Sight()
    sight.record(act)
    return sight


def twice(act):
    """What is found of two steps."""
    return seen(act).against(seen(act))


def test_steps_that_differ_in_numbers_of_tensors_alone():
    x, rate, out = torch.randn(4, 3), torch.tensor(0.1), torch.zeros(4, 3)

    def act():
        rate.add_(0.1)
        noise = torch.empty(4, 3).normal_()
        out.copy_((x + noise).relu() * rate)

    assert twice(act) is None


def test_what_stands_in_the_way():
    x, count = torch.randn(4, 3), iter(range(100))
    places = torch.randn(8, 3).split(4)

    def look():
        return x.sum().item()

    def mask():
        return x[x > 0]

    def address():
        return places[next(count) % 2].add(1.0)

    def sparse():
        return x.to_sparse() * 2

    def host():
        return x * torch.tensor(0.5)

    def number():
        return x.mul(0.1 * next(count))

    def shape():
        return torch.zeros(2 + next(count)).add(1.0)

    def more():
        return [x.add(1.0) for _ in range(1 + next(count))]

    assert twice(look) == "the host waits for _local_scalar_dense"
    assert twice(mask) == "the host waits for nonzero"
    assert "the host waits for aten._to_sparse" in twice(sparse)
    assert twice(host) == "the host waits for lift_fresh"
    assert twice(address) == "add is given something else at every step"
    assert twice(number) == "mul is given something else at every step"
    assert "is given something else at every step" in twice(shape)
    assert re.fullmatch(r"a step has \d+ operations, the next \d+, or others", twice(more))
    # A mask that is a tensor like any other is no look.
    known = torch.tensor([True, False, True])
    few = torch.tensor([0, 1])
    assert twice(lambda: known[few]) is None
