"""Frames with those before and after them."""

import numpy as np

from repkit.speech.neighbors_in_time import joined


def test_the_ends_of_a_recording_stand_for_what_is_not_there():
    x = np.arange(14.0).reshape(7, 2)
    wanted = [
        [0, 1, 0, 1, 2, 3],
        [0, 1, 2, 3, 4, 5],
        [2, 3, 4, 5, 4, 5],
        [6, 7, 6, 7, 6, 7],  # a recording of one frame
        [8, 9, 8, 9, 10, 11],
        [8, 9, 10, 11, 12, 13],
        [10, 11, 12, 13, 12, 13],
    ]
    found = joined(x, [3, 1, 3], 1)
    np.testing.assert_array_equal(found, wanted)
    rows = np.array([2, 3, 6])
    np.testing.assert_array_equal(joined(x, [3, 1, 3], 1, rows), found[rows])
    np.testing.assert_array_equal(joined(x, [3, 1, 3], 0), x)
    np.testing.assert_array_equal(joined(x[:1], [1], 2), np.tile(x[:1], 5))
