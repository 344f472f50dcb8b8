"""Writes the tables of benchmarks/README.md from the committed results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import gains
from benchmarks.runner import RESULTS, read

README = Path(__file__).parent / "README.md"
# <!-- table: BENCHMARK task=T;U metrics=A;B --> ... <!-- end -->
MARK = re.compile(
    r"(<!-- table: (?P<name>\w+)(?: task=(?P<task>[\w,; +-]+?))?(?: metrics=(?P<metrics>[^>]+?))?"
    r" -->\n).*?(<!-- end -->)",
    re.S,
)


# Tables that are reckoned from the results of several benchmarks.
RECKONED = {"gains": gains.table}


def update(path: Path = README) -> None:
    """Replace what stands between each pair of marks."""
    text = path.read_text(encoding="utf-8")

    def content(m: re.Match[str]) -> str:
        if m["name"] in RECKONED:
            return RECKONED[m["name"]]()
        return tables(m["name"], m["metrics"], m["task"])

    text = MARK.sub(lambda m: m[1] + content(m) + m[5], text)
    path.write_text(text, encoding="utf-8")


def tables(name: str, metrics: str | None, task: str | None = None) -> str:
    """Markdown of a benchmark, a table for each device and preset it was run with."""
    parts = []
    for path in sorted(RESULTS.glob(f"{name}-*.csv")):
        for preset, rows in read(path).groupby("preset", sort=False):
            wanted = metrics.split(";") if metrics else list(dict.fromkeys(rows.metric))
            rows = rows[rows.metric.isin(wanted)]
            if task:
                # In the order in which they are asked for.
                rows = pd.concat([rows[rows.task == t] for t in task.split(";")])
            if rows.task.nunique() > 4:  # the pairs of domains have rows of their own: the means
                rows = rows[~rows.task.str.contains("->")]
            if len(rows):
                parts.append(table(rows, wanted, f"{rows.device.iloc[0]}, preset {preset}"))
    return "\n".join(parts)


def table(rows: pd.DataFrame, order: list[str], title: str) -> str:
    """A line for each (system, variant), a column for each (task, metric)."""
    present = set(zip(rows.task, rows.metric, strict=True))
    columns = [(t, m) for t in dict.fromkeys(rows.task) for m in order if (t, m) in present]
    tasks, metrics = ({column[k] for column in columns} for k in (0, 1))
    heads = [
        ": ".join(
            part
            for part, shown in (
                (task, len(tasks) > 1 or len(metrics) == 1),
                (metric.removeprefix("accuracy_"), len(metrics) > 1),
            )
            if shown
        )
        for task, metric in columns
    ]
    lines = [
        f"| {title} | " + " | ".join(heads) + " | seconds a run | commit |",
        "|---" * (len(columns) + 3) + "|",
    ]
    for (system, variant), group in rows.groupby(["system", "variant"], sort=False):
        found = {(r.task, r.metric): figure(r) for r in group.itertuples()}
        seconds = f"{group.seconds.astype(float).mean():.0f}"
        commits = " ".join(dict.fromkeys(group.commit.astype(str)))
        cells = [found.get(column, "") for column in columns]
        name = ", ".join(part for part in (system, variant) if part)
        lines.append(f"| {name} | " + " | ".join([*cells, seconds, commits]) + " |")
    sources = [source for source in dict.fromkeys(rows.source) if source]
    if sources:
        lines += ["", f"In brackets, published: {'; '.join(sources)}."]
    return "\n".join(lines) + "\n"


def figure(row: Any) -> str:
    """``.123 ± .004``, and the published figure in brackets."""
    digits = [f"{float(x):.3f}" for x in (row.mean, row.std) if x != ""]
    text = " ± ".join(digits)
    return f"{text} ({float(row.published):.3f})" if row.published != "" else text
