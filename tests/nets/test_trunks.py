import copy

import numpy as np
import pytest
import torch
from torch import nn

from repkit import DANN
from repkit.datasets import make_domains
from repkit.nets.trunks import (
    Cosine,
    Encoder,
    Reshape,
    Standardize,
    as_image,
    conv,
    dcgan,
    features_of,
    halvings,
    hidden_layer,
    mlp,
    small_weights,
    spectral_norms,
)

from ..networks import IMAGES, ROWS, reached, rows_are_apart

pytestmark = pytest.mark.usefixtures("seeded")


# -------------------------------------------------------------------- trunks


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


@pytest.mark.parametrize("norm", [True, False])
def test_conv_reaches_every_parameter(norm):
    network, x = conv((2, 9, 14), 5, width=4, norm=norm), torch.rand(3, 2, 9, 14)
    out = network(x)
    assert reached(out, network)
    assert rows_are_apart(network, x) != norm


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("shape", IMAGES)
def test_the_dcgan_trunk(shape, norm):
    network = dcgan(shape, 32, norm=norm)
    x = torch.rand(3, *shape)
    out = network(x)
    assert out.ndim == 2
    assert reached(out, network)
    assert norm or rows_are_apart(network, x)


@pytest.mark.parametrize("shape", [(10,), (3, 3), (1, 3, 8), (1, 8, 3), (2, 1, 8, 8)])
def test_the_dcgan_trunk_wants_images(shape):
    with pytest.raises(ValueError, match=r"'dcgan' .*at least 4x4, .*not for .*use 'mlp'"):
        dcgan(shape, 16)


@pytest.mark.parametrize("shape", [(6,), (8, 8), (3, 4, 4)])
def test_mlp_shapes(shape):
    network = mlp(shape, 5, (7, 9), dropout=0.5, input_dropout=0.2)
    assert network(torch.rand(3, *shape)).shape == (3, 5)
    widths = [m.out_features for m in network if isinstance(m, nn.Linear)]
    assert widths == [7, 9, 5]
    assert [m.p for m in network if isinstance(m, nn.Dropout)] == [0.2, 0.5, 0.5]
    assert isinstance(network[-1], nn.Linear)
    assert isinstance(mlp((4,), 2, ())[0], nn.Linear)


@pytest.mark.parametrize("shape", [*ROWS, (4, 4), (3, 5, 6)])
def test_one_hidden_layer(shape):
    network, x = hidden_layer(shape, 9), torch.rand(3, *shape)
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


def test_standardize():
    x = torch.rand(4, 3, 5, 5) * torch.tensor([1.0, 10, 100, 1000]).view(4, 1, 1, 1)
    out = Standardize()(x).flatten(1)
    torch.testing.assert_close(out.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std(1, correction=0), torch.ones(4), atol=1e-3, rtol=0)
    assert not list(Standardize().parameters())


def test_reshape():
    x = torch.rand(4, 6)
    assert Reshape((2, 3))(x).shape == (4, 2, 3)
    assert torch.equal(Reshape([6])(x.view(4, 3, 2)), x)
    assert "(2, 3)" in repr(Reshape((2, 3)))


# -------------------------------------------------------------------- features and encoder


@pytest.mark.parametrize("norm", [True, False])
def test_features(norm):
    network, x = features_of(hidden_layer((4,), 8), 8, 5, norm=norm), torch.randn(6, 4)
    out = network(x)
    assert out.shape == (6, 5)
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
    network = nn.Sequential(dcgan((1, 12, 12), 64, norm=False), nn.Linear(16 * 9, 5))
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


def test_cosines_are_of_directions_alone():
    torch.manual_seed(0)
    layer, f = Cosine((3, 4), 5, scale=8.0), torch.randn(6, 12)
    out = layer(f)
    a, b = f.numpy(), layer.weight.detach().numpy()
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(out.detach(), 8 * a @ b.T / lengths, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer(7 * f), out)
    assert torch.isfinite(layer(torch.zeros(2, 12))).all()
    assert reached(out, layer)
    assert Cosine(12, 5).weight.shape == (5, 12)


def test_cosines_as_a_label_predictor():
    data = make_domains(n_samples=60, random_state=0)
    model = DANN(heads=Cosine, max_epochs=15, width=16, random_state=0)
    model.fit(data.X, data.y, sample_domain=data.sample_domain)
    assert isinstance(model.networks_["C"], Cosine)
    source = data.sample_domain > 0
    assert model.score(data.X[source], data.y[source]) > 0.8
