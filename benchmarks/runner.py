"""Runs cases over seeds, writes every row as soon as it stands, and prints tables."""

from __future__ import annotations

import contextlib
import csv
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
COLUMNS = [
    "task", "system", "variant", "metric", "mean", "std", "seeds", "published", "source",
    "seconds", "device", "preset", "command", "values",
]  # fmt: skip
Key = tuple[str, str]  # task, metric


@dataclass(frozen=True)
class Case:
    """One line of a table: a system in a variant, run once for each seed.

    Parameters
    ----------
    task, system, variant : str
    run : callable
        ``run(seed) -> {metric: value}``; a key may also be ``(task, metric)``, for a part of the
        task that has a row of its own.
    published : mapping of metric to (value, source)
    seeds : int, optional
        Where the number asked for makes no sense.
    """

    task: str
    system: str
    variant: str
    run: Callable[[int], Mapping[str | Key, float]]
    published: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    seeds: int | None = None

    @property
    def name(self) -> str:
        return f"{self.task}/{self.system}/{self.variant}"


def run_cases(
    benchmark: str,
    cases: Iterable[Case],
    *,
    preset: str,
    seeds: int,
    device: str,
    out: Path,
    only: str = "",
    redo: bool = False,
    console: Console | None = None,
) -> pd.DataFrame:
    """Run the cases whose rows do not stand yet; the rows of all of them."""
    console = console or Console()
    label = device_label(device)
    path = out / f"{benchmark}-{label}.csv"
    cases = list(cases)
    # A whole name means that case alone, so that a row's command makes that row.
    wanted = [case for case in cases if case.name == only]
    wanted = wanted or [case for case in cases if only in case.name]
    for case in wanted:
        n = case.seeds or seeds
        if not redo and stands(path, case, preset, n):
            continue
        console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {case.name}", highlight=False)
        values: dict[Key, list[float]] = {}
        started = time.perf_counter()
        for seed in range(n):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = case.run(seed)
            for key, value in found.items():
                values.setdefault((case.task, key) if isinstance(key, str) else key, []).append(
                    float(value)
                )
        seconds = (time.perf_counter() - started) / n
        command = (
            f"python -m benchmarks {benchmark} --preset {preset} --seeds {n} --device {device}"
        )
        rows = [
            {
                "task": task,
                "system": case.system,
                "variant": case.variant,
                "metric": metric,
                "mean": round(statistics.fmean(v), 4),
                "std": round(statistics.stdev(v), 4) if len(v) > 1 else "",
                "seeds": len(v),
                "published": case.published.get(metric, ("", ""))[0] if task == case.task else "",
                "source": case.published.get(metric, ("", ""))[1] if task == case.task else "",
                "seconds": round(seconds, 1),
                "device": label,
                "preset": preset,
                "command": f"{command} --only '{case.name}'",
                "values": " ".join(f"{x:.4f}" for x in v),
            }
            for (task, metric), v in values.items()
        ]
        write(path, case, preset, rows)
    table = read(path)
    names = {case.name for case in wanted}
    chosen = table[
        [f"{t}/{s}/{v}" in names for t, s, v in table[["task", "system", "variant"]].values]
    ]
    chosen = chosen[chosen.preset == preset]
    show(benchmark, chosen, console)
    return chosen


def read(path: Path) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(path, keep_default_na=False, dtype={"values": str})


def stands(path: Path, case: Case, preset: str, seeds: int) -> bool:
    table = read(path)
    rows = table[
        (table.task == case.task)
        & (table.system == case.system)
        & (table.variant == case.variant)
        & (table.preset == preset)
    ]
    return len(rows) > 0 and bool((rows.seeds.astype(int) >= seeds).all())


def write(path: Path, case: Case, preset: str, rows: list[dict[str, object]]) -> None:
    """Replace the case's rows in the file; two runs may share the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        table = read(path)
        tasks = {row["task"] for row in rows}
        old = (
            table.task.isin(tasks)
            & (table.system == case.system)
            & (table.variant == case.variant)
            & (table.preset == preset)
        )
        kept = table[~old].to_dict("records")
        temporary = path.with_suffix(".part")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows([*kept, *rows])
        os.replace(temporary, path)


@contextlib.contextmanager
def locked(path: Path) -> Iterable[None]:
    """Hold ``path.lock`` while the file is rewritten."""
    lock = path.with_suffix(".lock")
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            if time.time() - lock.stat().st_mtime > 60:  # of a run that was killed
                lock.unlink(missing_ok=True)
            time.sleep(0.05)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def show(benchmark: str, rows: pd.DataFrame, console: Console) -> None:
    """Print the rows: a table for each set of systems that share metrics."""
    groups: dict[str, set[str]] = {}
    for system, metrics in rows.groupby("system", sort=False).metric:
        shared = next((k for k, known in groups.items() if known & set(metrics)), system)
        groups[shared] = groups.get(shared, set()) | set(metrics)
    for metrics in groups.values():
        print_table(benchmark, rows[rows.metric.isin(metrics)], console)


def print_table(title: str, rows: pd.DataFrame, console: Console) -> None:
    """One line a (task, system, variant), one column a metric."""
    metrics = list(dict.fromkeys(rows.metric))
    table = Table(title=title, title_justify="left")
    for name in ("task", "system", "variant", *metrics, "published", "s a run"):
        table.add_column(name, overflow="fold")
    for (task, system, variant), group in rows.groupby(["task", "system", "variant"], sort=False):
        found = {row.metric: row for row in group.itertuples()}
        cells = [cell(found[m].mean, found[m].std) if m in found else "" for m in metrics]
        published = "; ".join(f"{r.published} ({r.source})" for r in group.itertuples() if r.source)
        table.add_row(task, system, variant, *cells, published, str(group.seconds.iloc[0]))
    console.print(table)


def cell(mean: float, std: float | str) -> str:
    return f"{float(mean):.4f}" + (f" ± {float(std):.4f}" if std != "" else "")


def device_label(device: str) -> str:
    """The name of the device in file names and tables: cpu, or the GPU's short name."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
        return name.replace("NVIDIA", "").strip().split()[0].lower()
    return device
