"""Benchmarks of others: files of their own with a function ``cases``.

``python -m benchmarks my_file.py`` imports it and runs what ``cases(preset, device)`` gives: a
list of `benchmarks.runner.Case`. benchmarks/README.md has an example.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

from benchmarks.runner import Case


class NoBenchmark(ValueError):
    """A file that cannot be run as a benchmark."""


def read_cases(path: Path, preset: str, device: str) -> list[Case]:
    """The cases of a file; what stands beside it can be imported in it.

    Raises
    ------
    NoBenchmark
        If the file gives no list of cases, or two of one name.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise NoBenchmark(f"{path} must be a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[path.stem] = module  # a class of the file can be pickled
    spec.loader.exec_module(module)
    cases = getattr(module, "cases", None)
    if not callable(cases):
        raise NoBenchmark(f"{path} must have a function cases(preset, device), and has none")
    found = list(cases(preset, device))
    if not found or not all(isinstance(case, Case) for case in found):
        raise NoBenchmark(
            f"{path}: cases(preset, device) must give a list of benchmarks.runner.Case"
        )
    names = [case.name for case in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise NoBenchmark(f"{path} must have cases of different names; twice: {min(twice)}")
    return found


def version(path: Path) -> str:
    """The name of a file and the start of the hash of what it holds."""
    return f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()[:7]}"
