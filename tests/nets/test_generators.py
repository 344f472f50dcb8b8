import pytest
import torch
from torch import nn

from repkit.nets.generators import GENERATORS, Generator, UnitInterval

from ..networks import IMAGES, ROWS, reached

pytestmark = pytest.mark.usefixtures("seeded")


@pytest.mark.parametrize(
    ("name", "shape"),
    [*[("dcgan", shape) for shape in IMAGES], *[("mlp", s) for s in (*ROWS, (4, 4), (3, 5, 6))]],
)
def test_generators_give_the_shape_of_the_samples(name, shape):
    network = GENERATORS[name](3, shape, 32)
    out = network(torch.randn(2, 3))
    assert out.shape == (2, *shape)
    assert reached(out, network)
    assert out.std(0).min() > 0  # every pixel depends on the code


@pytest.mark.parametrize("shape", [(10,), (3, 3), (1, 3, 8), (1, 8, 3), (2, 1, 8, 8)])
def test_deconvolutions_want_images(shape):
    with pytest.raises(ValueError, match=r"'dcgan' .*at least 4x4, .*not for .*use 'mlp'"):
        GENERATORS["dcgan"](3, shape, 16)


def test_the_unit_interval():
    x = torch.tensor([-200.0, -1.0, 0.0, 7.0], dtype=torch.bfloat16)
    out = UnitInterval()(x)
    assert out.dtype == torch.float32
    assert out.tolist() == pytest.approx([0, 0.268941, 0.5, 0.999089], abs=1e-6)


def test_a_generator_tells_its_logits():
    network = Generator(nn.Linear(3, 4), nn.Unflatten(1, (2, 2)), UnitInterval())
    z = torch.randn(5, 3)
    logits = network(z, logits=True)
    assert torch.equal(network(z), torch.sigmoid(logits))
    assert torch.equal(logits, network[1](network[0](z)))
    assert network.bfloat16()(z.bfloat16(), logits=True).dtype == torch.float32


def test_logits_stay_logits_where_the_sample_is_full():
    network = Generator(nn.Identity(), UnitInterval())
    z = torch.tensor([[40.0, -40.0, 100.0, -200.0]])
    assert network(z).tolist()[0][::2] == [1.0, 1.0]
    assert torch.equal(network(z, logits=True), z)
