"""Parameters in one vector: the same numbers in the same places, whatever else is in the group."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from repkit.engine.flat import ALIGN, LONG, Group, chunk_of, flatten, recurrent, views
from repkit.engine.optim import SGD, Adam

pytestmark = pytest.mark.usefixtures("seeded")

SHAPES = [(3,), (2, 5), (), (ALIGN,), (4, 3, 3, 3), (70,)]


def parameters(shapes=SHAPES):
    return [nn.Parameter(torch.randn(shape)) for shape in shapes]


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


# -------------------------------------------------------------------- one vector


def test_a_vector_holds_the_parameters_and_nothing_else():
    given = parameters()
    before = [p.detach().clone() for p in given]
    vector = flatten(given)
    assert_same([p.data for p in given], before)
    assert vector.count_nonzero() == sum(p.numel() for p in given)
    vector.add_(1.0)  # the parameters are views of it
    assert_same([p.data for p in given], [p + 1.0 for p in before])
    for p in given:
        assert (p.data_ptr() - vector.data_ptr()) % (ALIGN * vector.element_size()) == 0


def test_images_kernels_keep_their_layout():
    (kernel,) = parameters([(4, 3, 5, 5)])
    kernel.data = kernel.data.to(memory_format=torch.channels_last)
    before = kernel.detach().clone()
    flatten([kernel])
    assert_same(kernel.data, before)
    assert kernel.stride() == before.stride()
    assert kernel.is_contiguous(memory_format=torch.channels_last)


def test_views_are_parts_of_the_shape_of_tensors():
    like = parameters()
    vector = flatten(like)
    for view, p in zip(views(vector, like), like, strict=True):
        assert_same(view, p.data)
        assert view.data_ptr() == p.data_ptr()
    assert views(torch.empty(0), []) == []
    assert flatten([]).numel() == 0


# -------------------------------------------------------------------- groups


def test_a_parameter_of_two_networks_is_there_once():
    first, second = parameters([(3,), (4,)])
    group = Group([first, second, first])
    assert [id(p) for p in group.parameters] == [id(first), id(second)]
    assert (len(group.vectors), group.rates, group.counts) == (1, [None], [2])
    group = Group([first, second, first], [0.1, 0.2, 0.3])
    assert group.rates == [0.1, 0.2]  # it has the rate of the first


def test_parameters_of_one_rate_are_side_by_side():
    given = parameters()
    group = Group(given, [0.1, 0.2, 0.1, 0.3, 0.2, 0.1])
    assert group.rates == [0.1, 0.2, 0.3]
    assert group.counts == [3, 2, 1]
    assert [id(p) for p in group.parameters] == [id(given[k]) for k in (0, 2, 5, 1, 4, 3)]
    rest = iter(group.parameters)
    for vector, count in zip(group.vectors, group.counts, strict=True):
        for _ in range(count):
            p = next(rest)
            start = (p.data_ptr() - vector.data_ptr()) // vector.element_size()
            assert 0 <= start <= vector.numel() - p.numel()


@pytest.mark.parametrize("rates", [None, [0.1, 0.02, 0.1, 0.02, 0.3, 0.1]])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, 0.05, weight_decay=0.1),
    ],
    ids=["sgd", "adamw"],
)
def test_steps_equal_those_of_torch_on_parameter_groups(optimizer, rates):
    """Bit by bit, over several steps, with parameters that a loss does not reach."""
    ours = parameters()
    theirs = [nn.Parameter(p.detach().clone()) for p in ours]
    if rates is None:
        apart = optimizer(theirs)
    else:
        apart = optimizer([{"params": [p], "lr": r} for p, r in zip(theirs, rates, strict=True)])
    group = Group(ours, rates)
    together = optimizer(
        [
            vector if rate is None else {"params": [vector], "lr": rate}
            for vector, rate in zip(group.vectors, group.rates, strict=True)
        ]
    )
    for step in range(5):
        gradients = {id(p): torch.randn(p.shape) for p in ours}
        if step == 2:
            gradients[id(ours[1])] = None
        group.set_gradients([gradients[id(p)] for p in group.parameters])
        for p, twin in zip(ours, theirs, strict=True):
            g = gradients[id(p)]
            twin.grad = torch.zeros_like(twin) if g is None else g
        together.step()
        apart.step()
        assert_same([p.data for p in ours], [p.data for p in theirs])


def test_a_gradient_of_before_is_forgotten():
    given = parameters([(3,), (4,)])
    group = Group(given, [0.1, 0.2])
    group.set_gradients([torch.ones(3), torch.ones(4)])
    group.set_gradients([None, 2 * torch.ones(4)])
    assert_same([p.grad for p in given], [torch.zeros(3), 2 * torch.ones(4)])
    group.set_gradients([None, None])
    assert not any(p.grad.any() for p in given)


each = pytest.mark.parametrize("make", [Adam, partial(SGD, momentum=0.9)], ids=["adam", "sgd"])


@each
def test_rounding_does_not_depend_on_what_else_is_in_the_group(make):
    shapes = [(7,), (33,), (5, 3)]
    few, many = parameters(shapes), parameters(shapes)
    for p, other in zip(few, many, strict=True):
        other.data = p.data.clone()
    more = parameters([(3,), (129,)])
    alone, beside = Group(few), Group([more[0], *many, more[1]])
    optimizers = [make(group.vectors, 0.01) for group in (alone, beside)]
    for step in range(1, 6):
        for group, optimizer in zip((alone, beside), optimizers, strict=True):
            group.set_gradients([torch.cos(step * p.detach()) for p in group.parameters])
            optimizer.step()
    assert_same([p.data for p in few], [p.data for p in many])


def test_released_parameters_have_memory_of_their_own():
    given = parameters()
    group = Group(given, [0.1, 0.1, 0.2, 0.2, 0.2, 0.3])
    before = [p.detach().clone() for p in given]
    group.release()
    for vector in group.vectors:
        vector.data.zero_()
    assert_same([p.data for p in given], before)
    assert all(p.grad is None for p in given)
    assert all(p.untyped_storage().nbytes() == 4 * p.numel() for p in given)


# -------------------------------------------------------------------- weights in one piece


def in_one_piece(layer, room=0):
    """As torch lays out a recurrent layer on a GPU: matrices first, biases after."""
    own = sorted(layer.parameters(recurse=False), key=lambda p: -p.ndim)
    whole, start = torch.zeros(sum(p.numel() for p in own) + room), 0
    for p in own:
        p.data = whole[start : start + p.numel()].view(p.shape).copy_(p.data)
        start += p.numel()
    return whole


def test_a_recurrent_layer_stays_in_one_piece():
    """From the start of its memory, and it is trained as it would be elsewhere."""
    net = nn.Sequential(nn.Linear(3, 3), nn.GRU(3, 4, 2), nn.Linear(4, 2))
    twin, whole = copy.deepcopy(net), in_one_piece(net[1], room=5)
    before = [p.data_ptr() for p in net[1].parameters()]
    (layer,) = recurrent([net])
    group = Group(net.parameters(), chunks=[list(layer.parameters())])
    plain = Group(twin.parameters())
    assert [p.data_ptr() for p in net[1].parameters()] == before
    assert [v.data_ptr() for v in group.vectors][1] == whole.data_ptr() == before[0]
    assert (group.rates, group.counts) == ([None, None], [4, 8])
    optimizers = [Adam(g.vectors, 0.1) for g in (group, plain)]
    for _ in range(3):
        for own, made, optimizer in zip((net, twin), (group, plain), optimizers, strict=True):
            out = own[2](own[1](own[0](torch.ones(2, 5, 3)))[0]).square().sum()
            given = made.parameters
            made.set_gradients(torch.autograd.grad(out, given))
            optimizer.step()
    assert_same([p.data for p in net.parameters()], [p.data for p in twin.parameters()])
    assert_same([p.grad for p in net.parameters()], [p.grad for p in twin.parameters()])


def test_what_is_no_piece():
    apart, tied = nn.GRU(2, 2), nn.Parameter(torch.zeros(3))
    assert chunk_of(list(apart.parameters())) is None
    assert chunk_of([tied]) is None
    twice = nn.Parameter(tied.data)  # of the same memory: there is not room for both
    assert chunk_of([tied, twice]) is None
    in_one_piece(apart)
    frozen = list(apart.parameters())[1:]  # the first is not trained
    assert len(Group(frozen, chunks=[list(apart.parameters())]).vectors) == 1


def test_a_rate_for_each_piece():
    net = nn.ModuleList([nn.GRU(2, 2), nn.GRU(2, 2), nn.Linear(2, 2)])
    for layer in net[:2]:
        in_one_piece(layer)
    rates = [0.1] * 4 + [0.2] * 4 + [0.1] * 2
    chunks = [list(layer.parameters()) for layer in net[:2]]
    group = Group(net.parameters(), rates, chunks)
    assert (group.rates, group.counts) == ([0.1, 0.2, 0.1], [4, 4, 2])


@each
def test_long_gradients_are_lent_and_steps_are_the_same_bit_by_bit(make):
    """Between short ones, of another layout, unreached, and of a length that ends inside a row."""
    shapes = [(5,), (LONG // 64, 64), (3, 7), (64, 32, 8, 8), (LONG + 1,), (2 * LONG // 32, 32)]
    groups, optimizers = [], []
    for lends in (False, True):
        torch.manual_seed(0)
        group = Group(parameters(shapes), [0.1, 0.1, 0.1, 0.1, 0.2, 0.2])
        group.lends = lends
        groups.append(group)
        optimizers.append(make([{"params": [v], "lr": 0.1} for v in group.vectors], 0.1))
    for step in range(4):
        for group, optimizer in zip(groups, optimizers, strict=True):
            torch.manual_seed(step)
            found = [torch.randn(p.shape) for p in group.parameters]
            found[1] = found[1].t().contiguous().t() if step == 1 else found[1]
            found[3] = None if step == 2 else found[3]
            unreached = group.set_gradients(found)
            lent = [stop - start for pieces in group.lent for start, stop, _ in pieces]
            if group.lends:
                assert lent == [LONG] * (step != 1) + [2 * LONG] * (step != 2) + [2 * LONG]
            for p, g in zip(group.parameters, found, strict=True):
                assert_same(p.grad, torch.zeros_like(p) if g is None else g)
            with group.holding(unreached, lambda o=optimizer: o.state):
                optimizer.step(None, group.lent)
        assert_same(*([p.data for p in group.parameters] for group in groups))
    groups[1].drop()
    assert groups[1].lent == [[], []]
    assert groups[1].parameters[1].grad is None
