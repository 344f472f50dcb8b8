"""The axes of the displays: those given, or a grid of new ones."""

import numpy as np
import pytest

from repkit.plots.figure import take_axes


@pytest.mark.parametrize(
    ("n", "grid"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3)), (7, (3, 3))]
)
def test_a_grid_of_at_most_three_columns(plt, n, grid):
    axes, figure = take_axes(None, [(2.0, 1.0)] * n, each="code")
    assert len(axes) == n == len(figure.axes)
    assert axes[0].get_gridspec().get_geometry() == grid
    np.testing.assert_allclose(figure.get_size_inches(), [2.0 * grid[1], 1.0 * grid[0]])


def test_columns_are_as_wide_as_what_is_in_them(plt):
    axes, figure = take_axes(None, [(1.0, 1.0), (2.0, 3.0), (4.0, 1.0), (3.0, 1.0)], each="code")
    np.testing.assert_allclose(figure.get_size_inches(), [4.0 + 3.0, 3.0 + 1.0])
    assert axes[0].get_gridspec().get_width_ratios() == [4.0, 3.0]


def test_the_axes_given_are_taken(plt):
    figure, given = plt.subplots(2, 2)
    axes, found = take_axes(given, [(1, 1)] * 4, each="code")
    assert axes == list(given.ravel())
    assert found is figure
    with pytest.raises(ValueError, match="ax must hold 3 Axes, one for each code, not 4"):
        take_axes(given, [(1, 1)] * 3, each="code")
