import random

import numpy as np
import pytest
import torch

from repkit.engine.rng import isolated_rng, seed_everything


def draw():
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()


def test_the_callers_generators_are_given_back():
    seed_everything(3)
    expected = draw()
    seed_everything(3)
    with isolated_rng(torch.device("cpu")):
        seed_everything(9)
        inside = draw()
    assert draw() == expected
    assert inside != expected
    seed_everything(3)
    with pytest.raises(ZeroDivisionError), isolated_rng(torch.device("cpu")):
        draw()[2] / 0
    assert draw() == expected


def test_a_seed_of_63_bits():
    seed_everything(2**63 - 1)
    first = draw()
    seed_everything(2**63 - 1)
    assert draw() == first
