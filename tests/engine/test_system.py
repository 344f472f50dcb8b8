"""What a system is made of: groups, phases, noise; and what a phase may say beside its losses."""

import numpy as np
import pytest
import torch
from torch import nn

from repkit.engine.batches import Batches
from repkit.engine.engine import Engine
from repkit.engine.optim import Adam
from repkit.engine.system import Noise, Phase, System

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("seeded")


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
        return {
            "A": error,
            "B": error,
            "skip_A": torch.tensor(still),
            "skip_B": torch.tensor(False),
        }

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


# -------------------------------------------------------------------- groups and noise


def test_groups_and_phases_must_know_each_other():
    net = {"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)}
    loss = lambda n, b: {"a": n.a(b.x[:, :1]).mean()}
    with pytest.raises(ValueError, match=r"phase groups \('c',\) are not among"):
        System(net, {"a": ("a",)}, (Phase(loss, ("c",)),))
    with pytest.raises(ValueError, match="groups must name networks"):
        System(net, {"a": ("a", "c")}, (Phase(loss),))
    with pytest.raises(ValueError, match="each once at most"):
        System(net, {"a": ("a",), "b": ("a",)}, (Phase(loss),))


def filled(kind, shape=(7,), rows=2000):
    generator = torch.Generator().manual_seed(3)
    buffer = torch.full((rows, *shape), 9.0)
    Noise(shape, kind).fill(buffer, generator)
    return buffer


def test_noise_has_the_law_of_its_kind():
    normal = filled("normal")
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.03
    uniform = filled("uniform", (2, 3))
    assert -1 <= uniform.min() < -0.99
    assert 0.99 < uniform.max() <= 1
    assert abs(uniform.mean()) < 0.03
    one = filled("onehot")
    assert one.unique().tolist() == [0, 1]
    assert (one.sum(1) == 1).all()
    assert (one.mean(0) - 1 / 7).abs().max() < 0.03


def test_unknown_noise():
    with pytest.raises(ValueError, match="'uniform' or 'onehot', not 'pink'"):
        filled("pink")
