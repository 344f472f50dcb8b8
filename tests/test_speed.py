"""The benchmarks of speed: loops that move what they should, turns, and what a process imports."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from benchmarks import growth, loops, speed, steps, using
from repkit import VAE, metrics
from repkit.engine.engine import Engine
from repkit.nets import convolutions


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(steps, "ROUNDS", 3)
    monkeypatch.setattr(steps, "SECONDS", 1e-6)
    monkeypatch.setattr(steps, "images", lambda make=steps.images: make(80))
    monkeypatch.setattr(steps, "spoken", lambda make=steps.spoken: make(6, 12))


@pytest.mark.parametrize("system", ["VAEGAN", "TripleGAN", "SpeechAutoencoder"])
def test_a_loop_trains_the_networks_of_the_system(system, small, monkeypatch):
    seen = {}

    def taken(model, fit, loop, device, block=None, ratio=steps.step_ratio):
        players = [p for p in reached(loop) if isinstance(p, loops.Player)]
        before = [copy.deepcopy(p.parameters) for p in players]
        found = ratio(model, fit, loop, device, block)
        pairs = [
            pair
            for old, player in zip(before, players, strict=True)
            for pair in zip(old, player.parameters, strict=True)
        ]
        seen["moved"] = [not torch.equal(a, b) for a, b in pairs]
        seen["finite"] = all(b.isfinite().all() for _, b in pairs)
        return found

    monkeypatch.setattr(steps, "step_ratio", taken)
    kind = "conv" if system == "SpeechAutoencoder" else "MLP"
    found = steps.ratio(system, kind, "cpu", "fp32", "channels_last")
    assert found["time ratio"] > 0
    assert seen["finite"]
    assert len(seen["moved"]) > 4
    assert all(seen["moved"])


def reached(loop):
    """What a loop has around it, one level of tuples deep."""
    for cell in loop.__closure__:
        content = cell.cell_contents
        yield from content if isinstance(content, tuple) else (content,)


def test_a_players_loss_moves_that_player_alone():
    first, second = nn.Linear(3, 3), nn.Linear(3, 1)
    players = loops.Player(first), loops.Player(second)
    before = first.weight.detach().clone(), second.weight.detach().clone()
    loss = second(first(torch.ones(2, 3))).sum()
    loops.descend((players[0], loss))
    assert not torch.equal(first.weight, before[0])
    assert torch.equal(second.weight, before[1])
    still = 0.0 * first.weight.sum()
    loops.descend((players[0], still), (players[1], second(torch.ones(2, 3)).sum()))
    assert not torch.equal(second.weight, before[1])


def test_codes_are_drawn_from_their_law(monkeypatch):
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)
    mean, log_variance, z = loops.drawn(torch.tensor([[1.0, 2.0, 0.0, 40.0]]))
    assert (mean.tolist(), log_variance.tolist()) == ([[1, 2]], [[0, 10]])
    torch.testing.assert_close(z, torch.tensor([[2.0, 2.0 + 2.718281828**5]]))


def test_a_loop_and_a_fit_go_the_same_way(monkeypatch):
    """A step over all rows from the same weights, without noise; the fit has no divergence yet."""

    def silent(self, batch):
        batch.noise = torch.zeros_like(self._noise["noise"])

    monkeypatch.setattr(Engine, "_draw_noise", silent)
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    monkeypatch.setattr(loops, "divergence", lambda *_: torch.zeros(()))
    X = steps.images(32)[0]
    model = VAE(
        encoder="mlp", generator="mlp", width=16, max_epochs=1, steps_per_epoch=1, batch_size=64,
        learning_rate_schedule="constant", validation_fraction=0.0, device="cpu", random_state=0,
    )  # fmt: skip
    still = clone(model).set_params(learning_rate=1e-12)
    networks = steps.networks_of(still, lambda m: m.fit(X), "cpu")
    ours = model.fit(X).networks_
    before = [p.detach().clone() for p in networks["E"].parameters()]
    loops.vae(networks, X, model.latent_dim, 64, "cpu")(1)
    apart = 0.0
    for old, p, q in zip(before, networks["E"].parameters(), ours["E"].parameters(), strict=True):
        p = p.detach()
        apart = max(apart, float((p - old).abs().max()))
        assert float((p - q.detach()).abs().median()) < 1e-5
    assert apart > 9e-4  # as Adam's first step is long


def test_a_loop_has_the_layers_of_torch():
    """As somebody's own networks have; those of a fit beside it go their own way."""
    x, quick = torch.zeros(1), []
    loop = loops.with_layers_of_torch(lambda steps: quick.append(convolutions.quick(x, x)))
    loop(1)
    assert (quick, convolutions.quick(x, x)) == ([False], True)

    def fit(model):
        return model.fit(np.random.default_rng(0).random((80, 4), dtype=np.float32))

    steps.step_ratio(
        VAE(device="cpu"), fit, lambda n: quick.append(convolutions.quick(x, x)), "cpu", 1
    )
    assert set(quick) == {False}


def test_turns_leave_out_the_first():
    turns = steps.Turns(lambda n: None, 2, "cpu")
    for done in range(1, steps.WARM + 9):
        turns.on_step(done, steps.WARM + 8)
        assert done > steps.WARM or not turns.turns
    assert len(turns.turns) == 4
    turns.turns = [(9.0, 1.0), (1.0, 2.0), (2.0, 4.0), (3.0, 4.0)]
    assert turns.ratio()["time ratio"] == 0.5


@pytest.mark.parametrize("kind", ["MLP 20-128-128", "MLP 784-512", "convolutions"])
def test_rows_are_those_of_a_bare_loop(kind, monkeypatch):
    """Or it raises; both take the same batches, and ours does not take a tenth of the time."""
    monkeypatch.setattr(using, "ROUNDS", 3)
    found = using.transform_rate(kind, 64, "cpu")
    assert 0 < found["share of rate"] < 10


def test_shares_of_turns(monkeypatch):
    clock = iter([0, 1, 3, 0, 2, 3, 0, 3, 4])
    monkeypatch.setattr(using, "seconds", lambda device: next(clock))
    monkeypatch.setattr(using, "ROUNDS", 2)
    calls = []
    found = using.in_turn(lambda: calls.append("ours"), lambda: calls.append("theirs"), "cpu")
    assert found == [2.0, 3.0]  # the first warms up
    assert calls == ["ours", "theirs"] * 3


@pytest.mark.parametrize("source", ["arrays", "files"])
def test_sound_outside_the_networks(source, monkeypatch):
    monkeypatch.setattr(using, "ROUNDS", 2)
    monkeypatch.setattr(using, "RATE", 8000)
    found = using.audio_shares(source, "conv", "cpu", n=12)
    assert 0 < found["share outside the network"] < 1
    assert found["times real time"] > 0


@pytest.mark.parametrize("name", growth.METRICS)
def test_metrics_grow(name, monkeypatch):
    """What a process would be given runs, and its figures are read as they are printed."""
    said = {}

    def child(command, text):
        said[int(command[4])] = f"warned\n[{int(command[4]) / 1000}, {int(command[4])}]"
        return said[int(command[4])]

    monkeypatch.setattr(growth.subprocess, "check_output", child)
    found = growth.grown(name, "cpu")
    assert found == {"MB, 5000 rows": 5.0, "MB, 20000 rows": 20.0, "exponent of time": 1.0}
    names = {"X", "y", "s", "factors", "device"}
    rng = np.random.default_rng(0)
    y, s = rng.integers(0, 5, (2, 100))
    X = rng.normal(size=(100, 4)).astype(np.float32)
    given = dict(zip(sorted(names), (X, "cpu", np.stack([y, s], 1), s, y), strict=True))
    result = eval(growth.METRICS[name], vars(metrics) | given)
    assert np.isfinite(list(result.values()) if isinstance(result, dict) else result).all()


def test_all_cases_have_names_of_their_own():
    names = [case.name for case in speed.cases("cpu", "cpu")]
    assert len(names) == len(set(names))
