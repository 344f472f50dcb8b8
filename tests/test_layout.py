"""The house: imports run one way, and what is slow to import is imported late."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import repkit

PACKAGE = Path(repkit.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
# Each part may import from parts further up, and from itself if it is a folder.
ORDER = [
    {"audio"},
    {"files", "nets", "losses", "data", "rng", "flat", "optim", "metrics", "augment", "features"}
    | {"erasure"},
    {"persist", "checkpoint", "segments", "perturb"},
    {"system"},
    {"engine"},
    {"training"},
    {"systems"},
    {"estimators"},
    {"plots"},
    {"cli", "__main__"},
]
HEAVY = {"matplotlib", "pandas", "pooch", "rich", "seaborn", "soundfile", "torchaudio", "umap"}


def part_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def names_imported(path, nodes):
    """Full names of the modules that a file's import statements ask for."""
    package = ("repkit", *path.relative_to(PACKAGE).parts[:-1])
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "repkit":
                yield from (f"repkit.{alias.name}" for alias in node.names)
            else:
                yield module


def parts_imported(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for name in names_imported(path, ast.walk(tree)):
        root, _, rest = name.partition(".")
        if root == "repkit" and rest:
            yield rest.partition(".")[0]


def at_the_top(tree):
    """Import statements that run when the module is imported."""
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        stack = [node]
        while stack:
            inner = stack.pop()
            yield inner
            if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                stack.extend(ast.iter_child_nodes(inner))


def test_the_walk_sees_imports():
    source = PACKAGE / "metrics" / "x.py"
    code = """
from . import a
from .b import c
from .. import nets
import repkit.engine.batches as d
from repkit import rng
"""
    found = list(names_imported(source, ast.walk(ast.parse(code))))
    assert [name.removeprefix("repkit.") for name in found] == [
        "metrics",
        "metrics.b",
        "nets",
        "data",
        "rng",
    ]
    code = """
import a
if TYPE_CHECKING:
    import b
try:
    import c
finally:
    pass
def f():
    import d
"""
    assert list(names_imported(source, at_the_top(ast.parse(code)))) == ["a", "c"]
    assert "engine" in set(parts_imported(PACKAGE / "training.py"))


def test_every_part_has_its_place():
    known = set().union(*ORDER) | {"__init__", "datasets"}
    assert {part_of(path) for path in SOURCES} <= known


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    part, imported = part_of(path), set(parts_imported(path))
    if part == "__init__":
        return  # the public names; it imports them on first use
    if part == "datasets":
        assert imported <= {"datasets", "audio"}
        return
    level = next(k for k, parts in enumerate(ORDER) if part in parts)
    allowed = set().union(*ORDER[:level]) | {part}
    if level > ORDER.index({"estimators"}):
        allowed |= {"datasets"}
    wrong = imported - allowed - {"__version__"}
    assert not wrong, f"{part} must not import {sorted(wrong)}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_slow_packages_are_imported_late(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {name.partition(".")[0] for name in names_imported(path, at_the_top(tree))}
    assert not found & HEAVY


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_systems_know_no_scikit_learn(path):
    if part_of(path) in {
        "nets",
        "losses",
        "data",
        "rng",
        "persist",
        "checkpoint",
        "engine",
        "systems",
    }:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = {name.partition(".")[0] for name in names_imported(path, ast.walk(tree))}
        assert "sklearn" not in found


def loaded(code):
    """Which of the slow packages a new process has after this code."""
    code += f"\nimport sys; print(*sorted({HEAVY | {'torch', 'sklearn'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_repkit_loads_nothing():
    assert loaded("import repkit; dir(repkit); repkit.__version__") == set()


def test_importing_dann_loads_nothing_slow():
    # scikit-learn loads pandas by itself, where it is installed.
    assert loaded("from repkit import DANN, load") <= loaded("import torch, sklearn.base")


def test_public_names():
    assert repkit.__all__ == sorted(repkit.__all__, key=lambda name: (not name.isupper(), name))
    assert set(repkit.__all__) <= set(dir(repkit))
    for name in ("DANN", "NoTargetWarning", "load"):
        assert getattr(repkit, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'repkit' has no attribute 'GAN'"):
        repkit.GAN  # noqa: B018
