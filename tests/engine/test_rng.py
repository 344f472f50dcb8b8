"""Seeds: one for each use, none twice; and the caller's generators given back."""

import random
from itertools import product

import numpy as np
import pytest
import torch

from repkit.engine.rng import (
    Kind,
    drawn_seed,
    generator_of,
    isolated_rng,
    seed_everything,
    seed_of,
)

CPU = torch.device("cpu")


def draw():
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()


# -------------------------------------------------------------------- a seed for each use


def test_every_kind_has_a_number_of_its_own():
    assert sorted(Kind) == list(range(len(Kind.__members__)))  # an alias would be a member less


def test_no_two_uses_have_one_seed():
    """Numbers that end in zeros, too: ``()``, ``(0,)`` and ``(0, 0)`` are three uses."""
    numbers = [n for length in range(4) for n in product((0, 1, 2, 7), repeat=length)]
    uses = list(product((0, 1, 2, 2**31 - 2, 2**62), Kind, numbers))
    seeds = {seed_of(seed, kind, *n) for seed, kind, n in uses}
    assert len(seeds) == len(uses)
    assert all(0 <= value < 2**63 for value in seeds)


def test_a_seed_is_the_same_wherever_it_is_made():
    assert seed_of(5, Kind.NOISE, 3) == seed_of(np.int64(5), Kind.NOISE, 3)
    expected = np.random.SeedSequence(5, spawn_key=(2, 3)).generate_state(1, np.uint64)[0] >> 1
    assert seed_of(5, Kind.NOISE, 3) == int(expected)
    torch.Generator().manual_seed(seed_of(5, Kind.NOISE, 3))  # torch takes what is below 2**63


def test_a_generator_for_a_use():
    first, again, other = (generator_of(5, kind, 1) for kind in (Kind.MONITOR, 5, Kind.HELD_BACK))
    expected = first.random(4)
    assert (again.random(4) == expected).all()
    assert (other.random(4) != expected).all()


# -------------------------------------------------------------------- what a user gives


def test_an_integer_gives_the_same_seed_each_time():
    assert drawn_seed(3) == drawn_seed(np.int64(3)) == drawn_seed(np.uint8(3))
    assert drawn_seed(0) != drawn_seed(1)
    assert len({drawn_seed(k) for k in range(200)}) == 200
    assert drawn_seed(2**32 - 1) >= 0


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_a_generator_moves_on(make):
    generator = make(3)
    first = [drawn_seed(generator) for _ in range(5)]
    assert len(set(first)) == 5
    generator = make(3)
    assert [drawn_seed(generator) for _ in range(5)] == first


@pytest.mark.usefixtures("seeded")
def test_none_is_a_new_seed_and_leaves_numpys_alone():
    before = draw()
    with isolated_rng(torch.device("cpu")):
        pass
    seed_everything(3, CPU)
    expected = draw()
    seed_everything(3, CPU)
    assert len({drawn_seed(None) for _ in range(20)}) == 20
    assert draw() == expected != before


@pytest.mark.usefixtures("seeded")
def test_numpys_global_generator_may_be_given():
    np.random.seed(5)
    first = drawn_seed(np.random)
    np.random.seed(5)
    assert drawn_seed(np.random.mtrand._rand) == first
    assert drawn_seed(np.random) != first


def test_seeds_are_of_one_range():
    states = [None, 7, np.random.RandomState(0), np.random.default_rng(0)]
    for _ in range(200):
        for state in states:
            assert 0 <= drawn_seed(state) < np.iinfo(np.int32).max


@pytest.mark.parametrize("wrong", [-1, 2**32, 1.5, "0", True, [1], object(), torch.Generator()])
def test_what_is_no_random_state(wrong):
    with pytest.raises(ValueError, match="random_state must be an integer from 0 to"):
        drawn_seed(wrong)


# -------------------------------------------------------------------- global generators


def test_the_callers_generators_are_given_back():
    seed_everything(3, CPU)
    expected = draw()
    seed_everything(3, CPU)
    with isolated_rng(torch.device("cpu")):
        seed_everything(9, CPU)
        inside = draw()
    assert draw() == expected
    assert inside != expected
    seed_everything(3, CPU)
    with pytest.raises(ZeroDivisionError), isolated_rng(torch.device("cpu")):
        draw()[2] / 0
    assert draw() == expected


def test_a_seed_of_63_bits():
    seed_everything(2**63 - 1, CPU)
    first = draw()
    seed_everything(2**63 - 1, CPU)
    assert draw() == first
