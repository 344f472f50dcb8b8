import copy

import pytest
import torch
from torch import nn

from repkit.engine.modes import evaluating, frozen, norms, renew_statistics, still
from repkit.nets import DomainNorm

pytestmark = pytest.mark.usefixtures("seeded")


def network():
    return nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2), nn.BatchNorm1d(2)
    )


def batches(n=3, rows=8):
    return [2 * torch.randn(rows, 3) + k for k in range(n)]


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


# -------------------------------------------------------------------- evaluating


def test_evaluating_gives_each_module_its_own_mode_back():
    net, other = network(), nn.Dropout(0.5)
    net[1].eval()
    with evaluating(net, other):
        assert not any(m.training for m in (*net.modules(), *other.modules()))
    assert [m.training for m in net.modules()] == [True, True, False, True, True, True]
    with pytest.raises(KeyError), evaluating(net):
        raise KeyError
    assert net.training
    assert not net[1].training


# -------------------------------------------------------------------- still


def test_norms_are_the_layers_with_running_statistics():
    net, other = network(), nn.BatchNorm1d(3, track_running_stats=False)
    separate = DomainNorm(nn.BatchNorm1d(2), 2)
    assert norms(net, other, separate) == [net[1], net[4], separate]
    assert norms() == []


def test_still_leaves_running_statistics_and_nothing_else():
    net, x = network(), batches(1)[0]
    twin = copy.deepcopy(net)
    with still(norms(net)):
        held = net(x)
    assert_same(net.state_dict(), twin.state_dict())
    assert_same(held, twin(x))  # the batch's own statistics
    assert_same(net(x), held)
    assert_same(net.state_dict(), twin.state_dict())  # they move again
    assert net[1].num_batches_tracked == 1


def test_still_ends_where_it_is_left_by_an_error():
    net = network()
    with pytest.raises(KeyError), still(norms(net)):
        raise KeyError
    assert all(layer.track_running_stats for layer in norms(net))
    assert len(norms(net)) == 2


def test_still_within_still():
    net, x = network(), batches(1)[0]
    before = copy.deepcopy(net.state_dict())
    with still(norms(net)):
        with still(norms(net)):
            net(x)
        net(x)  # the outer one still holds
    assert_same(net.state_dict(), before)
    assert len(norms(net)) == 2


def test_layers_without_statistics_stay_without():
    layer = nn.BatchNorm1d(3, track_running_stats=False)
    with still(norms(layer)):
        layer(batches(1)[0])
    assert not layer.track_running_stats


# -------------------------------------------------------------------- frozen


def test_a_part_with_nothing_to_train_is_frozen():
    """Its own layers, whether they have parameters or not; nothing else."""
    trunk = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4, affine=False))
    head = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
    net = nn.Sequential(trunk, head)
    assert frozen(net) == []
    trunk.requires_grad_(False)
    assert frozen(net) == [trunk[1], trunk[2]]
    net.requires_grad_(False)
    assert frozen(net, network()) == [trunk[1], trunk[2], head[1]]


def test_a_layer_between_trained_ones_is_not_frozen():
    """Unless its own scale and shift are: with parameters, it is a part of itself."""
    net = network()
    net[1].requires_grad_(False)
    assert frozen(net) == [net[1]]
    plain = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, affine=False))
    assert frozen(plain) == []
    plain[0].weight.requires_grad_(False)
    assert frozen(plain) == []  # the bias still moves
    plain[0].bias.requires_grad_(False)
    assert frozen(plain) == [plain[1]]


def test_layers_without_parameters_or_statistics_are_never_frozen():
    assert frozen(nn.BatchNorm1d(3, affine=False)) == []  # nothing says that it should be
    assert frozen(nn.BatchNorm1d(3, track_running_stats=False).requires_grad_(False)) == []
    separate = DomainNorm(nn.BatchNorm1d(2), 2).requires_grad_(False)
    assert frozen(separate) == [separate]


# -------------------------------------------------------------------- renew_statistics


def test_statistics_anew_are_the_mean_over_the_batches():
    net, given = network(), batches()
    net(batches(1)[0])
    net[4].requires_grad_(False)
    before = copy.deepcopy(net[4].state_dict())
    renew_statistics(net, iter(given))
    seen = [net[0](x).detach() for x in given]
    torch.testing.assert_close(net[1].running_mean, torch.stack([h.mean(0) for h in seen]).mean(0))
    torch.testing.assert_close(net[1].running_var, torch.stack([h.var(0) for h in seen]).mean(0))
    assert net[1].momentum == 0.1
    assert not net.training
    assert_same(net[4].state_dict(), before)


def test_no_batch_is_drawn_where_there_are_no_statistics():
    net, given = nn.Sequential(nn.Linear(3, 4), nn.Dropout()), iter(batches())
    renew_statistics(net, given)
    assert not any(m.training for m in net.modules())
    assert len(list(given)) == 3
