"""What a phase may say beside its losses."""

import numpy as np
import pytest
import torch
from torch import nn

from repkit.engine.batches import Batches
from repkit.engine.engine import Engine
from repkit.engine.optim import Adam
from repkit.engine.rng import isolated_rng
from repkit.engine.system import Phase, System

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _seeded():
    with isolated_rng(CPU):
        torch.manual_seed(0)
        yield


def tensors(state):
    """All tensors of a state, copied."""
    if isinstance(state, torch.Tensor):
        return [state.clone()]
    items = state.values() if isinstance(state, dict) else state
    return [t for v in items if isinstance(v, torch.Tensor | dict | list) for t in tensors(v)]


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
        lambda p: torch.optim.RAdam(p, 0.01, weight_decay=0.1),
        lambda p: Adam(p, 0.01, weight_decay=0.1),
    ],
    ids=["sgd", "radam", "own"],
)
def test_a_group_stands_still_where_its_phase_says_so(optimizer):
    """Neither weights nor optimizer move: not by momentum, not by weight decay."""
    skipped = (0, 3)  # at the first step, an optimizer may have no state yet

    def losses(n, b):
        error = (n.B(n.A(b.x)) - 1).square().mean()
        still = engine.position in skipped
        return {"A": error, "B": error, "skip_A": torch.tensor(still), "skip_B": torch.tensor(False)}

    networks = {"A": nn.Linear(3, 3), "B": nn.Linear(3, 1)}
    batches = Batches({"x": torch.randn(24, 3)}, [(np.arange(24), 8)], seed=0, device=CPU)
    system = System(networks, {"A": ("A",), "B": ("B",)}, (Phase(losses),))
    engine = Engine(system, batches, optimizer=optimizer, total_steps=10, seed=1)
    for step in range(5):
        before = engine.state_dict()
        engine.step()
        after = engine.state_dict()
        for part in ("networks", "optimizers"):
            for group in "AB":
                old, new = (tensors(state[part][group]) for state in (before, after))
                same = len(old) == len(new) and all(map(torch.equal, old, new))
                assert same == (group == "A" and step in skipped)
    means, _ = engine.read()
    assert means["skip_A"] == pytest.approx(0.4)
    assert means["skip_B"] == 0
