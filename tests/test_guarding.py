"""The benchmark of the guard: its figures, and that no target label trains."""

import numpy as np
import pytest

from benchmarks import guarding
from benchmarks.guarding import BASE, GROUPS, cases, gains, searched
from repkit import DANN, AdaptationSearch


def two_domains():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    X = rng.normal(size=(120, 4)).astype(np.float32) + 3 * np.eye(4, dtype=np.float32)[y]
    return [(X[:60], y[:60]), (X[60:] + 1, y[60:])]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(guarding, "BASE", {**BASE, "steps_per_epoch": 2, "max_epochs": 2})
    monkeypatch.setitem(GROUPS, "other pairs", {"toy": two_domains})
    yield
    guarding.both.cache_clear()
    guarding.found_of.cache_clear()


def test_target_labels_do_not_train(small, monkeypatch):
    seen = []
    fit = DANN._fit
    monkeypatch.setattr(
        DANN, "_fit", lambda m, X, y, d, *a, **k: seen.append((y, d)) or fit(m, X, y, d, *a, **k)
    )
    for method in guarding.METHODS:
        guarding.both("other pairs", method, "toy", 0)
    guarding.found_of("other pairs", "toy", 0)
    assert len(seen) == len(guarding.METHODS) + 6
    for y, domain in seen:
        assert ((domain < 0) == (y == -1)).all()
        assert (y == -1).sum() == 60


def test_figures(monkeypatch):
    fits = {"one": (0.9, 0.5, False), "two": (0.3, 0.6, True), "three": (0.5, 0.6, False)}
    monkeypatch.setitem(GROUPS, "other pairs", dict.fromkeys(fits))
    monkeypatch.setattr(guarding, "both", lambda group, method, name, seed: fits[name])
    found = gains("other pairs", "joint", 0)
    wanted = {
        "adapted gain": 0.0,
        "used gain": 0.1,
        "adapted worst": -0.3,
        "used worst": -0.1,
        "adapted bad": 2 / 3,
        "used bad": 1 / 3,
        "guarded": 1 / 3,
    }
    assert found == pytest.approx(wanted)


def test_figures_of_the_search(monkeypatch):
    fits = {
        "one": (0.9, 0.5, 0.8, False),
        "two": (0.3, 0.6, 0.6, True),
        "3": (0.5, 0.6, 0.5, False),
    }
    monkeypatch.setitem(GROUPS, "other pairs", dict.fromkeys(fits))
    monkeypatch.setattr(guarding, "found_of", lambda group, name, seed: fits[name])
    found = searched("other pairs", 0)
    wanted = {
        "adapted gain": 0.0,
        "used gain": 0.2 / 3,
        "adapted worst": -0.3,
        "used worst": -0.1,
        "adapted bad": 2 / 3,
        "used bad": 1 / 3,
        "guarded": 1 / 3,
    }
    assert found == pytest.approx(wanted)


@pytest.mark.parametrize("best", ["as given", "no adaptation"])
def test_the_search_is_compared_on_target_rows(best, small, monkeypatch):
    """Its candidates give another class to every row, so that none is taken for another."""
    made = []

    class Kept(AdaptationSearch):
        def fit(self, *given, **named):
            super().fit(*given, **named)
            for k, name in enumerate(("as given", "no adaptation")):
                same = np.eye(3)[k]
                self.estimators_[name].predict_proba = lambda X, d=None, p=same: np.tile(
                    p, (len(X), 1)
                )
            self.best_candidate_, self.best_estimator_ = best, self.estimators_[best]
            made.append(self)
            return self

    monkeypatch.setattr(guarding, "AdaptationSearch", Kept)
    found = guarding.found_of("other pairs", "toy", 0)
    task = guarding.drawn(two_domains(), 0)
    shares = [float(np.mean(task.y[task.part == 2] == k)) for k in (0, 1)]
    assert shares[0] != shares[1]
    used = shares[0] if best == "as given" else shares[1]
    assert found == (*shares, used, best == "no adaptation")


def test_no_pair_is_in_both_groups():
    one, other = (set(pairs) for pairs in GROUPS.values())
    assert (len(one), len(other), one & other) == (23, 26, set())
    assert len(cases("cpu", "cpu")) == 12
