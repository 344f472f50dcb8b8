import pytest
import torch

from repkit.nets.trunks import hidden_layer
from repkit.vaegan.networks import FeatureDiscriminator

from ..networks import reached

pytestmark = pytest.mark.usefixtures("seeded")


def test_the_feature_discriminator():
    body = hidden_layer((4,), 8)
    judge, x = FeatureDiscriminator(body, 8, 6, 3), torch.randn(5, 4)
    hidden, logits = judge(x)
    assert torch.equal(hidden, body(x))
    assert logits.shape == (5, 3)
    assert reached(logits, judge)
    assert torch.equal(logits, judge.judge(hidden))
    assert torch.autograd.functional.jacobian(judge.judge, hidden).abs().max() > 0
