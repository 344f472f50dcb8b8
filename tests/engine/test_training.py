"""The loop over epochs: repeatable, resumable at any moment, and safe from bad numbers."""

import logging
import random
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from repkit import _progress
from repkit.engine.batches import Batches
from repkit.engine.checkpoint import Checkpoints
from repkit.engine.engine import Engine
from repkit.engine.system import Phase, System
from repkit.engine.training import train, weights

CPU = torch.device("cpu")
STEPS = 4  # an epoch of the toy
EPOCHS = 3


pytestmark = pytest.mark.usefixtures("seeded")


# -------------------------------------------------------------------- a toy


def toy(bad=None, how="loss", seed=0, **options):
    """Two groups, dropout and batch norm; at the step ``bad`` a loss or a gradient breaks."""
    torch.manual_seed(7)
    networks = {
        "A": nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3)),
        "B": nn.Linear(6, 5),
    }

    def loss(n, b):
        error = F.mse_loss(n.B(n.A(b.x)), b.x)
        first = error
        if bad is not None and round(b.now.item()) == bad:
            weight = n.A[0].weight
            if how == "loss":
                first = error * torch.inf
            else:  # sqrt(0): its value is finite, its slope is not
                first = error + (weight - weight.detach()).sum().sqrt()
                assert first.isfinite()
        return {"A": first, "B": error, "extra": error.detach()}

    total = STEPS * EPOCHS
    system = System(
        networks,
        {"A": ("A",), "B": ("B",)},
        (Phase(loss),),
        schedules={"now": lambda p: p * total},
    )
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(32, 5)).astype(np.float32))
    batches = Batches({"x": x}, [(np.arange(32), 8)], seed=seed, device=CPU)
    return Engine(
        system,
        batches,
        optimizer=lambda p: torch.optim.Adam(p, 0.01, fused=True),
        total_steps=total,
        seed=seed,
        **({"ema": 0.8} | options),
    )


def after(steps):
    """The toy's state after so many steps of a run in which nothing goes wrong."""
    engine = toy()
    engine.train_mode()
    for step in range(steps):
        if step % STEPS == 0:
            engine.begin_epoch()
        engine.step()
    return engine.state_dict()


def assert_equal(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


# -------------------------------------------------------------------- the loop


def test_rows_and_modes():
    engine = toy()
    seen = []

    def evaluate():
        assert not any(m.training for m in engine.system.networks.values())
        return {"score": np.float32(0.25)}

    def callback(row):
        assert not any(m.training for m in engine.system.networks.values())
        seen.append(dict(row))
        row["mine"] = row["epoch"] * 10

    result = train(engine, max_epochs=EPOCHS, evaluate=evaluate, callbacks=[callback])
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert [row["step"] for row in result.history] == [4, 8, 12]
    assert [row["mine"] for row in result.history] == [10, 20, 30]
    assert [row["now"] for row in result.history] == pytest.approx([3, 7, 11])
    assert set(seen[0]) == {"epoch", "step", "loss_A", "loss_B", "extra", "now", "score", "seconds"}
    assert type(result.history[0]["score"]) is float  # plain, so that a checkpoint can hold it
    seconds = [row["seconds"] for row in result.history]
    assert seconds == sorted(seconds)
    assert not any(m.training for m in engine.system.networks.values())
    assert result.failure is None
    assert_equal(engine.state_dict(), after(12))  # so the steps were taken in training mode


def test_callbacks_are_called_where_the_history_is_shown():
    """Inside a context that is given the rows so far; without callbacks there is none."""
    told, inside = [], []

    @contextmanager
    def show(history):
        told.append([dict(row) for row in history])
        inside.append(True)
        try:
            yield
        finally:
            inside.pop()

    def callback(row):
        assert inside
        assert told[-1][-1] == row

    train(toy(), max_epochs=3, callbacks=[callback], show=show)
    assert [[row["epoch"] for row in rows] for rows in told] == [[1], [1, 2], [1, 2, 3]]
    assert not inside
    train(toy(), max_epochs=3, show=show)
    assert len(told) == 3
    with pytest.raises(KeyboardInterrupt):
        train(toy(), max_epochs=3, callbacks=[interrupted], show=show)
    assert not inside


def interrupted(row):
    raise KeyboardInterrupt


def test_a_callback_that_fails_does_not_end_the_training():
    """It is left out from then on; the others are called."""
    calls = []

    def fails(row):
        calls.append("fails")
        raise ZeroDivisionError("in a plot")

    engine = toy()
    with pytest.warns(UserWarning, match="a callback raised ZeroDivisionError: in a plot; the tr"):
        result = train(
            engine, max_epochs=EPOCHS, callbacks=[fails, lambda row: calls.append("other")]
        )
    assert calls == ["fails", "other", "other", "other"]
    assert len(result.history) == EPOCHS
    assert_equal(engine.state_dict(), after(12))


def test_a_full_disk_does_not_end_the_training(tmp_path, monkeypatch):
    """The checkpoint of before stays, and no other is tried."""
    store, save, calls = Checkpoints(tmp_path, "run"), Checkpoints.save, []

    def full(self, epoch, state):
        calls.append(epoch)
        if epoch == 2:
            raise OSError("no space left on device")
        save(self, epoch, state)

    monkeypatch.setattr(Checkpoints, "save", full)
    engine = toy()
    with pytest.warns(UserWarning, match=r"no checkpoint of epoch 2 .*no space.*goes on without"):
        result = train(engine, max_epochs=EPOCHS, checkpoints=store)
    assert calls == [1, 2]
    assert len(result.history) == EPOCHS
    assert_equal(engine.state_dict(), after(12))
    assert store.load()["engine"]["position"] == STEPS


def test_rows_hold_plain_values(tmp_path):
    """Whatever a callback puts into them, a checkpoint can hold it."""
    values = {
        "tensor": torch.tensor(2.5),
        "array": np.arange(3),
        "number": np.int64(4),
        "text": "x",
        "none": None,
        "object": {1},
        7: 1.0,
    }
    engine, store = toy(), Checkpoints(tmp_path, "run")
    train(engine, max_epochs=1, callbacks=[lambda row: row.update(values)], checkpoints=store)
    (row,) = store.load()["training"]["history"]
    expected = {"tensor": 2.5, "array": [0, 1, 2], "number": 4, "text": "x", "none": None}
    assert {k: row[k] for k in expected} == expected
    assert (row["object"], row["7"]) == ("{1}", 1.0)


def test_a_callback_may_change_modes():
    def callback(row):
        engine.train_mode()

    engine = toy()
    train(engine, max_epochs=EPOCHS, callbacks=[callback])
    assert not any(m.training for m in engine.system.networks.values())
    assert_equal(engine.state_dict(), after(12))


def test_a_callback_stops(tmp_path):
    def run(checkpoints=None):
        calls = []

        def stop(row):
            calls.append("stop")
            return row["epoch"] == 2

        engine = toy()
        callbacks = [stop, lambda row: calls.append("other")]
        store = Checkpoints(tmp_path, "run")
        return engine, train(engine, max_epochs=9, callbacks=callbacks, checkpoints=store), calls

    engine, result, calls = run()
    assert calls == ["stop", "other"] * 2  # all are called, also in the last epoch
    assert [row["epoch"] for row in result.history] == [1, 2]
    assert result.history[-1]["stopped"] is True
    assert_equal(engine.state_dict(), after(8))
    again, resumed, calls = run()
    assert calls == []  # a run that was stopped is over
    assert resumed.history == result.history
    assert_equal(again.state_dict(), engine.state_dict())


def test_the_best_epoch_is_kept():
    scores = iter([0.1, 0.7, 0.7])
    engine = toy()
    result = train(engine, max_epochs=3, evaluate=lambda: {"score": next(scores)}, select="score")
    assert (result.best_epoch, result.best_score) == (2, 0.7)  # the first of equals
    assert_equal(result.best, after(8)["averaged"])
    assert_equal(weights(engine), after(12)["averaged"])
    assert train(toy(), max_epochs=1).best is None
    plain = toy(ema=0.0)
    train(plain, max_epochs=1)
    assert_equal(weights(plain), plain.state_dict()["networks"])


def test_verbose(caplog):
    with caplog.at_level(logging.INFO, logger="repkit"):
        train(toy(), max_epochs=1)
        assert not caplog.messages
        train(toy(), max_epochs=2, verbose=1)
    assert len(caplog.messages) == 2
    assert caplog.messages[1].startswith("epoch 2/2  step 8  loss_A ")


def test_verbose_without_a_listener(capsys, monkeypatch):
    """Printed, as scikit-learn does, if nobody listens to the logger."""
    monkeypatch.setattr(logging.getLogger("repkit"), "propagate", False)
    train(toy(), max_epochs=1, verbose=1)
    assert capsys.readouterr().out.startswith("epoch 1/1  step 4  loss_A ")


class Ticks:
    """A callback that is told of steps."""

    def __init__(self, fails_at=None):
        self.seen, self.fails_at = [], fails_at

    def on_step(self, done, of):
        if done == self.fails_at:
            raise RuntimeError("enough")
        self.seen.append((done, of))

    def __call__(self, row):
        self.seen.append(row["epoch"])


def test_ticks_within_an_epoch():
    ticks = Ticks()
    train(toy(), max_epochs=2, callbacks=[ticks])
    steps = [(k, STEPS) for k in range(1, STEPS + 1)]
    assert ticks.seen == [*steps, 1, *steps, 2]


def test_a_tick_that_raises_is_left_out():
    ticks, others = Ticks(fails_at=2), Ticks()
    with pytest.warns(
        UserWarning, match=r"RuntimeError: enough; the training goes on without it \("
    ):
        result = train(toy(), max_epochs=2, callbacks=[ticks, others])
    assert (ticks.seen, len(result.history)) == ([(1, STEPS)], 2)
    assert len(others.seen) == 2 * STEPS + 2


def test_verbose_on_a_terminal(capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr(logging.getLogger("repkit"), "propagate", False)
    monkeypatch.setattr(_progress, "on_terminal", lambda: True)
    train(toy(), max_epochs=2, verbose=1)
    out, err = capsys.readouterr()
    assert (out, "2/2" in err) == ("", True)


@pytest.mark.parametrize("stopped_after", [1, 2, 3])
def test_a_run_in_parts_equals_one_in_a_piece(tmp_path, stopped_after):
    scores = {1: 0.5, 2: 0.9, 3: 0.7}

    def run(epochs, folder):
        engine = toy()
        result = train(
            engine,
            max_epochs=epochs,
            evaluate=lambda: {"score": scores[engine.position // STEPS]},
            select="score",
            checkpoints=Checkpoints(folder, "run"),
        )
        return engine.state_dict(), result

    whole, expected = run(3, tmp_path / "whole")
    run(stopped_after, tmp_path / "parts")
    random.seed(5)
    torch.manual_seed(5)  # whatever the state that a new process starts with
    state, result = run(3, tmp_path / "parts")
    assert_equal(state, whole)
    assert (result.best_epoch, result.best_score) == (2, 0.9)
    assert_equal(result.best, expected.best)
    for row, other in zip(result.history, expected.history, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


# -------------------------------------------------------------------- not finite


@pytest.mark.parametrize("how", ["loss", "gradient"])
@pytest.mark.parametrize("bad", [0, 1, 4, 6, 7, 8, 10, 11])  # first, last and others of an epoch
def test_the_weights_before_a_bad_step_are_kept(how, bad, tmp_path):
    engine = toy(bad, how)
    evaluated = []

    def evaluate():
        evaluated.append(engine.position)
        return {}

    result = train(
        engine,
        max_epochs=EPOCHS,
        evaluate=evaluate,
        checkpoints=Checkpoints(tmp_path, "run"),
    )
    name = "loss_A" if how == "loss" else "gradient of loss_A"
    assert result.failure.startswith(f"training stopped at step {bad}: {name} is not finite")
    assert_equal(engine.state_dict(), after(bad))
    last = result.history[-1]
    assert last["failed_step"] == last["step"] == bad
    assert last["failed_term"] == name
    assert len(result.history) == last["epoch"] == bad // STEPS + 1
    assert evaluated == [STEPS * (k + 1) for k in range(bad // STEPS)]  # never on broken weights
    newest = Checkpoints(tmp_path, "run").load()  # nor are they in a checkpoint
    assert (newest is None) == (bad < STEPS)
    if newest is not None:
        assert_equal(newest["engine"], after(bad // STEPS * STEPS))
        assert len(newest["training"]["history"]) == bad // STEPS


def test_a_term_that_is_only_logged_is_watched_too():
    engine = toy()
    (phase,) = engine.system.phases

    def loss(n, b):
        terms = phase.loss(n, b)
        return terms | {"extra": torch.log(b.now - 5.5)}

    engine.system = System(
        engine.system.networks,
        engine.system.groups,
        (Phase(loss),),
        schedules=engine.system.schedules,
    )
    assert "step 0: extra is not finite" in train(engine, max_epochs=1).failure
    assert_equal(engine.state_dict(), after(0))
