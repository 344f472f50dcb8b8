import copy

import pytest
import torch

from repkit.bigan.networks import PairDiscriminator
from repkit.nets.trunks import hidden_layer

from ..networks import reached, rows_are_apart

pytestmark = pytest.mark.usefixtures("seeded")


def pair_judge(unary=False):
    return PairDiscriminator(hidden_layer((4,), 8), 8, 3, 6, unary)


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
