"""`ErrorCurveDisplay`: a line for each system, on axes that show it."""

import numpy as np
import pandas as pd
import pytest

from repkit import ErrorCurveDisplay


def table(**systems):
    """Rows of systems in the order given; a system is {labels: (mean, std)}."""
    rows = [(n, name, *point) for name, points in systems.items() for n, point in points.items()]
    return pd.DataFrame(rows, columns=["labels", "system", "mean", "std"])


STEEP = {100: (0.01, 0.004), 20: (0.05, 0.04), 50: (0.015, 0.007)}
FLAT = {20: (0.3, 0.02), 100: (0.2, np.nan)}


def lines(axes):
    """By system: x, y and the ends of the bars."""
    found = {}
    for container in axes.containers:
        line, _, (bars,) = container
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        found[container.get_label()] = (line.get_xdata(), line.get_ydata(), ends)
    return found


def test_a_line_for_each_system(plt):
    figure, axes = plt.subplots()
    display = ErrorCurveDisplay(table(zeta=STEEP, alpha=FLAT)).plot(ax=axes)
    drawn = lines(axes)
    assert list(drawn) == ["zeta", "alpha"]  # in the order of the table
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["zeta", "alpha"]
    x, y, ends = drawn["zeta"]
    np.testing.assert_array_equal(x, [20, 50, 100])
    np.testing.assert_array_equal(y, [0.05, 0.015, 0.01])
    np.testing.assert_allclose(ends, [[0.01, 0.09], [0.008, 0.022], [0.006, 0.014]])
    np.testing.assert_allclose(drawn["alpha"][2], [[0.28, 0.32], [0.2, 0.2]])
    assert (display.ax_, display.figure_) == ([axes], figure)


def test_the_axes(plt):
    axes = ErrorCurveDisplay(table(a=STEEP, b=FLAT)).plot().ax_[0]
    axes.figure.canvas.draw()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["20", "50", "100"]
    assert axes.get_ylim()[0] == pytest.approx(0.005)
    assert "0.1" in [text.get_text() for text in axes.get_yticklabels()]


def test_errors_of_one_size_or_of_zero_are_on_a_linear_axis_from_zero(plt):
    for points in (FLAT, {**FLAT, 200: (0.0, 0.0)}):
        axes = ErrorCurveDisplay(table(a=points)).plot().ax_[0]
        assert axes.get_yscale() == "linear"
        assert axes.get_ylim()[0] == 0.0


def test_many_systems_differ(plt):
    display = ErrorCurveDisplay(table(**{f"s{k:02}": FLAT for k in range(15)})).plot()
    first = [container[0] for container in display.ax_[0].containers]
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in first}
    assert len(looks) == 15


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            table(a=FLAT).drop(columns="std"),
            r"table must have the columns \['labels', 'system', 'mean'",
        ),
        (table(), "table must have rows, or there is nothing to draw"),
        (table(a={0: (0.1, 0.1)}), "table must have positive numbers of labels, for their axis is"),
        (
            pd.concat([table(a=FLAT)] * 2),
            "table must have one row of 'a' for 20 labels, not several",
        ),
    ],
)
def test_curves_refuse(frame, message):
    with pytest.raises(ValueError, match=message):
        ErrorCurveDisplay(frame)
