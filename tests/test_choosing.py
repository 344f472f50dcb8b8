"""The benchmark of choosing: what it reads, and what its figures are."""

import numpy as np
import pytest

from benchmarks import choosing
from benchmarks.choosing import PICKS, SCORERS, Pool, one_task, over_tasks, places, unadapted


def toy(labels_of_target=lambda y: y):
    """Three blobs, and the same blobs moved."""

    def load():
        rng = np.random.default_rng(0)
        y = np.tile([0, 1, 2], 20)
        X = 3 * np.eye(3)[y] + rng.normal(size=(60, 3))
        return [(X, y), (X + 0.5 * rng.normal(size=3), labels_of_target(y))]

    return load


@pytest.fixture
def small(monkeypatch):
    few = [s for s in choosing.settings() if s["learning_rate"] == 1e-2][::3]
    monkeypatch.setattr(choosing, "settings", lambda: [dict(s) for s in few])
    monkeypatch.setattr(choosing, "BASE", {**choosing.BASE, "steps_per_epoch": 3, "max_epochs": 2})
    tasks = {"as it is": toy(), "shuffled": toy(np.random.default_rng(1).permutation)}
    monkeypatch.setattr(choosing, "TASKS", tasks)
    choosing.pool.cache_clear()
    yield few
    choosing.pool.cache_clear()


@pytest.mark.parametrize(
    ("agreement", "wanted"), [([0.4, 0.7, 0.55], 0.7), ([0.4, 0.7, 0.65], 0.6)]
)
def test_the_margin_is_over_the_best_candidate_without_adaptation(agreement, wanted):
    """Which is the third: it does better on held-back source rows than the first."""
    scores = {"EnsV": np.array(agreement), "source accuracy": np.array([0.8, 1.0, 0.9])}
    accuracy = np.array([0.5, 0.7, 0.6])
    found = Pool(accuracy, scores, plain=np.array([0, 2]), joint=np.array([1]))
    assert choosing.with_margin(found) == wanted


def test_no_target_label_is_read_for_a_choice(small):
    a, b = (choosing.pool(name, 0) for name in choosing.TASKS)
    assert len(a.accuracy) == 2 * len(small)
    assert set(a.scores) == {*SCORERS, "EnsV", "source accuracy", "mean rank of all"}
    for scorer, values in a.scores.items():
        np.testing.assert_array_equal(values, b.scores[scorer])
        assert np.isfinite(values).all()
    assert (a.accuracy != b.accuracy).any()


def test_figures_by_hand(monkeypatch):
    pools = {
        "one": Pool(
            np.array([0.5, 0.9, 0.7]),
            {
                **{name: np.array([0.0, 1, 2]) for name in PICKS},
                "source accuracy": np.array([1, 0, 2.0]),
            },
            plain=np.array([0, 1]),
            joint=np.array([1, 2]),
        ),
        "two": Pool(
            np.array([0.8, 0.1, 0.2]),
            {
                **{name: np.array([0.0, 1, 0]) for name in PICKS},
                "source accuracy": np.array([1, 0, 2.0]),
            },
            plain=np.array([0, 1]),
            joint=np.array([0, 1]),
        ),
    }
    monkeypatch.setattr(choosing, "TASKS", pools)
    monkeypatch.setattr(choosing, "pool", lambda name, seed: pools[name])
    assert unadapted(pools["one"]) == 0.5  # by the source, not by the target
    assert one_task("one", PICKS["infomax"], 0) == pytest.approx(
        {"accuracy": 0.7, "regret": 0.2, "gain": 0.2}
    )
    assert over_tasks(PICKS["infomax"], 0) == pytest.approx(
        {
            "accuracy": 0.4,
            "regret": (0.2 + 0.7) / 2,
            "gain": (0.2 - 0.7) / 2,
            "worst regret": 0.7,
            "worst gain": -0.7,
        }
    )
    assert over_tasks(PICKS["the best candidate"], 0)["worst regret"] == 0
    assert over_tasks(PICKS["no adaptation"], 0)["worst gain"] == 0
    assert one_task("one", PICKS["a random candidate"], 0)["accuracy"] == pytest.approx(0.7)
    last = PICKS["plain DANN at the default rate, last epoch"]
    assert [one_task(name, last, 0)["accuracy"] for name in pools] == [0.7, 0.1]


def test_settings():
    found = choosing.settings()
    assert len(found) == 42
    assert len({tuple(s.values()) for s in found}) == 42
    for weight in (0.0, 1.0):
        chosen = places(weight)
        assert len(chosen) == 2 * len(choosing.RATES)
        for k in chosen:
            wanted = {"weight": weight, "entropy": 0.0, "conditional": False}
            assert wanted.items() <= found[k // 2].items()
        assert found[chosen[0] // 2]["learning_rate"] == 1e-3  # the class's default
    assert choosing.ramp(3.0)(1.0) == pytest.approx(3, abs=1e-3)


@pytest.mark.parametrize("name", choosing.TASKS)
def test_tasks_load(data_home, name):
    task = choosing.load(name, 0)
    assert task.X.dtype == np.float32
    assert task.X.shape[1] <= choosing.COLUMNS
    assert len(task.X) == len(task.y) == len(task.part)
    assert (np.bincount(task.part) > 80).all()
    # of a size that networks are initialized for
    assert 0.3 < task.X[task.part == 0].std() < 3
