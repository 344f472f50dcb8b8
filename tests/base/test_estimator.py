"""The fit that all estimators share, on DANN: repeatable, resumable at any moment, kept safe."""

import json
import os
import random
import shutil
import signal

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from repkit import DANN
from repkit.engine.rng import isolated_rng

from .small import run_alone

pytestmark = pytest.mark.usefixtures("seeded")

CPU = torch.device("cpu")


def assert_equal(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


# -------------------------------------------------------------------- seeds, interruptions


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
        **{
            "backbone": backbone,
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


@pytest.mark.parametrize("updates", ["joint", "alternating"])
def test_a_fit_leaves_the_callers_generators_alone(updates):
    X, y, sample_domain = domains()
    estimator = model(updates=updates)
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
    assert len(list(tmp_path.rglob("*.ckpt"))) == min(epoch - 1, 2)
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


# -------------------------------------------------------------------- not finite


def test_a_failed_training_keeps_the_last_good_weights_and_says_so():
    """Those of a run that learns nothing from that step on."""
    bad = 7

    def breaks(progress):
        return float("inf") if progress * 20 > bad - 0.5 else 1.0

    def stops(progress):
        return 0.0 if progress * 20 > bad - 0.5 else 1.0

    options = {"backbone": "mlp", "ema": 0.0, "select": None, "steps_per_epoch": 4}
    with pytest.warns(ConvergenceWarning, match=f"stopped at step {bad}: .* not finite") as record:
        failed = fitted(model(lam=breaks, **options))
    assert record[0].filename == __file__  # it names the caller's line
    held = fitted(model(lam=1.0, learning_rate_schedule=stops, **options))
    assert_equal(failed.weights_, held.weights_)
    assert failed.history_["failed_step"].tolist()[-1] == bad
    assert failed.n_iter_ == 1  # epochs that were trained to their end
    X, *_ = domains()
    assert np.isfinite(failed.predict_proba(X)).all()
    assert not any(m.training for n in failed.networks_.values() for m in n.modules())


# -------------------------------------------------------------------- killed

KILLED = r"""
import contextlib, hashlib, importlib, json, os, random, shutil, signal, sys, time, traceback
from pathlib import Path

import numpy as np, pandas, torch
from torch import nn

torch.set_num_threads(1)
from sklearn.exceptions import ConvergenceWarning
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
    return max((int(p.name[6:14]) for p in folder.rglob("epoch-*.ckpt")), default=0)


results, out = [], root / "digest"


def finish(folder):
    assert not wait(child(folder, out))
    results.append(out.read_text())
    names = sorted(p.name for p in folder.rglob("epoch-*"))
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
while kills < 8:
    pid = child(folder, out)
    time.sleep(moments.uniform(0, 0.9) * seconds)
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
    """Killed by the system at 8 random moments, and at each stage of writing a checkpoint."""
    report = json.loads(run_alone(KILLED, tmp_path))
    assert len(set(report["results"])) == 1
    assert len(report["results"]) >= 4
    # Killed in the k-th write: k - 1 more checkpoints, or k when it was after the renaming.
    assert report["epochs"] == [1, 3, 7, 11, 16, 23]
    assert report["kills"] == 8
    assert len(report["seen"]) > 1


# -------------------------------------------------------------------- checkpoints


@pytest.fixture
def fit(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)).astype(np.float32)
    y = np.tile([0, 1], 20)

    def run(X=X, y=y, **options):
        estimator = DANN(
            **{"max_epochs": 2, "random_state": 0, "checkpoint": tmp_path / "c", "device": "cpu"}
            | options
        )
        return estimator.fit(X, y, sample_domain=np.repeat([0, -1], 20))

    run.X, run.y = X, y
    return run


@pytest.mark.parametrize(
    "other",
    ["data", "labels", {"random_state": 1}, {"max_epochs": 1}, {"conditional": True}, {"lam": 0.5}],
)
def test_a_fit_of_other_data_or_parameters_is_another_run(fit, other, tmp_path):
    """It starts afresh beside the first, to which the same folder still leads back."""
    first = fit()
    files = {p: p.read_bytes() for p in (tmp_path / "c").rglob("*.ckpt")}
    options = other if isinstance(other, dict) else {}
    if other == "data":
        options = {"X": fit.X + 1}
    if other == "labels":
        options = {"y": 1 - fit.y}
    rows = []
    fit(**options, callbacks=[rows.append])
    assert [row["epoch"] for row in rows] == list(range(1, options.get("max_epochs", 2) + 1))
    assert {p: p.read_bytes() for p in files} == files
    assert len(list((tmp_path / "c").iterdir())) == 2
    rows.clear()
    again = fit(callbacks=[rows.append])
    assert rows == []
    torch.testing.assert_close(again.weights_, first.weights_, rtol=0, atol=0)


def test_what_does_not_change_the_result_may_change(fit):
    first = fit()
    calls = []
    again = fit(callbacks=[calls.append], verbose=0)
    assert calls == []  # the run was done
    torch.testing.assert_close(again.weights_, first.weights_, rtol=0, atol=0)


def test_a_torn_checkpoint_of_a_fit(fit, tmp_path):
    expected = fit(max_epochs=4)
    max((tmp_path / "c").rglob("*.ckpt")).write_bytes(b"torn")
    with pytest.warns(UserWarning, match="damaged"):
        again = fit(max_epochs=4)
    torch.testing.assert_close(again.weights_, expected.weights_, rtol=0, atol=0)
