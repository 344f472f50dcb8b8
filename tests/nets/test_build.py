import copy

import pytest
import torch
from torch import nn

from repkit.nets import (
    DomainNorm,
    Standardize,
    build,
    build_features,
    conv,
    mlp,
    separate_domains,
    set_rows,
    width_out,
)

pytestmark = pytest.mark.usefixtures("seeded")


@pytest.mark.parametrize("side", [4, 5, 8, 16, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_conv_shapes(side, channels):
    network = conv((channels, side, side), 7, width=4)
    assert network(torch.rand(3, channels, side, side)).shape == (3, 7)
    assert isinstance(network[-1], nn.Linear)
    sides = network[-1].in_features
    assert sides <= 16 * 16  # 4 x 4 of at most four times the width


@pytest.mark.parametrize("shape", [(28, 28), (8, 12), (3, 17, 30)])
def test_conv_of_other_shapes(shape):
    assert conv(shape, 5, width=4)(torch.rand(2, *shape)).shape == (2, 5)


def test_conv_widths():
    sizes = [m.out_channels for m in conv((1, 64, 64), 2, width=8) if isinstance(m, nn.Conv2d)]
    assert sizes == [8, 16, 32, 32, 32]


@pytest.mark.parametrize("shape", [(10,), (3, 3), (1, 3, 8), (1, 8, 3), (2, 1, 8, 8)])
def test_conv_wants_images(shape):
    with pytest.raises(ValueError, match=r"of at least 4x4, not rows\s+of shape"):
        conv(shape, 2)


@pytest.mark.parametrize("shape", [(6,), (8, 8), (3, 4, 4)])
def test_mlp_shapes(shape):
    network = mlp(shape, 5, (7, 9), dropout=0.5, input_dropout=0.2)
    assert network(torch.rand(3, *shape)).shape == (3, 5)
    widths = [m.out_features for m in network if isinstance(m, nn.Linear)]
    assert widths == [7, 9, 5]
    assert [m.p for m in network if isinstance(m, nn.Dropout)] == [0.2, 0.5, 0.5]
    assert isinstance(network[-1], nn.Linear)
    assert isinstance(mlp((4,), 2, ())[0], nn.Linear)


def test_standardize():
    x = torch.rand(4, 3, 5, 5) * torch.tensor([1.0, 10, 100, 1000]).view(4, 1, 1, 1)
    out = Standardize()(x).flatten(1)
    torch.testing.assert_close(out.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std(1, correction=0), torch.ones(4), atol=1e-3, rtol=0)
    assert not list(Standardize().parameters())


# -------------------------------------------------------------------- domain norm


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


# -------------------------------------------------------------------- choices


def test_build_copies_a_module():
    given = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
    made = build(given, (4,), 2, name="backbone")
    torch.testing.assert_close(made.state_dict(), given.state_dict(), rtol=0, atol=0)
    made(torch.rand(5, 4))
    with torch.no_grad():
        made[0].weight.zero_()
    assert given[0].weight.abs().sum() > 0
    assert given[1].num_batches_tracked == 0


def test_build():
    assert build("mlp", (4,), 3, name="backbone")(torch.rand(2, 4)).shape == (2, 3)
    assert build("conv", (1, 8, 8), 3, name="backbone")(torch.rand(2, 1, 8, 8)).shape == (2, 3)
    seen = []

    def factory(shape_in, dim_out):
        seen.append((shape_in, dim_out))
        return nn.Linear(*shape_in, dim_out)

    assert build(factory, (4,), 3, name="backbone").out_features == 3
    assert seen == [((4,), 3)]


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("resnet", ValueError, r"backbone='resnet' is not known; give one of \['conv', 'mlp'\]"),
        (5, TypeError, "backbone must be a string, a callable .* not int"),
        (lambda s, d: None, TypeError, "backbone returned NoneType, not an nn.Module"),
    ],
)
def test_build_errors(spec, error, words):
    with pytest.raises(error, match=words):
        build(spec, (4,), 3, name="backbone")


class Noisy(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x)


def test_width_out_leaves_the_network_alone():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        DomainNorm(nn.BatchNorm2d(2), 2),
        nn.BatchNorm2d(2),
        nn.Dropout(0.5),
        Noisy(),
    )
    network[2].eval()  # a part of its own mode
    set_rows(network, [(7, 1)])
    before = copy.deepcopy(network.state_dict())
    state = torch.get_rng_state()
    assert width_out(network, (1, 5, 6), name="backbone") == 2 * 3 * 4
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in network] == [True, True, False, True, True]
    assert network[1].rows == ((7, 1),)
    with pytest.raises(ValueError, match="does not take"):
        width_out(network, (2, 5, 6), name="backbone")
    assert [m.training for m in network] == [True, True, False, True, True]
    assert width_out(network.eval(), (1, 5, 6), name="backbone") == 24
    assert not network.training


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.Linear(3, 2), r"backbone does not take samples of shape \(4,\)"),
        (nn.Flatten(0), r"one row a sample; for 2 samples it gave \(8,\)"),
        (nn.Unflatten(1, (2, 2)), None),
        (nn.LSTM(4, 2), "one row a sample; for 2 samples it gave tuple"),
    ],
)
def test_width_out_errors(network, words):
    if words is None:
        assert width_out(network, (4,), name="backbone") == 4
        return
    with pytest.raises(ValueError, match=words):
        width_out(network, (4,), name="backbone")


def test_features_of_a_classifier():
    network, width = build_features("mlp", (4,), 6, name="backbone")
    features = network(torch.randn(5, 4))
    assert features.shape == (5, width) == (5, 6)
    assert features.min() == 0  # they end in a ReLU
    own = nn.Unflatten(1, (2, 2))
    network, width = build_features(own, (4,), 6, name="backbone")
    x = torch.randn(5, 4)
    assert width == 4
    assert torch.equal(network(x), x)  # those of one's own are flattened, no more
    with pytest.raises(ValueError, match="backbone does not take samples"):
        build_features(nn.Linear(3, 2), (4,), 6, name="backbone")
