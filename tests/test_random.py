"""Both kinds of numpy's generators, from whatever stands for a seed; torch's, lent for a while."""

from contextlib import suppress

import numpy as np
import pytest
import torch

from repkit._random import generator, legacy_generator, lent_generators, seed_torch


@pytest.mark.parametrize("make", [generator, legacy_generator])
@pytest.mark.parametrize("seed", [lambda: 3, lambda: np.random.default_rng(3),
                                  lambda: np.random.RandomState(3)])  # fmt: skip
def test_a_seed_repeats(make, seed):
    first, second = make(seed()), make(seed())
    np.testing.assert_array_equal(first.permutation(20), second.permutation(20))


@pytest.mark.parametrize("make", [generator, legacy_generator])
def test_what_is_drawn_from_moves_on(make):
    for given in (np.random.default_rng(3), np.random.RandomState(3)):
        first = make(given).permutation(20)
        assert not np.array_equal(first, make(given).permutation(20))


@pytest.mark.parametrize("make", [generator, legacy_generator])
def test_none_is_new_and_leaves_the_global_state(make):
    before = np.random.get_state()[1].copy()
    assert not np.array_equal(make(None).permutation(20), make(None).permutation(20))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_an_int_means_what_it_means_to_scikit_learn():
    wanted = np.random.RandomState(5).permutation(9)
    np.testing.assert_array_equal(legacy_generator(5).permutation(9), wanted)


@pytest.mark.usefixtures("seeded")
def test_a_seed_of_the_cpu_is_of_no_other_device(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    monkeypatch.setattr(torch.cuda, "manual_seed", seeded.append)
    seed_torch(3, torch.device("cpu"))
    first = torch.rand(3)
    seed_torch(3, torch.device("cpu"))
    assert torch.equal(torch.rand(3), first)
    assert seeded == []
    torch.manual_seed(3)
    assert torch.equal(torch.rand(3), first)  # the numbers are torch's own


@pytest.mark.usefixtures("seeded")
def test_generators_of_a_gpu_are_lent_too(monkeypatch):
    """Of the one that is asked for, and it is given back whatever happens."""
    state, seeded, device = {"cuda:1": "mine"}, [], torch.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda where: state[str(where)])
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda value, where: state.update({str(where): value})
    )
    monkeypatch.setattr(torch.cuda, "device", lambda where: Entered(where, seeded))
    monkeypatch.setattr(torch.cuda, "manual_seed", seeded.append)
    before = torch.get_rng_state()
    with suppress(ZeroDivisionError), lent_generators(device):
        seed_torch(5, device)
        state["cuda:1"] = "changed"
        torch.rand(3) / (1 / 0)
    assert (state, seeded) == ({"cuda:1": "mine"}, ["enter cuda:1", 5, "exit"])
    assert torch.equal(torch.get_rng_state(), before)


class Entered:
    def __init__(self, where, log):
        self.where, self.log = where, log

    def __enter__(self):
        self.log.append(f"enter {self.where}")

    def __exit__(self, *_):
        self.log.append("exit")
