"""Every system on embedded data: small tables, what each did for you, and pictures of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks.quick import domains, encoders, generators, speech
from benchmarks.quick.page import Section, page
from benchmarks.quick.table import WIDTH, Part, as_text, table_of, told
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
    total = sum(case.seeds or seeds for case in cases("quick", device) if case.name in wanted)
    done = 0
    with Bar("quick", total + len(PARTS), counted=False) as bar:

        def began(case: Case, seed: int, n: int) -> None:
            nonlocal done
            what = f"{case.system}: {case.variant}"
            bar.set(done, what=what)
            done += 1
            if not bar.is_shown and seed == 0:
                echo(f"{time.strftime('%H:%M:%S')} {what}")

        rows = run_cases(
            "quick",
            cases("quick", device),
            preset="quick",
            seeds=seeds,
            device=device,
            out=out,
            only=only,
            redo=True,
            began=began,
            show=lambda *shown: None,
        )
        sections = []
        for part in PARTS:
            names = {case.name for case in part.cases(device)} & wanted
            mine = rows[pd.Series(names_of(rows), index=rows.index, dtype=str).isin(names)]
            if len(mine):
                bar.set(done, what=f"{part.system}: pictures")
                pictures = [] if only else part.pictures(out, device)
                sections.append(Section(part, table_of(part, mine), told(part, mine), pictures))
            done += 1
    for section in sections:
        title = f"{section.part.system}: {section.part.title}"
        echo("\n".join(["", title, *as_text(section.lines), *wrapped(section.sentence)]))
    footer = (
        f"Figures are means ± deviations over {seeds} runs on {device_label(device)}; seconds are "
        f"of one run. All of it took {time.perf_counter() - started:.0f} s."
    )
    echo("\n".join(["", *wrapped(footer)]))
    if not only:
        path = out / "index.html"
        path.write_text(page(sections, footer), encoding="utf-8")
        echo(f"Tables and pictures: {path}")
    return rows


def wrapped(text: str) -> list[str]:
    """A text in lines that a terminal holds."""
    import textwrap

    return textwrap.wrap(text, WIDTH)
