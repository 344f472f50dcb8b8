"""Internal. What a fitted estimator has learned, as notebooks show it below its parameters."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

STYLE = "border-collapse:collapse;font-size:.9em;margin:.3em 0"
CELL = "text-align:left;padding:.1em .8em .1em 0"


def learned(estimator: Any) -> str:
    """A block of HTML: epochs, shapes, networks and the last row of the history; "" before a fit.

    Parameters
    ----------
    estimator : Estimator
        Fitted or not.

    Returns
    -------
    str
        HTML in which everything is escaped.
    """
    if not hasattr(estimator, "networks_") or not hasattr(estimator, "history_"):
        return ""
    rows = [(escape(name), escape(text)) for name, text in described(estimator) if text is not None]
    last = {k: v for k, v in estimator.history_.iloc[-1].items() if v == v and v is not None}
    body = "".join(
        f'<tr><th scope="row" style="{CELL}">{name}</th><td style="{CELL}">{text}</td></tr>'
        for name, text in rows
    )
    head = "".join(f'<th scope="col" style="{CELL}">{escape(str(k))}</th>' for k in last)
    cells = "".join(f'<td style="{CELL}">{escape(number(v))}</td>' for v in last.values())
    return (
        f'<div class="repkit-learned"><table style="{STYLE}"><tbody>{body}</tbody></table>'
        f'<div style="overflow-x:auto"><table style="{STYLE}"><caption style="text-align:left">'
        f"last epoch</caption><thead><tr>{head}</tr></thead><tbody><tr>{cells}</tr></tbody>"
        "</table></div></div>"
    )


def described(estimator: Any) -> list[tuple[str, str | None]]:
    """What is said of a fitted estimator, by name."""
    history = estimator.history_
    seconds = history["seconds"].dropna()
    took = f", {seconds.iloc[-1]:.1f} s" if len(seconds) else ""
    weights = {
        name: sum(p.numel() for p in network.parameters())
        for name, network in estimator.networks_.items()
    }
    used = estimator.used_weights_
    if used == "selected":
        used = f"those of epoch {estimator.selected_epoch_}, which was selected"
    elif used == "last":
        used = "those of the last epoch"
    failed = None
    if "failed_term" in history and history["failed_term"].iloc[-1:].notna().any():
        term = history["failed_term"].iloc[-1]
        failed = f"at step {int(history['failed_step'].iloc[-1])}: {term} was not finite"
    return [
        ("trained", f"{estimator.n_iter_} epochs{took}, on {estimator.device_}"),
        ("failed", failed),
        ("samples", " x ".join(map(str, estimator.input_shape_))),
        ("classes", _listed(getattr(estimator, "classes_", None))),
        ("domains", _listed(getattr(estimator, "domains_", None))),
        ("networks", ", ".join(f"{name} ({n:,} weights)" for name, n in weights.items())),
        ("in use", used),
    ]


def _listed(values: Any) -> str | None:
    if values is None:
        return None
    values = np.asarray(values).ravel().tolist()
    return f"{len(values)}: {', '.join(map(str, values[:10]))}{', ...' if values[10:] else ''}"


def number(value: Any) -> str:
    """A number of a history, in few digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
