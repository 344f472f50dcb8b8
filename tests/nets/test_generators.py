import pytest
import torch

from repkit.nets.generators import GENERATORS, UnitInterval

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
