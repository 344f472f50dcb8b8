"""A process knows whether it is one of several without asking torch."""

import multiprocessing

import pytest

from repkit._processes import NEEDED, asked_alone, launched
from repkit.engine.ranks import together

TWO = dict(zip(NEEDED, ("1", "2", "localhost", "29500"), strict=True))


@pytest.fixture
def two(monkeypatch):
    """The environment of the second of two processes."""
    monkeypatch.delenv("REPKIT_RANKS", raising=False)
    for name, value in TWO.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_launcher_says_so_by_its_whole_environment(two):
    assert launched()
    assert together()
    for name in NEEDED:
        with two.context() as without:
            without.delenv(name)
            assert not launched()
            assert not together()


@pytest.mark.parametrize("world", ["1", "0", "", "two", "-2"])
def test_one_process_is_alone(two, world):
    two.setenv("WORLD_SIZE", world)
    assert not launched()
    assert not together()


def test_a_worker_of_a_process_is_alone(two):
    two.setattr(multiprocessing, "parent_process", lambda: object())
    assert not launched()
    assert not together()


def test_each_may_fit_for_itself(two):
    assert not asked_alone()
    two.setenv("REPKIT_RANKS", "0")
    assert asked_alone()
    assert not together()
