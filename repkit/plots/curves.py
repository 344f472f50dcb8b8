"""`ErrorCurveDisplay`: how the error falls with the number of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from repkit._optional import need
from repkit.plots.figure import MARKERS, color_of, line_of, take_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "ErrorCurveDisplay",
]

_DECADE = 10.0  # errors that differ by more are drawn on a logarithmic scale


class ErrorCurveDisplay:
    """Error against the number of labels: a line with error bars for each system.

    Parameters
    ----------
    table : DataFrame
        A row for each point, with the columns ``labels`` (positive), ``system``, ``mean`` (the
        error, a fraction) and ``std`` (no bar if NaN or zero). Systems are drawn in the order in
        which the table first names them.

    Attributes
    ----------
    ax_ : list of one Axes
        Where the curves are drawn.
    figure_ : Figure
        The figure that holds the Axes.

    Raises
    ------
    ValueError
        If a column is missing, the table is empty, a number of labels is not positive, or one
        system has two rows for one number of labels.
    """

    ax_: list[Axes]
    figure_: Figure

    def __init__(self, table: pd.DataFrame) -> None:
        wanted = ["labels", "system", "mean", "std"]
        if not hasattr(table, "columns"):
            raise TypeError(f"table must be a DataFrame with the columns {wanted}, not {table!r}")
        if missing := [name for name in wanted if name not in table]:
            raise ValueError(f"table must have the columns {wanted}; {missing[0]!r} is missing")
        self.table = table[wanted].reset_index(drop=True)
        if self.table.empty:
            raise ValueError("table must have rows, or there is nothing to draw")
        if not (self.table["labels"] > 0).all():
            raise ValueError(
                "table must have positive numbers of labels, for their axis is logarithmic, "
                f"not {self.table['labels'].min()}"
            )
        twice = self.table.duplicated(["system", "labels"])
        if twice.any():
            labels, system = self.table.loc[twice.idxmax(), ["labels", "system"]]
            raise ValueError(
                f"table must have one row of {system!r} for {labels} labels, not several: "
                "average the seeds first"
            )

    def plot(self, ax: Any = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : ErrorCurveDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        ValueError
            If `ax` does not hold one Axes.
        """
        ticker = need("matplotlib.ticker", "plots")
        self.ax_, self.figure_ = take_axes(ax, [(5.6, 3.6)], each="display")
        axes = self.ax_[0]
        for k, (name, rows) in enumerate(self.table.groupby("system", sort=False)):
            rows = rows.sort_values("labels")
            axes.errorbar(
                rows["labels"],
                rows["mean"],
                rows["std"].fillna(0.0),
                color=color_of(k),
                marker=MARKERS[k % len(MARKERS)],
                linestyle=line_of(k),
                markersize=4,
                linewidth=1.2,
                capsize=3,
                label=str(name),
            )
        counts = sorted(self.table["labels"].unique())
        axes.set_xscale("log")
        axes.set_xticks(counts, [f"{count:g}" for count in counts])
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        mean = self.table["mean"]
        if mean.min() > 0 and mean.max() > _DECADE * mean.min():
            axes.set_yscale("log")
            # an error bar that reaches 0 must not stretch the axis over many decades
            axes.set_ylim(bottom=mean.min() / 2)
            axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        else:
            axes.set_ylim(bottom=0.0)
        axes.set(title="error against number of labels", xlabel="labels", ylabel="error")
        axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        return self
