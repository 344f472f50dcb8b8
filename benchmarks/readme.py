"""Writes the tables of README.md from the committed results."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.runner import RESULTS, cell, read

README = Path(__file__).parent.parent / "README.md"
MARK = re.compile(
    r"(<!-- table: (?P<name>\w+)(?: metric=(?P<metric>\w+))? -->\n).*?(<!-- end -->)", re.S
)


def update(path: Path = README) -> None:
    """Replace what stands between ``<!-- table: NAME metric=M -->`` and ``<!-- end -->``."""
    text = path.read_text()
    path.write_text(MARK.sub(lambda m: m[1] + table(m["name"], m["metric"]) + m[4], text))


def table(name: str, metric: str | None) -> str:
    """Markdown of one benchmark: a line a (system, variant), a column a task, for each device."""
    parts = []
    for path in sorted(RESULTS.glob(f"{name}-*.csv")):
        rows = read(path)
        if metric:
            rows = rows[rows.metric == metric]
        rows = rows[~rows.task.str.contains("->") | (rows.task.nunique() <= 4)]
        tasks = list(dict.fromkeys(rows.task))
        lines = [
            f"| {path.stem.rpartition('-')[2]} | " + " | ".join(tasks) + " | seconds a run |",
            "|---" * (len(tasks) + 2) + "|",
        ]
        for (system, variant), group in rows.groupby(["system", "variant"], sort=False):
            found = {row.task: row for row in group.itertuples()}
            cells = [cell(found[t].mean, found[t].std) if t in found else "" for t in tasks]
            seconds = f"{group.seconds.astype(float).mean():.0f}"
            lines.append(f"| {system}, {variant} | " + " | ".join([*cells, seconds]) + " |")
        published = {
            (row.source, row.task): row.published for row in rows.itertuples() if row.source
        }
        for source in dict.fromkeys(s for s, _ in published):
            cells = [str(published.get((source, t), "")) for t in tasks]
            lines.append(f"| *published: {source}* | " + " | ".join([*cells, ""]) + " |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
