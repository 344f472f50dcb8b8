"""Internal. What the displays have in common: colors, markers, axes and scatter plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from repkit._optional import need
from repkit.base.labels import missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLORS"]

# A palette that readers with any color vision can tell apart (Okabe and Ito), then more.
COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9",
    "#D55E00", "#F0E442", "#000000", "#8C564B", "#7F7F7F",
)  # fmt: skip
# What tells apart those of one color, when there are more of them than colors.
MARKERS = "osD^vP*X"
LINES = ("-", "--", "-.", ":")
NAMED = 60  # entries of a legend, at most: beyond, it would leave no room for the points


def color_of(k: int) -> str:
    """Give the color of the k-th kind."""
    return COLORS[k % len(COLORS)]


def marker_of(k: int) -> str:
    """Give the marker of the k-th kind: another one each time that the colors come round."""
    return MARKERS[k // len(COLORS) % len(MARKERS)]


def line_of(k: int) -> str:
    """Give the line style of the k-th kind: another one each time that the colors come round."""
    return LINES[k // len(COLORS) % len(LINES)]


def scatter(axes: Axes, points: np.ndarray, values: np.ndarray, names: Mapping[Any, str]) -> None:
    """Draw points (n, 2) in the color and marker of their values, those with a name."""
    for k, (kind, name) in enumerate(names.items()):
        x, y = points[values == kind].T
        axes.scatter(
            x, y, s=8, c=color_of(k), marker=marker_of(k), label=name, linewidths=0, alpha=0.7
        )
    axes.set(xticks=[], yticks=[])
    if len(names) > NAMED:
        return
    axes.legend(
        markerscale=2.5,
        fontsize="small",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        ncols=-(-len(names) // 20),
    )


def scatter_by_label(
    axes: Axes, points: np.ndarray, labels: np.ndarray, unlabeled: Any = -1
) -> None:
    """Draw points (n, 2) by their labels; those that have none in gray, below the others.

    Parameters
    ----------
    axes : Axes
    points : ndarray of shape (n, 2)
    labels : ndarray of shape (n,)
        Classes, or numbers as `are_numbers` has it, which are drawn on a scale of colors.
    unlabeled : object, default=-1
        What says, as None and NaN do, that a class is not known; -1 is meant as a text, too.
    """
    numbers, (x, y) = are_numbers(labels), points.T
    if numbers:
        known = np.isfinite(labels)
    else:
        known = ~missing(labels, minus_one=bool(unlabeled == -1))
        known &= np.array([value != unlabeled for value in labels.tolist()], dtype=bool)
    if not known.all():
        axes.scatter(x[~known], y[~known], s=5, c="#CCCCCC", label="unlabeled", linewidths=0)
    if numbers:
        drawn = axes.scatter(x[known], y[known], s=8, c=labels[known], linewidths=0, alpha=0.7)
        axes.figure.colorbar(drawn, ax=axes)
        axes.set(xticks=[], yticks=[])
    else:
        names = {kind: str(kind) for kind in _kinds(labels[known])}
        scatter(axes, points[known], labels[known], names)


def are_numbers(labels: np.ndarray) -> bool:
    """Whether labels are numbers to predict rather than classes: floats, some of them not whole."""
    return labels.dtype.kind == "f" and bool((labels[np.isfinite(labels)] % 1 != 0).any())


def _kinds(labels: np.ndarray) -> list[Any]:
    try:
        return list(np.unique(labels))
    except TypeError:  # of several types
        return sorted(set(labels.tolist()), key=str)


def take_axes(
    ax: Any, sizes: Sequence[tuple[float, float]], *, each: str
) -> tuple[list[Axes], Figure]:
    """Give the Axes that were passed, or those of a new figure, at most three side by side.

    Parameters
    ----------
    ax : Axes or array-like of Axes, optional
        Axes to draw on. Default: those of a new figure.
    sizes : sequence of (width, height)
        Size of each Axes in inches, at least one.
    each : str
        What there is one Axes for.

    Returns
    -------
    axes : list of Axes
        One for each of `sizes`.
    figure : Figure
        The figure that holds them.
    """
    plt = need("matplotlib.pyplot", "plots")
    n = len(sizes)
    if ax is not None:
        given: list[Axes] = list(np.ravel(ax))
        if len(given) != n:
            raise ValueError(f"ax must hold {n} Axes, one for each {each}, not {len(given)}")
        return given, given[0].get_figure()  # type: ignore[return-value]
    columns = n if n <= 3 else 2 if n == 4 else 3
    rows = -(-n // columns)
    widths = [max(w for w, _ in sizes[k::columns]) for k in range(columns)]
    heights = [max(h for _, h in sizes[k * columns : (k + 1) * columns]) for k in range(rows)]
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(sum(widths), sum(heights)),
        width_ratios=widths,
        height_ratios=heights,
        squeeze=False,
    )
    figure.set_layout_engine("constrained", w_pad=0.1)
    for spare in grid.ravel()[n:]:
        spare.remove()
    return list(grid.ravel()[:n]), figure
