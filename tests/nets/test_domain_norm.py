import copy

import pytest
import torch
from torch import nn

from repkit.nets import DomainNorm, separate_domains, set_rows

pytestmark = pytest.mark.usefixtures("seeded")


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(nn.BatchNorm1d, (3,)), (nn.BatchNorm2d, (3, 4, 4)), (nn.BatchNorm3d, (3, 2, 2, 2))],
)
@pytest.mark.parametrize("options", [{}, {"momentum": 0.3, "eps": 0.1}, {"affine": False}])
def test_domain_norm_equals_a_batch_norm_for_each_part(kind, shape, options):
    start = kind(3, **options)
    if start.affine:
        nn.init.uniform_(start.weight)
        nn.init.uniform_(start.bias)
    start.running_mean.uniform_()
    start.running_var.uniform_(0.5, 2)
    apart = [copy.deepcopy(start) for _ in range(3)]
    norm = DomainNorm(copy.deepcopy(start), 3)
    layout = ((4, 2), (6, 0), (5, 2))  # a domain in two parts, and one that is not there
    norm.rows = layout
    for training in (True, True, False):
        norm.train(training)
        x = torch.randn(15, *shape) * 3 + 1
        expected = []
        for part, (_, domain) in zip(x.split([4, 6, 5]), layout, strict=True):
            expected.append(apart[domain].train(training)(part))
        torch.testing.assert_close(norm(x), torch.cat(expected))
        for domain in range(3):
            torch.testing.assert_close(norm.running_mean[domain], apart[domain].running_mean)
            torch.testing.assert_close(norm.running_var[domain], apart[domain].running_var)
    assert torch.equal(norm.running_mean[1], start.running_mean)


def test_domain_norm_statistics_can_be_held():
    norm = DomainNorm(nn.BatchNorm1d(2), 2)
    norm.rows = ((3, 0), (3, 1))
    x = torch.randn(6, 2)
    before = copy.deepcopy(norm.state_dict())
    norm.track_running_stats = False
    held = norm(x)
    torch.testing.assert_close(norm.state_dict(), before, rtol=0, atol=0)
    norm.track_running_stats = True
    assert torch.equal(norm(x), held)
    assert not torch.equal(norm.running_mean, before["running_mean"])


@pytest.mark.parametrize("rows", [(), ((3, 0),), ((3, 0), (3, 1))])
def test_a_layout_that_does_not_match(rows):
    norm = DomainNorm(nn.BatchNorm1d(2), 2)
    norm.rows = rows
    with pytest.raises(ValueError, match=r"5 rows do not match the layout .*call set_rows"):
        norm(torch.rand(5, 2))


def test_domain_norm_needs_statistics():
    with pytest.raises(ValueError, match="without running statistics"):
        DomainNorm(nn.BatchNorm1d(2, track_running_stats=False), 2)


def test_separate_domains_replaces_every_norm():
    inner = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    network = nn.Sequential(inner, nn.Flatten(), nn.BatchNorm1d(8))
    scale = network[2].weight
    assert separate_domains(network, 2) is network
    norms = [m for m in network.modules() if isinstance(m, DomainNorm)]
    assert len(norms) == 2
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in network.modules())
    assert norms[1].weight is scale  # shared by the domains, and by an optimizer made before
    set_rows(network, [(3, 0), (2, 1)])
    assert network(torch.rand(5, 1, 4, 4)).shape == (5, 8)
    assert isinstance(separate_domains(nn.BatchNorm1d(2), 2), DomainNorm)
