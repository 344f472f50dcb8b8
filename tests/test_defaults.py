"""The benchmark of defaults: each kind of case runs, and what it judges on is no training row."""

import numpy as np
import pytest

from benchmarks import defaults

FEW = {"max_epochs": 1, "steps_per_epoch": 2, "device": "cpu", "width": 16}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_every_system_has_its_rows():
    names = {case.name for case in defaults.cases("cpu", "cpu")}
    for task in defaults.TASKS:
        for system in defaults.CLASSES:
            told = "defaults, forecast" if task in (defaults.MNIST, defaults.METER) else "defaults"
            assert {f"{task}/{system}/{told}", f"{task}/{system}/untrained"} <= names
        assert {f"{task}/DANN/{name}" for name in ("defaults", "source only")} <= names
    # A GPU ends them all.
    assert f"{defaults.MNIST}/BiGAN/defaults" in {c.name for c in defaults.cases("cpu", "cuda")}


def check(found, *names):
    assert {*names, defaults.SPENT, "warned"} == set(found)
    assert all(np.isfinite(value) for value in found.values())


@pytest.mark.parametrize("part", ["test", "validation"])
def test_encoders(part):
    found = defaults.encoder("VAE", "digits", {**FEW, "random_state": 5}, 0, part)
    check(found, "linear probe", "r")
    assert found["linear probe"] > 0.3


def test_categories_and_few_labels():
    check(defaults.infogan("digits", {**FEW, "latent_dim": 4}, 0), "accuracy")
    told = defaults.triplegan("digits", FEW, 0)
    check(told, "accuracy")
    assert told["warned"] == 1  # of images that nothing changes
    assert 0.9 < defaults.pixels("digits", 0)["linear probe"] < 1


@pytest.mark.parametrize("adapt", [False, True])
def test_adaptation(adapt):
    check(defaults.dann("digits", FEW, 0, adapt), "accuracy")


def test_what_a_fit_would_take():
    settings = {"device": "cpu", "width": 16}
    found = {n: defaults.pace(n, "digits", settings, 0) for n in ("VAE", "TripleGAN")}
    assert all(set(figures) == {"minutes of a processor"} for figures in found.values())
    assert all(0 < figures["minutes of a processor"] < 20 for figures in found.values())


@pytest.mark.parametrize("task", [defaults.TABLE, defaults.METER])
def test_judged_on_other_rows(task, data_home):
    X, y, X_test, y_test = defaults.load(task)
    seen = {row.tobytes() for row in X}
    assert not any(row.tobytes() in seen for row in X_test)
    assert (len(X), len(X_test)) == (len(y), len(y_test))
    assert set(y_test) <= set(y)
    data = defaults.adapted(task, 0)
    assert data.X_source.shape[1:] == data.X_target.shape[1:] == data.X_test.shape[1:]
