"""How many threads a step is worth."""

import pytest
import torch
from torch import nn

from repkit.engine.threads import SMALL, multiplications, suited_threads


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_multiplications():
    table = {"F": nn.Sequential(nn.Linear(10, 20), nn.BatchNorm1d(20), nn.Linear(20, 3))}
    assert multiplications(table, 7, 1) == 7 * (200 + 60)
    images = {"F": nn.Conv2d(1, 4, 3), "C": nn.Linear(5, 2)}
    assert multiplications(images, 2, 32 * 32) == 2 * (36 * 64 + 10)
    assert multiplications({}, 2, 4) == 0


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("work", "inside"), [(0.9 * SMALL, 1), (SMALL, 2)])
def test_small_steps_take_one_thread(work, inside):
    with suited_threads(work):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyError), suited_threads(work):
        raise KeyError
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_threads_that_sleep_cost_nothing(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    with suited_threads(1.0):
        assert torch.get_num_threads() == 2
