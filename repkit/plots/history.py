"""`HistoryDisplay`: what a fit says of itself, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from repkit.plots.figure import COLORS, take_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DECADES = 100.0  # losses that differ by more are drawn on a logarithmic scale, if they can be
INSIDE = 4  # lines whose names find room among them


class Panel(NamedTuple):
    """Columns of a history that are drawn together.

    Parameters
    ----------
    title : str
    patterns : tuple of str
        Names of columns; ``*`` stands for anything.
    scale : {"linear", "loss", "unit"}
        "loss" is logarithmic where that helps; "unit" maps each of several columns to [0, 1].
    shown : tuple of float
        Values that the vertical axis reaches in any case.
    reference : float, optional
        A value to compare with, drawn as a line.
    """

    title: str
    patterns: tuple[str, ...]
    scale: str = "linear"
    shown: tuple[float, ...] = ()
    reference: float | None = None


class HistoryDisplay:
    """The history of a fit: losses, the balance of adversaries, codes, label-free scores.

    Parameters
    ----------
    history : DataFrame
        ``history_`` of an estimator.
    selected_epoch : int, optional
        Marked by a line.
    panels : mapping of str to sequence of str, optional
        Titles, and the columns under each, ``*`` standing for anything:
        ``{"mine": ["my_*", "score"]}``. Default: what the estimators of this package write, a
        column in the first panel that asks for it, and a copy of another column left out.

    Attributes
    ----------
    ax_ : list of Axes
    figure_ : Figure
    """

    ax_: list[Axes]
    figure_: Figure
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel("losses", ("loss_*", "*_loss", "kl", "r1"), "loss"),
        Panel("adversary", ("domain_accuracy", "domain_chance", "lam")),
        Panel(
            "share that D calls real",
            ("d_real", "d_fake", "d_reconstructed"),
            "linear",
            (0.0, 1.0),
            0.5,
        ),
        Panel("reconstruction ratio", ("reconstruction_ratio",), "linear", (0.0, 1.0), 1.0),
        Panel("information of codes, nats", ("information_*",)),
        Panel("accuracy of codes", ("accuracy_*",)),
        Panel("usage of categories", ("usage_*",), "linear", (0.0, 1.0)),
        Panel("shares", ("certain", "generator_accuracy"), "linear", (0.0, 1.0)),
        Panel("label-free scores", ("entropy", "infomax", "snd", "score"), "unit"),
    )

    def __init__(
        self,
        history: pd.DataFrame,
        selected_epoch: int | None = None,
        *,
        panels: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.history = history
        self.selected_epoch = selected_epoch
        self.chosen = self.panels
        if panels is not None:
            self.chosen = tuple(Panel(title, tuple(names)) for title, names in panels.items())

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        panels: Mapping[str, Iterable[str]] | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot ``estimator.history_``."""
        check_is_fitted(estimator, "history_")
        selected = getattr(estimator, "selected_epoch_", None)
        return cls(estimator.history_, selected, panels=panels).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw; ``ax`` is one Axes for each panel that has a column in the history.

        Raises
        ------
        ValueError
            If no panel has a column, or ``ax`` does not hold an Axes for each that has.
        """
        drawn = self._columns()
        if not drawn:
            raise ValueError(
                f"nothing to draw: the history has the columns {list(self.history)}; name those "
                "you want in panels, {'title': ['column', ...]}"
            )
        sizes = [(4.2 if len(names) <= INSIDE else 5.6, 3.0) for _, names in drawn]
        self.ax_, self.figure_ = take_axes(ax, sizes, each="panel")
        for axes, (panel, names) in zip(self.ax_, drawn, strict=True):
            self._draw(axes, panel, names)
        return self

    def _columns(self) -> list[tuple[Panel, list[str]]]:
        """The panels that have columns, with them."""
        free = [
            name
            for name, values in self.history.items()
            if values.dtype.kind in "fiu" and values.notna().any()
        ]
        drawn = []
        for panel in self.chosen:
            names: list[str] = []
            for pattern in panel.patterns:
                for name in [name for name in free if fnmatchcase(name, pattern)]:
                    free.remove(name)
                    if not any(self.history[name].equals(self.history[k]) for k in names):
                        names.append(name)
            if names:
                drawn.append((panel, names))
        return drawn

    def _draw(self, axes: Axes, panel: Panel, names: list[str]) -> None:
        from matplotlib.ticker import MaxNLocator

        epochs = self.history["epoch"].to_numpy()
        values = self.history[names].to_numpy(dtype=float)
        title = panel.title
        if panel.scale == "unit" and len(names) > 1:
            title += ", scaled to [0, 1]"
            low, high = np.nanmin(values, 0), np.nanmax(values, 0)
            values = (values - low) / np.where(high > low, high - low, 1.0)
        for k, (name, column) in enumerate(zip(names, values.T, strict=True)):
            later = k // len(COLORS) % 2  # the colors come round again
            known = np.isfinite(column)  # a penalty is not computed in every epoch
            axes.plot(
                epochs[known],
                column[known],
                color=COLORS[k % len(COLORS)],
                linestyle="--" if name == "domain_chance" or later else "-",
                marker="o" if known.sum() == 1 else "",
                label=label_of(name, panel),
            )
        if panel.reference is not None:
            axes.axhline(panel.reference, color="#7F7F7F", linewidth=0.8, linestyle=":")
        if self.selected_epoch is not None:
            axes.axvline(self.selected_epoch, color="#7F7F7F", linewidth=0.8)
        axes.update_datalim([(epochs[0], value) for value in panel.shown])
        axes.autoscale_view()
        axes.set(title=title, xlabel="epoch")
        if panel.scale == "loss" and spans_decades(values):
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(names) <= INSIDE:
            axes.legend(fontsize="small")
        else:
            axes.legend(
                fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False
            )


def label_of(name: str, panel: Panel) -> str:
    """The name of a column, without what all of its panel have in common."""
    if len(panel.patterns) == 1 and panel.patterns[0].endswith("_*"):
        return name.removeprefix(panel.patterns[0][:-1])
    return name


def spans_decades(values: np.ndarray) -> bool:
    """Whether a logarithmic scale can show the values, and shows more of them than a linear one."""
    values = values[np.isfinite(values)]
    return bool(values.min() > 0 and values.max() > DECADES * values.min())
