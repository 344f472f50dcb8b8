"""Every system on embedded data: small tables, what each did for you, and pictures of it."""

from __future__ import annotations

import multiprocessing
import os
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.quick import domains, encoders, generators, speech
from benchmarks.quick.page import Section, page
from benchmarks.quick.table import WIDTH, Part, Picture, as_text, table_of, told
from benchmarks.runner import Case, chosen, device_label, names_of, run_cases
from repkit._progress import Bar

SEEDS = 2
PARTS: tuple[Part, ...] = (
    domains.PART,
    generators.VAE_PART,
    generators.VAEGAN_PART,
    encoders.BIGAN_PART,
    encoders.INFOGAN_PART,
    generators.TRIPLEGAN_PART,
    speech.PART,
)
# Parts that share fits run together; what takes longest begins first.
JOBS = (("VAE", "VAEGAN"), ("InfoGAN",), ("TripleGAN",), ("DANN",), ("SpeechAutoencoder",))
JOBS += (("BiGAN",),)

Pictures = dict[str, list[Picture]]
Tell = Callable[[str], None]


def cases(preset: str, device: str) -> list[Case]:
    """The systems one after the other."""
    return [case for part in PARTS for case in part.cases(device)]


def run(
    *,
    seeds: int | None,
    device: str,
    out: Path,
    only: str = "",
    echo: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Run the cases, show them, and write ``index.html``; give the rows."""
    started = time.perf_counter()
    seeds = seeds or SEEDS
    wanted = {case.name for case in chosen("quick", cases("quick", device), only)}
    jobs = [job for job in JOBS if any(_names(part, device) & wanted for part in _parts(job))]
    total = sum(case.seeds or seeds for case in cases("quick", device) if case.name in wanted)
    given: dict[str, Any] = {"seeds": seeds, "device": device, "out": out, "only": only}
    # A GPU is not shared, and what is small is sooner done in this process.
    workers = min(_cores(), len(jobs)) if device_label(device) == "cpu" and not only else 1
    pictures: Pictures = {}
    done = 0
    with Bar("quick", total + len(jobs), counted=False) as bar:

        def tell(what: str) -> None:
            nonlocal done
            bar.set(done, what=what)
            done += 1
            if not bar.is_shown:
                echo(f"{time.strftime('%H:%M:%S')} {what}")

        for found in (
            _in_turn(jobs, given, tell) if workers < 2 else _at_once(jobs, given, tell, workers)
        ):
            pictures |= found
    rows = _read(out, device)
    names = pd.Series(names_of(rows), index=rows.index, dtype=str)
    rows = rows[names.isin(wanted)]
    sections = []
    for part in PARTS:
        mine = rows[names.isin(_names(part, device) & wanted)]
        if len(mine):
            found = pictures.get(part.system, [])
            sections.append(Section(part, table_of(part, mine), told(part, mine), found))
    for section in sections:
        title = f"{section.part.system}: {section.part.title}"
        echo("\n".join(["", title, *as_text(section.lines), *_wrapped(section.sentence)]))
    footer = (
        f"Figures with ± are means and deviations of {seeds} runs on {device_label(device)}, "
        f"others are of one; seconds are of one fit, {workers} at a time. "
        f"All of it took {time.perf_counter() - started:.0f} s."
    )
    echo("\n".join(["", *_wrapped(footer)]))
    if not only:
        path = out / "index.html"
        path.write_text(page(sections, footer), encoding="utf-8")
        echo(f"Tables and pictures: {path}")
    return rows


def work(
    job: Sequence[str], given: dict[str, Any], tell: Tell, threads: int | None = None
) -> Pictures:
    """Run the cases of some parts, of which rows go into the file; give the pictures."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    device, out, only = given["device"], given["out"], given["only"]
    wanted = {case.name for case in chosen("quick", cases("quick", device), only)}
    mine = [case for part in _parts(job) for case in part.cases(device) if case.name in wanted]
    run_cases(
        "quick",
        mine,
        preset="quick",
        seeds=given["seeds"],
        device=device,
        out=out,
        redo=True,
        began=lambda case, seed, n: tell(f"{case.system}: {case.variant}"),
        show=lambda *shown: None,
    )
    if only:
        return {}
    tell(f"{job[-1]}: pictures")
    import matplotlib

    matplotlib.use("Agg")  # files alone, whatever there is to show them on
    return {part.system: part.pictures(out, device) for part in _parts(job)}


def _in_turn(jobs: Sequence[Any], given: dict[str, Any], tell: Tell) -> Iterator[Pictures]:
    for job in jobs:
        yield work(job, given, tell)


def _at_once(
    jobs: Sequence[Any], given: dict[str, Any], tell: Tell, workers: int
) -> Iterator[Pictures]:
    """The jobs in processes side by side: small networks do not fill two cores by threads."""
    context = multiprocessing.get_context("spawn")
    threads = max(1, _cores() // workers)
    with context.Manager() as manager:
        said = manager.Queue()
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            running = {pool.submit(work, job, given, said.put, threads) for job in jobs}
            try:
                while running:
                    ready, running = wait(running, 0.2, FIRST_COMPLETED)
                    while not said.empty():
                        tell(said.get())
                    for one in ready:
                        yield one.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _parts(job: Sequence[str]) -> list[Part]:
    return [part for part in PARTS if part.system in job]


def _names(part: Part, device: str) -> set[str]:
    return {case.name for case in part.cases(device)}


def _read(out: Path, device: str) -> pd.DataFrame:
    from benchmarks.runner import read

    rows = read(out / f"quick-{device_label(device)}.csv")
    order = {case.name: k for k, case in enumerate(cases("quick", device))}
    places = [order.get(name, len(order)) for name in names_of(rows)]
    return rows.assign(place=places).sort_values("place", kind="stable").drop(columns="place")


def _wrapped(text: str) -> list[str]:
    """A text in lines that a terminal holds."""
    return textwrap.wrap(text, WIDTH)
