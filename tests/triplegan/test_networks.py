import pytest
import torch

from repkit.nets.trunks import hidden_layer
from repkit.triplegan.networks import ProjectionDiscriminator

from ..networks import reached

pytestmark = pytest.mark.usefixtures("seeded")


def test_the_projection_discriminator_gives_the_logits_of_all_pairs_at_once():
    """Those of one pair after the other: ``v_k . h + psi(h)``."""
    body = hidden_layer((4,), 8)
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
