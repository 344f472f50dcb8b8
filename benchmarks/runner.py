"""Runs cases over seeds, writes every row as soon as it stands, and prints tables."""

from __future__ import annotations

import contextlib
import csv
import os
import shlex
import statistics
import subprocess
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pandas as pd
import torch

from repkit import __version__

RESULTS = Path(__file__).parent / "results"
OUT = Path(__file__).parent / "out"
COLUMNS = [
    "task", "system", "variant", "metric", "mean", "std", "seeds", "published", "source",
    "seconds", "device", "preset", "command", "values", "commit",
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


class NoMatch(LookupError):
    """No case of a benchmark has the name that was asked for."""


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
    echo: Callable[[str], None] = print,
    began: Callable[[Case, int, int], None] | None = None,
    show: Callable[..., None] | None = None,
    called: str = "",
    version: str = "",
) -> pd.DataFrame:
    """Run the cases whose rows do not stand yet, and print the rows of all of them.

    Parameters
    ----------
    benchmark : str
        Its name: rows are written to ``<benchmark>-<device>.csv``.
    cases : iterable of Case
    preset : str
    seeds : int
        Runs of each case that has no number of its own.
    device : str
    out : Path
        The folder of the file.
    only : str
        Run the cases whose name holds this; the whole name of a case means that case alone.
    redo : bool
        Whether to run also the cases whose rows stand in the file already.
    echo : callable
        Prints a line.
    began : callable, optional
        ``began(case, seed, seeds)`` is called before each run. By default, a line for each case.
    show : callable, optional
        ``show(benchmark, rows, ran, echo)`` shows the rows. By default, tables are printed.
    called : str, optional
        What the command line calls the benchmark, if that is not its name.
    version : str, optional
        Stands behind the commit in each row: the version of a file that no commit has.

    Returns
    -------
    DataFrame
        The rows of the cases. What stood already is marked in the printed table.

    Raises
    ------
    NoMatch
        If no case's name holds ``only``.
    """
    label = device_label(device)
    path = out / f"{benchmark}-{label}.csv"
    wanted = chosen(benchmark, list(cases), only)
    ran: set[str] = set()
    for case in wanted:
        n = case.seeds or seeds
        if not redo and stands(path, case, preset, n):
            continue
        if began is None:
            echo(f"{time.strftime('%H:%M:%S')} {case.name}")
        values: dict[Key, list[float]] = {}
        started = time.perf_counter()
        for seed in range(n):
            if began is not None:
                began(case, seed, n)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = case.run(seed)
            for key, value in found.items():
                values.setdefault((case.task, key) if isinstance(key, str) else key, []).append(
                    float(value)
                )
        seconds = (time.perf_counter() - started) / n
        command = (
            f"python -m benchmarks {shlex.quote(called or benchmark)} --preset {preset} "
            f"--seeds {n} --device {device}"
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
                "command": f"{command} --only {shlex.quote(case.name)}",
                "values": " ".join(f"{x:.4f}" for x in v),
                "commit": f"{commit()} {version}".rstrip(),
            }
            for (task, metric), v in values.items()
        ]
        write(path, case, preset, rows)
        ran.add(case.name)
    table = read(path)
    names = {case.name for case in wanted}
    if stood := len(names - ran):
        echo(f"{stood} of {len(names)} cases stood in {path} and were not run: 'earlier' (--redo)")
    rows = table[pd.Series(names_of(table), dtype=str).isin(names) & (table.preset == preset)]
    (show or print_tables)(benchmark, rows, ran, echo)
    return rows


def chosen(benchmark: str, cases: list[Case], only: str) -> list[Case]:
    """The cases whose name holds ``only``, or the one whose name it is."""
    # A whole name means that case alone, so that a row's command makes that row.
    wanted = [case for case in cases if case.name == only]
    wanted = wanted or [case for case in cases if only in case.name]
    if not wanted:
        listed = "".join(f"\n  {case.name}" for case in cases)
        raise NoMatch(
            f"no case of {benchmark} has {only!r} in its name; give a part of one of:{listed}"
        )
    return wanted


def names_of(rows: pd.DataFrame) -> list[str]:
    """The name of the case that made each row."""
    return [f"{t}/{s}/{v}" for t, s, v in rows[["task", "system", "variant"]].values]


@cache
def commit() -> str:
    """The commit that is run, with a "+" if files have changed since; without git, the version.

    Files of results do not count as changes: every row that is written is one.
    """
    root = RESULTS.parent.parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return __version__  # a copy inside some other repository
        dirty = git("status", "--porcelain", "--", ".", ":!benchmarks/results")
        return git("rev-parse", "--short=7", "HEAD") + ("+" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return __version__


def read(path: Path) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    table = pd.read_csv(path, keep_default_na=False, dtype={"values": str, "commit": str})
    return table.reindex(columns=COLUMNS, fill_value="")  # rows of before have fewer


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
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
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


def print_tables(
    benchmark: str, rows: pd.DataFrame, ran: set[str], echo: Callable[[str], None]
) -> None:
    """Print the rows: a table for each set of systems that share metrics."""
    groups: dict[str, set[str]] = {}
    for system, metrics in rows.groupby("system", sort=False).metric:
        shared = next((k for k, known in groups.items() if known & set(metrics)), system)
        groups[shared] = groups.get(shared, set()) | set(metrics)
    for metrics in groups.values():
        echo("\n".join(["", benchmark, *table(rows[rows.metric.isin(metrics)], ran)]))


def table(rows: pd.DataFrame, ran: set[str]) -> list[str]:
    """One line a (task, system, variant), one column a metric; the last says who made the line."""
    metrics = list(dict.fromkeys(rows.metric))
    lines = [["task", "system", "variant", *metrics, "published", "s a run", "run"]]
    for (task, system, variant), group in rows.groupby(["task", "system", "variant"], sort=False):
        found = {row.metric: row for row in group.itertuples()}
        cells = [cell(found[m].mean, found[m].std) if m in found else "" for m in metrics]
        published = "; ".join(f"{r.published} ({r.source})" for r in group.itertuples() if r.source)
        now = f"{task}/{system}/{variant}" in ran
        made = "now" if now else f"earlier ({group.commit.iloc[0]})"
        lines.append([task, system, variant, *cells, published, str(group.seconds.iloc[0]), made])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


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
