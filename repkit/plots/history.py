"""`HistoryDisplay`: losses and scores of a fit, epoch by epoch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from repkit._arguments import integer, mapping, shown
from repkit._optional import need
from repkit.plots.figure import color_of, line_of, take_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "HistoryDisplay",
]

_DECADES = 100.0  # losses that differ by more are drawn on a logarithmic scale, if they can be
_INSIDE = 4  # lines whose names find room among them


class _Panel(NamedTuple):
    """Columns of a history that are drawn together.

    Parameters
    ----------
    title : str
        Written above them.
    patterns : tuple of str
        Names of columns, with ``*`` for anything.
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
    """The history of a fit: losses, balance of adversaries, codes, label-free scores.

    Parameters
    ----------
    history : DataFrame
        ``history_`` of an estimator: a row for each epoch.
    selected_epoch : int, optional
        Epoch to mark by a line.
    panels : mapping of str to sequence of str, optional
        Columns to draw under each title, with ``*`` for anything: ``{"mine": ["my_*", "score"]}``.
        Default: panels for all that the estimators of this package record.

    Attributes
    ----------
    ax_ : list of Axes
        One for each panel.
    figure_ : Figure
        The figure that holds the Axes.

    Notes
    -----
    A column is drawn in the first panel that names it. Columns that are equal to another one of
    their panel are left out.
    """

    ax_: list[Axes]
    figure_: Figure
    panels: ClassVar[tuple[_Panel, ...]] = (
        _Panel("losses", ("loss_*", "*_loss", "kl", "r1"), "loss"),
        _Panel(
            "adversary",
            ("domain_accuracy", "domain_chance", "d_accuracy", "frame_d_accuracy", "lam"),
        ),
        _Panel(
            "share that D calls real",
            ("d_real", "d_fake", "d_reconstructed"),
            "linear",
            (0.0, 1.0),
            0.5,
        ),
        _Panel("reconstruction ratio", ("reconstruction_ratio",), "linear", (0.0, 1.0), 1.0),
        _Panel("information of codes, nats", ("information_*",)),
        _Panel("accuracy of codes", ("accuracy_*",)),
        _Panel("usage of categories", ("usage_*",), "linear", (0.0, 1.0)),
        _Panel("shares", ("certain", "generator_accuracy"), "linear", (0.0, 1.0)),
        _Panel("label-free scores", ("entropy", "infomax", "snd", "bnm", "mano", "score"), "unit"),
    )

    def __init__(
        self,
        history: pd.DataFrame,
        selected_epoch: int | None = None,
        *,
        panels: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        if not hasattr(history, "columns"):
            raise TypeError(f"history must be a DataFrame, not {shown(history)}")
        if selected_epoch is not None:
            integer(selected_epoch, "selected_epoch", 1, otherwise=", or None")
        self.history = history
        self.selected_epoch = selected_epoch
        self.chosen = self.panels
        if panels is not None:
            mapping(panels, "panels", "columns of history by title")
            self.chosen = tuple(_Panel(title, tuple(names)) for title, names in panels.items())

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        panels: Mapping[str, Iterable[str]] | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot ``estimator.history_``.

        Parameters
        ----------
        estimator : fitted estimator with ``history_``
            Its ``selected_epoch_`` is marked if there is one.
        panels : mapping of str to sequence of str, optional
            Columns to draw under each title, with ``*`` for anything. Default: panels for all that
            the estimators of this package record.
        ax : sequence of Axes, optional
            One for each panel that has a column. Default: a new figure.

        Returns
        -------
        display : HistoryDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If no panel has a column, or `ax` does not hold one Axes for each that has.
        """
        check_is_fitted(estimator, "history_")
        selected = getattr(estimator, "selected_epoch_", None)
        return cls(estimator.history_, selected, panels=panels).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw each panel that has a column in the history.

        Parameters
        ----------
        ax : sequence of Axes, optional
            One for each of these panels. Default: a new figure.

        Returns
        -------
        display : HistoryDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        ValueError
            If no panel has a column, or `ax` does not hold one Axes for each that has.
        """
        drawn = self._columns()
        if not drawn:
            raise ValueError(
                f"panels must name columns of the history, {list(self.history)}: pass "
                "panels={'title': ['column', ...]}"
            )
        sizes = [(4.2 if len(names) <= _INSIDE else 5.6, 3.0) for _, names in drawn]
        self.ax_, self.figure_ = take_axes(ax, sizes, each="panel")
        for axes, (panel, names) in zip(self.ax_, drawn, strict=True):
            self._draw(axes, panel, names)
        return self

    def _columns(self) -> list[tuple[_Panel, list[str]]]:
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

    def _draw(self, axes: Axes, panel: _Panel, names: list[str]) -> None:
        ticker = need("matplotlib.ticker", "plots")
        epochs = self.history["epoch"].to_numpy()
        values = self.history[names].to_numpy(dtype=float)
        title = panel.title
        if panel.scale == "unit" and len(names) > 1:
            title += ", scaled to [0, 1]"
            low, high = np.nanmin(values, 0), np.nanmax(values, 0)
            values = (values - low) / np.where(high > low, high - low, 1.0)
        for k, (name, column) in enumerate(zip(names, values.T, strict=True)):
            known = np.isfinite(column)  # a penalty is not computed in every epoch
            axes.plot(
                epochs[known],
                column[known],
                color=color_of(k),
                linestyle="--" if name == "domain_chance" else line_of(k),
                marker="o" if known.sum() == 1 else "",
                label=_label_of(name),
            )
        if panel.reference is not None:
            axes.axhline(panel.reference, color="#7F7F7F", linewidth=0.8, linestyle=":")
        if self.selected_epoch is not None:
            axes.axvline(self.selected_epoch, color="#7F7F7F", linewidth=0.8)
        axes.update_datalim([(epochs[0], value) for value in panel.shown])
        axes.autoscale_view()
        axes.set(title=title, xlabel="epoch")
        if panel.scale == "loss" and _spans_decades(values):
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        if len(names) <= _INSIDE:
            axes.legend(fontsize="small")
        else:
            axes.legend(
                fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False
            )


# Columns in words. Others are drawn under their own names.
_WORDS = {
    "adversarial_loss": "adversarial loss",
    "bnm": "nuclear norm",
    "certain": "confident predictions",
    "d_accuracy": "accuracy of D",
    "frame_d_accuracy": "accuracy of D on frames",
    "d_fake": "generated",
    "d_real": "real",
    "d_reconstructed": "reconstructed",
    "domain_accuracy": "accuracy of D on domains",
    "domain_chance": "chance",
    "entropy": "minus entropy",
    "generator_accuracy": "generated samples of the class asked for",
    "infomax": "mutual information",
    "kl": "KL divergence",
    "lam": "weight of the adversary",
    "mano": "norm of the logits",
    "r1": "R1 penalty",
    "reconstruction_ratio": "reconstruction ratio",
    "snd": "soft neighborhood density",
}


def _label_of(name: str) -> str:
    """Give the name of a column in words."""
    if name in _WORDS:
        return _WORDS[name]
    if name.startswith("loss_"):
        return f"loss of {name.removeprefix('loss_')}"
    if name.endswith("_loss"):
        return name.replace("_", " ")
    code = re.fullmatch(r"(?:information|accuracy|usage)_([a-z]+)(\d+)", name)
    return f"{code[1]} {code[2]}" if code else name


def _spans_decades(values: np.ndarray) -> bool:
    """Whether a logarithmic scale can show the values, and shows more of them than a linear one."""
    values = values[np.isfinite(values)]
    return bool(values.min() > 0 and values.max() > _DECADES * values.min())
