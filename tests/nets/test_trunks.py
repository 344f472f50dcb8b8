import copy

import pytest
import torch
from torch import nn

from repkit.bigan.networks import PairDiscriminator
from repkit.infogan.networks import PairFeatures, code_head
from repkit.nets.build import BODIES as TRUNKS
from repkit.nets.generators import GENERATORS, UnitInterval
from repkit.nets.trunks import (
    Encoder,
    Reshape,
    as_image,
    features_of,
    halvings,
    small_weights,
    spectral_norms,
)
from repkit.triplegan.networks import ProjectionDiscriminator
from repkit.vaegan.networks import FeatureDiscriminator

IMAGES = [
    *[(channels, side, side) for side in (4, 5, 7, 8, 9, 12, 13, 16, 28) for channels in (1, 3)],
    *[(1, side, side) for side in (15, 17, 31, 32, 33, 63, 64)],
    (28, 28),
    (3, 8, 12),
    (17, 30),
    (2, 4, 64),
    (40, 5),
]
ROWS = [(5,), (1,)]


pytestmark = pytest.mark.usefixtures("seeded")


def reached(out, network):
    """Whether the outputs depend on every parameter."""
    parameters = list(network.parameters())
    found = torch.autograd.grad(
        out.square().sum(), parameters, retain_graph=True, allow_unused=True
    )
    return all(g is not None and g.isfinite().all() for g in found)


def rows_are_apart(network, *inputs):
    """Whether a row's outputs are the same without the other rows, in training mode."""
    first = [x[:2] for x in inputs]
    return torch.allclose(network(*inputs)[:2], network(*first), atol=1e-6)


# -------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("name", "shape"),
    [*[("conv", shape) for shape in IMAGES], *[("mlp", s) for s in (*ROWS, (4, 4), (3, 5, 6))]],
)
def test_generators_give_the_shape_of_the_samples(name, shape):
    network = GENERATORS[name](3, shape, 32)
    out = network(torch.randn(2, 3))
    assert out.shape == (2, *shape)
    assert reached(out, network)
    assert out.std(0).min() > 0  # every pixel depends on the code


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("shape", IMAGES)
def test_the_conv_trunk(shape, norm):
    network = TRUNKS["conv"](shape, 32, norm=norm)
    x = torch.rand(3, *shape)
    out = network(x)
    assert out.ndim == 2
    assert reached(out, network)
    assert norm or rows_are_apart(network, x)


@pytest.mark.parametrize("shape", [*ROWS, (4, 4), (3, 5, 6)])
def test_the_mlp_trunk(shape):
    network, x = TRUNKS["mlp"](shape, 9), torch.rand(3, *shape)
    assert network(x).shape == (3, 9)
    assert rows_are_apart(network, x)


def test_images_are_halved_until_they_are_small():
    assert halvings(28, 28) == [(28, 28), (14, 14), (7, 7)]
    assert halvings(64, 64)[-1] == (4, 4)
    assert halvings(7, 7) == [(7, 7)]
    assert halvings(8, 40) == [(8, 40), (4, 20), (2, 10), (1, 5)]
    for h in range(4, 70, 3):
        for w in range(4, 70, 5):
            sizes = halvings(h, w)
            assert min(sizes[-1]) >= 1
            assert max(sizes[-1]) <= 7 or min(sizes[-1]) == 1


def test_as_image():
    assert as_image((28, 20)) == (1, 28, 20)
    assert as_image([3, 5, 4]) == (3, 5, 4)


@pytest.mark.parametrize("shape", [(10,), (3, 3), (1, 3, 8), (1, 8, 3), (2, 1, 8, 8)])
@pytest.mark.parametrize(
    "make", [lambda s: GENERATORS["conv"](3, s, 16), lambda s: TRUNKS["conv"](s, 16)]
)
def test_convolutions_want_images(make, shape):
    with pytest.raises(ValueError, match=r"at least 4x4, .*not for samples of shape .*use 'mlp'"):
        make(shape)


def test_reshape():
    x = torch.rand(4, 6)
    assert Reshape((2, 3))(x).shape == (4, 2, 3)
    assert torch.equal(Reshape([6])(x.view(4, 3, 2)), x)
    assert "(2, 3)" in repr(Reshape((2, 3)))


# -------------------------------------------------------------------- features, encoder, codes


@pytest.mark.parametrize("norm", [True, False])
def test_features_and_code_head(norm):
    trunk = TRUNKS["mlp"]((4,), 8)
    x = torch.randn(6, 4)
    for network, width in (
        (features_of(trunk, 8, 5, norm=norm), 5),
        (nn.Sequential(trunk, code_head(8, 3, norm=norm, n_hidden=7)), 3),
    ):
        out = network(x)
        assert out.shape == (6, width)
        assert reached(out, network)
        assert rows_are_apart(network, x) != norm


@pytest.mark.parametrize("bounded", [True, False])
def test_the_encoder(bounded):
    encoder = Encoder(nn.Linear(4, 5), 5, 3, bounded)
    x = 20 * torch.randn(50, 4)
    hidden, z = encoder.hidden(x), encoder(x)
    assert hidden.shape == (50, 5)
    assert z.shape == (50, 3)
    linear = encoder.head(hidden)
    assert torch.equal(z, torch.tanh(linear) if bounded else linear)
    assert (z.abs().max() <= 1) == bounded


# -------------------------------------------------------------------- judges


def pair_judge(unary=False):
    return PairDiscriminator(TRUNKS["mlp"]((4,), 8), 8, 3, 6, unary)


@pytest.mark.parametrize("unary", [False, True])
def test_the_pair_discriminator(unary):
    judge = pair_judge(unary)
    out = judge(torch.randn(5, 4), torch.randn(5, 3))
    assert out.shape == (5, 3 if unary else 1)
    assert reached(out, judge)


def test_what_the_columns_of_the_pair_discriminator_judge():
    judge = pair_judge(True)
    x, z = torch.randn(5, 4, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    joint, of_x, of_z = judge(x, z).unbind(1)

    def depends(column, what):
        (g,) = torch.autograd.grad(
            column.square().sum(), what, retain_graph=True, allow_unused=True
        )
        return g is not None and bool(g.abs().max() > 1e-4)

    assert [depends(c, x) for c in (joint, of_x, of_z)] == [True, True, False]
    assert [depends(c, z) for c in (joint, of_x, of_z)] == [True, False, True]


def test_the_pair_discriminator_sees_which_code_is_whose():
    judge = pair_judge().eval()
    x, z = torch.randn(5, 4), torch.randn(5, 3)
    together, apart = judge(x, z), judge(x, z.roll(1, 0))
    # Not a sum of a judgment of x and one of z.
    assert (together.sum() - apart.sum()).abs() > 1e-3


def test_the_pair_discriminator_normalizes_what_it_is_shown_at_once():
    """Real and generated pairs are shown apart: each batch is judged by its own statistics."""
    judge = pair_judge()
    x, z = torch.randn(6, 4), torch.randn(6, 3)
    assert not rows_are_apart(judge, x, z)
    assert rows_are_apart(copy.deepcopy(judge).eval(), x, z)
    torch.testing.assert_close(judge(x, z + 3), judge(x, z))  # a shift of all codes is not seen


@pytest.mark.parametrize("shape", [(4, 4), (3, 8, 6), (1, 28, 28), (3, 3), (2, 3, 9), (5,)])
def test_pair_features(shape):
    network = PairFeatures(shape, 32, 4)
    x, other = torch.rand(3, *shape), torch.rand(3, *shape)
    out = network(x, other)
    assert out.shape == (3, 4)
    assert reached(out, network)
    assert rows_are_apart(network, x, other)
    assert not torch.allclose(network(other, x), out)
    for moved in (network(x, other.roll(1, 0)), network(x.roll(1, 0), other)):
        assert not torch.allclose(moved, out)


def test_the_feature_discriminator():
    body = TRUNKS["mlp"]((4,), 8)
    judge, x = FeatureDiscriminator(body, 8, 6, 3), torch.randn(5, 4)
    hidden, logits = judge(x)
    assert torch.equal(hidden, body(x))
    assert logits.shape == (5, 3)
    assert reached(logits, judge)
    assert torch.equal(logits, judge.judge(hidden))
    assert torch.autograd.functional.jacobian(judge.judge, hidden).abs().max() > 0


def test_the_projection_discriminator_gives_the_logits_of_all_pairs_at_once():
    """Those of one pair after the other: ``v_k . h + psi(h)``."""
    body = TRUNKS["mlp"]((4,), 8)
    judge, x = ProjectionDiscriminator(body, 8, 3), torch.randn(5, 4)
    calls = []
    body.register_forward_hook(lambda *_: calls.append(1))
    out = judge(x)
    assert out.shape == (5, 3)
    assert len(calls) == 1
    assert reached(out, judge)
    for i in range(5):
        h = body(x[i : i + 1])[0]
        for k in range(3):
            one = sum(judge.v.weight[k, j] * h[j] for j in range(8))
            one = one + sum(judge.psi.weight[0, j] * h[j] for j in range(8)) + judge.psi.bias[0]
            torch.testing.assert_close(out[i, k], one)
    assert judge.v.bias is None  # psi and v share no constant


def test_the_unit_interval():
    x = torch.tensor([-200.0, -1.0, 0.0, 7.0], dtype=torch.bfloat16)
    out = UnitInterval()(x)
    assert out.dtype == torch.float32
    assert out.tolist() == pytest.approx([0, 0.268941, 0.5, 0.999089], abs=1e-6)


# -------------------------------------------------------------------- weights


def test_small_weights():
    network = nn.Sequential(
        nn.Conv2d(3, 40, 4), nn.BatchNorm2d(40), nn.ConvTranspose2d(40, 30, 4), nn.Linear(60, 80)
    )
    norm = copy.deepcopy(network[1].state_dict())
    assert small_weights(network) is network
    for place in (0, 2, 3):
        assert network[place].weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert network[place].weight.mean().abs() < 0.002
        assert not network[place].bias.any()
    torch.testing.assert_close(network[1].state_dict(), norm)
    small_weights(network, 0.5)
    assert network[3].weight.std().item() == pytest.approx(0.5, rel=0.1)
    small_weights(nn.Linear(3, 2, bias=False))


def test_spectral_norms_bound_the_singular_values():
    network = nn.Sequential(TRUNKS["conv"]((1, 12, 12), 64, norm=False), nn.Linear(16 * 9, 5))
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(10)
    assert spectral_norms(network) is network
    for _ in range(60):
        network(torch.rand(2, 1, 12, 12))
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert len(weights) > 1
    for weight in weights:
        largest = torch.linalg.matrix_norm(weight.flatten(1), 2).item()
        assert largest == pytest.approx(1, abs=0.02)
    out = network(torch.rand(2, 1, 12, 12))
    assert reached(out, network)
