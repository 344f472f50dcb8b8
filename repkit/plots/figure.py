"""What the displays have in common: their colors and their axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A palette that readers with any color vision can tell apart (Okabe and Ito), then more.
COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9",
    "#D55E00", "#F0E442", "#000000", "#8C564B", "#7F7F7F",
)  # fmt: skip


def take_axes(
    ax: Any, sizes: Sequence[tuple[float, float]], *, each: str
) -> tuple[list[Axes], Figure]:
    """The Axes given, or those of a new figure, at most three side by side.

    Parameters
    ----------
    ax : Axes or array-like of Axes, optional
    sizes : sequence of (width, height)
        Inches of each that is wanted, at least one.
    each : str
        What there is one Axes for.
    """
    import matplotlib.pyplot as plt

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
