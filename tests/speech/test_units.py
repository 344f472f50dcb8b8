"""Units: repeats merged, and counted as n-grams."""

from collections import Counter

import numpy as np
import pytest

from repkit.speech import merge_repeats, unit_counts


def test_merged_runs_unroll_to_what_they_were():
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 50):
        units = rng.integers(3, size=n)
        merged, steps = merge_repeats(units)
        assert (merged[1:] != merged[:-1]).all()
        np.testing.assert_array_equal(np.repeat(merged, steps), units)


def test_counts_by_hand():
    sequences = [[0, 1, 0, 1], [], np.array([2])]
    assert unit_counts(sequences, 1) == Counter({(0,): 2, (1,): 2, (2,): 1, (-1,): 3})
    assert unit_counts(sequences) == Counter(
        {(-1, 0): 1, (0, 1): 2, (1, 0): 1, (1, -1): 1, (-1, -1): 1, (-1, 2): 1, (2, -1): 1}
    )
    assert unit_counts([[7]], 3) == Counter({(-1, -1, 7): 1, (-1, 7, -1): 1})


def test_errors():
    for wrong in ([0.5], [[1]], "ab", None):
        with pytest.raises((TypeError, ValueError), match=r"units must be whole numbers|units"):
            merge_repeats(wrong)
    with pytest.raises(ValueError, match=r"sequences\[1\] must have units of at least 0, not -1"):
        unit_counts([[1], [-1]])
    with pytest.raises(ValueError, match="order must be an integer from 1 to 100, not 0"):
        unit_counts([[1]], 0)
