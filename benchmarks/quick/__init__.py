"""Everything on embedded data, in under four minutes: tables, and figures of what was learnt."""

from __future__ import annotations

from pathlib import Path

from benchmarks.quick import domains, encoders, generators
from benchmarks.runner import Case


def cases(preset: str, device: str) -> list[Case]:
    """The systems one after the other."""
    return [*domains.cases(device), *encoders.cases(device), *generators.cases(device)]


def figures(out: Path, device: str) -> list[Path]:
    """Pictures of what they learnt."""
    return [path for part in (domains, encoders, generators) for path in part.figures(out, device)]
