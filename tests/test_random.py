"""Both kinds of numpy's generators, from whatever stands for a seed."""

import numpy as np
import pytest

from repkit._random import generator, legacy_generator


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
