"""The loop over epochs: repeatable, resumable at any moment, and safe from bad numbers."""

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from repkit import DANN
from repkit.engine.batches import Batches
from repkit.engine.checkpoint import Checkpoints
from repkit.engine.engine import Engine
from repkit.engine.rng import isolated_rng
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
        assert all(m.training for m in engine.system.networks.values())
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
    assert caplog.messages[1].startswith("epoch 2  step 8  loss_A ")


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

    with pytest.warns(ConvergenceWarning, match=rf"stopped at step {bad}: .*loss_A is not finite"):
        result = train(
            engine,
            max_epochs=EPOCHS,
            evaluate=evaluate,
            checkpoints=Checkpoints(tmp_path, "run"),
        )
    assert_equal(engine.state_dict(), after(bad))
    last = result.history[-1]
    assert last["failed_step"] == last["step"] == bad
    assert last["failed_term"] == ("loss_A" if how == "loss" else "gradient of loss_A")
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
    with pytest.warns(ConvergenceWarning, match="step 0: extra is not finite"):
        train(engine, max_epochs=1)
    assert_equal(engine.state_dict(), after(0))


# -------------------------------------------------------------------- DANN


def domains():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    X = (rng.normal(size=(60, 4)) + 2 * y[:, None]).astype(np.float32)
    X[30:] += 1
    return X, y, np.repeat([0, -1], 30)


def model(**options):
    torch.manual_seed(11)  # of the backbone's own weights
    backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4))
    return DANN(
        backbone,
        **{
            "max_epochs": 5,
            "batch_size": 8,
            "ema": 0.9,
            "select": "infomax",
            "random_state": 0,
            "device": "cpu",
        }
        | options,
    )


def fitted(estimator):
    X, y, sample_domain = domains()
    return estimator.fit(X, y, sample_domain=sample_domain)


def interrupt(epoch):
    def callback(row):
        if row["epoch"] == epoch:
            raise KeyboardInterrupt

    return callback


@pytest.fixture(scope="module")
def whole():
    with isolated_rng(CPU):
        return fitted(model())


def test_one_seed_one_result(whole):
    torch.manual_seed(123)
    np.random.seed(123)
    assert_equal(fitted(model()).weights_, whole.weights_)
    other = fitted(model(random_state=1)).weights_["last"]["C"]["weight"]
    assert not torch.equal(other, whole.weights_["last"]["C"]["weight"])


@pytest.mark.parametrize("training", ["joint", "alternating"])
def test_a_fit_leaves_the_callers_generators_alone(training):
    X, y, sample_domain = domains()
    estimator = model(training=training)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    estimator.fit(X, y, sample_domain=sample_domain)
    estimator.predict(X)
    assert random.getstate() == before[0]
    for a, b in zip(np.random.get_state(), before[1], strict=True):
        assert np.array_equal(a, b)
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("epoch", [1, 2, 4, 5])
def test_a_fit_that_was_interrupted_goes_on(whole, tmp_path, epoch):
    with pytest.raises(KeyboardInterrupt):
        fitted(model(checkpoint=tmp_path, callbacks=[interrupt(epoch)]))
    assert len(list(tmp_path.iterdir())) == min(epoch - 1, 2)
    rows = []
    resumed = fitted(model(checkpoint=tmp_path, callbacks=[rows.append]))
    assert [row["epoch"] for row in rows] == list(range(epoch, 6))
    assert_equal(resumed.weights_, whole.weights_)
    assert resumed.selected_epoch_ == whole.selected_epoch_
    columns = whole.history_.columns.drop("seconds")
    assert resumed.history_[columns].equals(whole.history_[columns])


def test_without_a_random_state_the_stored_seed_is_taken(tmp_path):
    before = np.random.get_state()[1].copy()
    with pytest.raises(KeyboardInterrupt):
        fitted(model(random_state=None, checkpoint=tmp_path / "a", callbacks=[interrupt(3)]))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    first = fitted(model(random_state=None, checkpoint=tmp_path / "a"))
    second = fitted(model(random_state=None, checkpoint=tmp_path / "b"))
    assert_equal(first.weights_, second.weights_)
    other = fitted(model(random_state=None)).weights_["last"]["C"]["weight"]
    assert not torch.equal(other, first.weights_["last"]["C"]["weight"])
    # The seed is new, and not numpy's: the caller's generator is where it was.
    assert (np.random.get_state()[1] == before).all()


# -------------------------------------------------------------------- killed

KILLED = r"""
import contextlib, hashlib, importlib, json, os, random, shutil, signal, sys, time, traceback
from pathlib import Path

import numpy as np, pandas, torch
from torch import nn

torch.set_num_threads(1)
from repkit import DANN
import repkit.engine.checkpoint as checkpoint

root = Path(sys.argv[1])
rng = np.random.default_rng(0)
y = rng.integers(0, 2, 60)
X = (rng.normal(size=(60, 4)) + 2 * y[:, None]).astype(np.float32)
domain = np.repeat([0, -1], 30)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(number, function, before):
    calls = []

    def wrapped(*args):
        calls.append(1)
        if len(calls) == number:
            before(*args)
        return function(*args)

    return wrapped


def tear(handle):  # half of the file has reached the disk
    os.ftruncate(handle, os.fstat(handle).st_size // 2)
    die()


def during_write(number):
    os.fsync = at_call(2 * number - 1, os.fsync, tear)  # the file's; every second is the folder's


def before_rename(number):
    os.replace = at_call(number, os.replace, lambda *args: die())


def after_rename(number):
    os.fsync = at_call(2 * number, os.fsync, lambda *args: die())


def child(folder, out, fault=lambda number: None, number=0):
    pid = os.fork()
    if pid:
        return pid
    try:
        fault(number)
        torch.manual_seed(11)
        backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4))
        model = DANN(
            backbone, max_epochs=30, batch_size=10, ema=0.9, select="infomax", random_state=0,
            device="cpu", checkpoint=folder,
        )
        model.fit(X, y, sample_domain=domain)
        digest = hashlib.sha256()
        for which in sorted(model.weights_):
            for network, state in sorted(model.weights_[which].items()):
                for value in state.values():
                    digest.update(value.numpy().tobytes())
        digest.update(model.history_.drop(columns="seconds").to_csv().encode())
        out.write_text(digest.hexdigest())
        (root / "modules").write_text("\n".join(sys.modules))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def wait(pid):
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def newest(folder):
    return max((int(p.name[6:14]) for p in folder.glob("epoch-*.ckpt")), default=0)


results, out = [], root / "digest"


def finish(folder):
    assert not wait(child(folder, out))
    results.append(out.read_text())
    names = sorted(p.name for p in folder.iterdir())
    assert names == ["epoch-00000029.ckpt", "epoch-00000030.ckpt"], names
    shutil.rmtree(folder)


# What a first fit imports, once for all children. The parent itself runs no tensor code: it forks.
finish(root / "first")
for name in (root / "modules").read_text().splitlines():
    with contextlib.suppress(Exception):
        importlib.import_module(name)
started = time.perf_counter()
finish(root / "whole")
seconds = time.perf_counter() - started

# In the middle of a write, each time a few epochs on.
folder, epochs = root / "writes", []
for number, fault in enumerate([during_write, before_rename, after_rename] * 2, 2):
    assert wait(child(folder, out, fault, number))
    epochs.append(newest(folder))
finish(folder)

# At random moments.
folder, kills, seen = root / "random", 0, set()
moments = random.Random(0)
while kills < 20:
    pid = child(folder, out)
    time.sleep(moments.uniform(0, 0.4) * seconds)
    os.kill(pid, signal.SIGKILL)
    if wait(pid):
        kills += 1
        seen.add(newest(folder))
    else:
        finish(folder)  # it was done: it stays so, and the next starts afresh
finish(folder)
print(json.dumps({"results": results, "epochs": epochs, "seen": sorted(seen), "kills": kills,
                  "seconds": seconds}))
"""


@pytest.mark.skipif(not hasattr(os, "fork") or not hasattr(signal, "SIGKILL"), reason="needs fork")
def test_a_killed_fit_goes_on_bit_for_bit(tmp_path):
    """Killed by the system at 20 random moments, and at each stage of writing a checkpoint."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | threads,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(set(report["results"])) == 1
    assert len(report["results"]) >= 4
    # Killed in the k-th write: k - 1 more checkpoints, or k when it was after the renaming.
    assert report["epochs"] == [1, 3, 7, 11, 16, 23]
    assert report["kills"] == 20
    assert len(report["seen"]) > 1
