"""What a part of the quick run shows: a small table, a sentence with its figures, pictures."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE

from benchmarks.runner import Case

WIDTH = 100
HEADER = 22  # characters in a line of a column's name
FIT = "seconds of fit"  # a metric that has no column of its own


@dataclass(frozen=True)
class Picture:
    """A figure that was saved, and what is to be seen in it."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Part:
    """A system, or two that are compared.

    Parameters
    ----------
    system : str
        repkit's class.
    title : str
        What it is for.
    cases : callable
        ``device -> cases``; a case's task and variant are the plain words of its row.
    columns : mapping of str to str
        Plain words for each metric, at most four.
    sentence : callable
        What it did for the user, from the `Figures`.
    pictures : callable
        ``(folder, device) -> pictures``.
    """

    system: str
    title: str
    cases: Callable[[str], list[Case]]
    columns: Mapping[str, str]
    sentence: Callable[[Figures], str]
    pictures: Callable[[Path, str], list[Picture]] = field(default=lambda out, device: [])


class Figures:
    """The means of a part's rows."""

    def __init__(self, rows: pd.DataFrame) -> None:
        keys = zip(rows.task, rows.variant, rows.metric, strict=True)
        self.means = dict(zip(keys, rows["mean"].astype(float), strict=True))
        self.runs = int(rows.seeds.astype(int).max()) if len(rows) else 0

    def __call__(self, task: str, variant: str, metric: str) -> float:
        return self.means[task, variant, metric]


def seconds_of(model: Any) -> dict[str, float]:
    """How long the fit of a model took, which several rows may share."""
    return {FIT: float(model.history_["seconds"].iloc[-1])}


def to_plane(features: np.ndarray, metric: str = "euclidean") -> np.ndarray:
    """Points in the plane by t-SNE: UMAP, which displays take by themselves, compiles for longer
    than the rest of a picture takes.
    """
    return TSNE(metric=metric, init="random", random_state=0).fit_transform(features)


def against(ours: float, theirs: float, tie: float) -> str:
    """How a figure of which more is better stands to another, in words."""
    if not abs(ours - theirs) > tie:
        return "level with"
    return "better than" if ours > theirs else "worse than"


def table_of(part: Part, rows: pd.DataFrame) -> list[list[str]]:
    """The cells: the names of the columns, then a line for each case."""
    shown = [metric for metric in part.columns if metric in set(rows.metric)]
    several = rows.task.nunique() > 1
    head = [*(["data"] if several else []), "method", *(part.columns[m] for m in shown), "seconds"]
    lines = [head]
    for (task, variant), group in rows.groupby(["task", "variant"], sort=False):
        found = {r.metric: r for r in group.itertuples()}
        cells = [cell(found[m].mean, found[m].std) if m in found else "" for m in shown]
        fit = found[FIT].mean if FIT in found else group.seconds.iloc[0]
        lines.append([*([task] if several else []), variant, *cells, f"{float(fit):.0f}"])
    return lines


def cell(mean: float, std: float | str) -> str:
    """A mean, and the deviation over the runs if there were several."""
    mean = float(mean)
    digits = 0 if abs(mean) >= 100 else 1 if abs(mean) >= 10 else 3
    text = f"{mean:.{digits}f}"
    if std != "" and not math.isnan(float(std)):
        text += f" ± {float(std):.{digits}f}"
    return text


def as_text(lines: Sequence[Sequence[str]]) -> list[str]:
    """A table for a terminal of `WIDTH` columns; long names of columns stand in several lines."""
    heads = [textwrap.wrap(name, HEADER) for name in lines[0]]
    height = max(map(len, heads))
    top = [[head[k] if k < len(head) else "" for head in heads] for k in range(height)]
    body = [list(line) for line in lines[1:]]
    widths = [max(map(len, column)) for column in zip(*top, *body, strict=True)]
    rows = [*top, ["-" * width for width in widths], *body]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def told(part: Part, rows: pd.DataFrame) -> str:
    """The sentence; empty if a row that it needs was not run."""
    try:
        return part.sentence(Figures(rows))
    except KeyError:
        return ""
