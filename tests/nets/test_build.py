import copy

import pytest
import torch
from torch import nn

from repkit.nets import (
    DomainNorm,
    build,
    build_body,
    build_features,
    build_generator,
    build_hidden,
    set_rows,
    width_out,
)
from repkit.nets.build import auto

from ..networks import reached, rows_are_apart

pytestmark = pytest.mark.usefixtures("seeded")


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
        (
            "resnet",
            ValueError,
            r"backbone='resnet' is not known; .*\['conv', 'dcgan', 'mlp'\]",
        ),
        (5, TypeError, "backbone must be a string, a callable .* not int"),
        (lambda s, d: None, TypeError, "backbone must return an nn.Module, not NoneType"),
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


# -------------------------------------------------------------------- by name


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((20,), "mlp"),
        ((11, 28), "mlp"),
        ((12, 12), "images"),
        ((3, 12, 40), "images"),
        ((3, 40, 11), "mlp"),
        ((28, 28), "images"),
        ((100, 1, 8), "mlp"),
    ],
)
def test_auto_takes_convolutions_for_images(shape, expected):
    assert auto("auto", shape, "images") == expected
    for spec in ("conv", None, nn.Linear):
        assert auto(spec, shape, "images") is spec


def kinds(network):
    return [type(m) for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


def test_conv_is_one_trunk():
    """The same layers in a classifier and beside a generator; auto is it in one, dcgan there."""
    shape = (1, 16, 16)
    trunk = [tuple(p.shape) for p in build("conv", shape, 8, name="x").parameters()]
    for made in (
        build_features("conv", shape, 8, name="x"),
        build_features("auto", shape, 8, name="x"),
        build_body("conv", shape, 8, name="x"),
    ):
        assert [tuple(p.shape) for p in made[0].parameters()] == trunk
        assert made[1] == 8
        assert made[0](torch.rand(3, *shape)).min() == 0  # they end in a ReLU
    auto_body, dcgan_body = (build_body(s, shape, 32, name="x")[0] for s in ("auto", "dcgan"))
    assert repr(auto_body) == repr(dcgan_body)
    assert repr(auto_body) != repr(build_body("conv", shape, 32, name="x")[0])


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize(
    ("name", "shape"),
    [("mlp", (5,)), ("mlp", (2, 4, 4)), ("conv", (2, 9, 8)), ("dcgan", (13, 12)), ("auto", (6,))],
)
def test_bodies_and_hidden_layers_by_name(name, shape, norm):
    x = torch.rand(4, *shape)
    body, outputs = build_body(name, shape, 32, name="encoder", norm=norm)
    assert body(x).shape == (4, outputs)
    hidden, width = build_hidden(name, shape, 32, name="encoder", norm=norm)
    out = hidden(x)
    assert out.shape == (4, width) == (4, 32)
    assert reached(out, hidden)
    assert rows_are_apart(hidden, x) != norm
    assert len(kinds(hidden)) == len(kinds(body)) + 1


def test_bodies_of_the_users_own_get_no_more_layers():
    own = nn.Unflatten(1, (2, 2))
    for make in (build_body, build_hidden):
        network, width = make(own, (4,), 6, name="encoder")
        x = torch.randn(5, 4)
        assert width == 4
        assert torch.equal(network(x), x)  # flattened, no more


@pytest.mark.parametrize(
    ("name", "shape"), [("mlp", (5,)), ("mlp", (3, 4, 4)), ("dcgan", (13, 12)), ("auto", (28, 28))]
)
def test_generators_by_name(name, shape):
    out = build_generator(name, 3, shape, 32)(20 * torch.randn(6, 3))
    assert out.shape == (6, *shape)
    assert 0 <= out.min() < 0.5 < out.max() <= 1
    layers = build_generator(name, 3, shape, 32).modules()
    images = any(isinstance(m, nn.ConvTranspose2d) for m in layers)
    assert images == (name == "dcgan" or shape == (28, 28))


def test_generators_of_the_users_own_are_reshaped():
    network = build_generator(lambda latent_dim, shape: nn.Linear(latent_dim, 12), 2, (3, 4), 8)
    z = torch.randn(5, 2)
    assert network(z).shape == (5, 3, 4)
    assert torch.equal(network(z, logits=True).flatten(1), network[0](z))
    with pytest.raises(ValueError, match=r"must give samples of shape \(3, 4\), 12 numbers, .* 7"):
        build_generator(nn.Linear(2, 7), 2, (3, 4), 8)
    with pytest.raises(ValueError, match=r"generator='conv' is not known; .*\['dcgan', 'mlp'\]"):
        build_generator("conv", 2, (8, 8), 8)
