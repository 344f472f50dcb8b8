import copy

import pytest
import torch
from torch import nn

from repkit.nets import DomainNorm
from repkit.nets.modes import evaluating, norms, recalibrate, still


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


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


# -------------------------------------------------------------------- recalibrate


@pytest.mark.parametrize("momentum", [0.1, 0.9, None])
def test_recalibrated_statistics_are_the_means_over_the_batches(momentum):
    net = network()
    for layer in (net[1], net[4]):
        layer.momentum = momentum
        layer.running_mean.fill_(7.0)
        layer.running_var.fill_(7.0)
    given = batches()
    recalibrate(net, net, given)
    for place in (1, 4):
        # What is in front normalises each batch by its own statistics.
        before = nn.Sequential(*copy.deepcopy(net)[:place])
        for layer in norms(before):
            layer.track_running_stats = False
        hidden = [before(x) for x in given]
        mean = torch.stack([h.mean(0) for h in hidden]).mean(0)
        variance = torch.stack([h.var(0) for h in hidden]).mean(0)
        torch.testing.assert_close(net[place].running_mean, mean)
        torch.testing.assert_close(net[place].running_var, variance)
        assert net[place].momentum == momentum
        assert net[place].num_batches_tracked == 3


def test_recalibrate_sets_statistics_and_nothing_else():
    net = nn.Sequential(network(), nn.Dropout(0.5), nn.BatchNorm1d(2, track_running_stats=False))
    net[0][4].eval()
    net[2].eval()
    modes = [m.training for m in net.modules()]
    weights = copy.deepcopy(dict(net.named_parameters()))
    seen = []

    def run(x):
        out = net(x)
        seen.append([m.training for m in net.modules()])
        assert not out.requires_grad

    recalibrate(net, run, batches(2))
    assert [m.training for m in net.modules()] == modes
    assert_same(dict(net.named_parameters()), weights)
    inside = [isinstance(m, nn.BatchNorm1d) and m.track_running_stats for m in net.modules()]
    assert seen == [inside, inside]  # no dropout
    assert not net[2].track_running_stats
    assert net[2].momentum == 0.1


def test_recalibrate_in_evaluation_mode():
    net = network().eval()
    recalibrate(net, net, batches())
    assert not any(m.training for m in net.modules())
    assert net[1].num_batches_tracked == 3
    x = torch.cat(batches(3, 200))
    recalibrate(net, net, [x])
    out = net(x)
    torch.testing.assert_close(out.mean(0), torch.zeros(2), atol=0.01, rtol=0)


def test_recalibrate_gives_back_after_an_error():
    net = network()
    net[1].momentum = 0.3

    def run(x):
        raise KeyError

    with pytest.raises(KeyError):
        recalibrate(net, run, batches())
    assert all(m.training for m in net.modules())
    assert (net[1].momentum, net[4].momentum) == (0.3, 0.1)


def test_recalibrate_runs_nothing_without_norms():
    def run(x):
        raise KeyError

    recalibrate(nn.Linear(3, 2), run, batches())
    recalibrate(nn.BatchNorm1d(3, track_running_stats=False), run, batches())
