"""Everything on embedded data, in about ten minutes: tables, and figures of what was learned."""

from __future__ import annotations

from pathlib import Path

from benchmarks.quick import domains, encoders, generators, speech
from benchmarks.runner import Case

PARTS = (domains, encoders, generators, speech)


def cases(preset: str, device: str) -> list[Case]:
    """The systems one after the other."""
    return [case for part in PARTS for case in part.cases(device)]


def figures(out: Path, device: str) -> list[Path]:
    """Pictures of what they learned."""
    return [path for part in PARTS for path in part.figures(out, device)]
