"""Everything on embedded data, in under three minutes: tables, and figures of what was learnt."""

from __future__ import annotations

from pathlib import Path

from benchmarks.quick import domains, encoders
from benchmarks.runner import Case


def cases(preset: str, device: str) -> list[Case]:
    """The systems one after the other."""
    return [*domains.cases(device), *encoders.cases(device)]


def figures(out: Path, device: str) -> list[Path]:
    """Pictures of what they learnt."""
    return [*domains.figures(out, device), *encoders.figures(out, device)]
