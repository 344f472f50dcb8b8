"""Frames with those before and after them."""

import numpy as np

from repkit.speech.neighbors_in_time import joined


def test_the_ends_stand_for_what_is_not_there():
    x = np.arange(8.0).reshape(4, 2)
    wanted = [[0, 1, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5], [2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 6, 7]]
    np.testing.assert_array_equal(joined(x, 1), wanted)
    np.testing.assert_array_equal(joined(x, 0), x)
    np.testing.assert_array_equal(joined(x[:1], 2), np.tile(x[:1], 5))
