"""What each recipe of adaptation adds to its source with the same augmentation, from the rows."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from benchmarks.runner import RESULTS, read

BENCHMARKS = (
    "digits_domains", "meter_digits", "arabic_commands", "amazon", "office_caltech", "gas_drift",
    "pacs_deep",
)  # fmt: skip
RECIPES = ("joint + augment + pseudo", "whole recipe")
# Before the plain augmentation: a table that is denoised has its own.
SOURCES = ("source only, denoised", "source only + augment")
WITHOUT = ("augment + pseudo, no adversary", "whole recipe, no adversary")
HEAD = (
    "task", "device, preset", "source + augment", "recipe", "added", "worst pair added",
    "added without the adversary", "added with the guard",
)  # fmt: skip


def gains() -> pd.DataFrame:
    """A row for each task, device and preset that has both a recipe and its source."""
    found = [
        row
        for name in BENCHMARKS
        for path in sorted(RESULTS.glob(f"{name}-*.csv"))
        for row in _of(read(path))
    ]
    return pd.DataFrame(found, columns=list(HEAD))


def table() -> str:
    """Markdown of `gains`, the smallest of each column below it."""
    found = gains()
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    for row in found.to_dict("records"):
        lines.append(f"| {' | '.join(_shown(name, row[name]) for name in HEAD)} |")
    worst = ["" if h in HEAD[2:4] else _shown(h, found[h].min()) for h in HEAD[2:]]
    return "\n".join([*lines, f"| **worst** |  | {' | '.join(worst)} |"]) + "\n"


def _of(rows: pd.DataFrame) -> Iterator[dict[str, object]]:
    rows = rows[(rows.system == "DANN") & (rows.metric == "accuracy_last")]
    for (device, preset), group in rows.groupby(["device", "preset"], sort=False):
        means = group.assign(mean=group["mean"].astype(float)).pivot_table(
            index="task", columns="variant", values="mean", sort=False
        )
        source, recipe, without = (
            next((v for v in names if v in means), None) for names in (SOURCES, RECIPES, WITHOUT)
        )
        if source is None or recipe is None:
            continue
        added = (means[recipe] - means[source]).dropna()
        # Where there is a mean of pairs, it is the task.
        wholes = [t for t in added.index if "->" not in t]
        for task in wholes or added.index:
            row: dict[str, object] = {
                "task": task,
                "device, preset": f"{device}, {preset}",
                "source + augment": means[source][task],
                "recipe": means[recipe][task],
                "added": added[task],
            }
            if task in wholes:
                several = "to one" in task  # whose pairs are "others->TARGET"
                pairs = [t for t in added.index if "->" in t and t.startswith("others") == several]
                row["worst pair added"] = added[pairs].min()
            for name, variant in zip(HEAD[-2:], (without, f"{recipe}, guarded"), strict=True):
                if variant in means:
                    row[name] = means[variant][task] - means[source][task]
            yield row


def _shown(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    return f"{value:+.3f}" if "added" in name else f"{value:.3f}"
