"""Parts of the site that are made from the package: the reference, tables, commands, changes."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
# In this order; a name stands with the first that has it.
MODULES = (
    "repkit",
    "repkit.dann",
    "repkit.vae",
    "repkit.vaegan",
    "repkit.bigan",
    "repkit.infogan",
    "repkit.triplegan",
    "repkit.speech",
    "repkit.words",
    "repkit.metrics",
    "repkit.datasets",
    "repkit.augment",
    "repkit.recipes",
    "repkit.callbacks",
    "repkit.hub",
    "repkit.distributed",
    "repkit.plots",
    "repkit.audio",
    "repkit.nets",
    "repkit.losses",
    "repkit.schedules",
    "repkit.engine",
)
KINDS = ("Classes", "Functions", "Warnings and errors", "Constants")


def make() -> None:
    """Write everything into folders that are not under version control."""
    write("made/results.inc", table(section(ROOT / "README.md", "Results")))
    benchmarks = ROOT / "benchmarks" / "README.md"
    choosing = ("", "accuracy", "regret", "gain", "worst regret", "worst gain")
    found = section(benchmarks, "Choosing without labels: `choosing`")
    write("made/choosing.inc", table(found, choosing))
    guarding = ("", "adapted gain", "used gain", "adapted worst", "used worst", "guarded")
    found = section(benchmarks, "The guard and the search: `guarding`").replace("other pairs: ", "")
    write("made/guarding.inc", table(found, guarding))
    write("made/changes.inc", section(ROOT / "README.md", "Changes").strip() + "\n")
    write("made/commands.inc", commands())
    reference()


def prepare(gallery_conf: Any, name: str) -> None:
    """Run before every example: one thread, since two examples run at once."""
    import torch

    torch.set_num_threads(1)


def write(name: str, text: str) -> None:
    """Write a file if it is not there as it is, so that what depends on it is not built anew."""
    path = HERE / name
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


# ---------------------------------------------------------------- from Markdown


def section(path: Path, title: str) -> str:
    """What stands under a heading of a Markdown file."""
    (found,) = re.findall(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", path.read_text(encoding="utf-8"), re.M | re.S
    )
    return found


def table(text: str, columns: tuple[str, ...] | None = None) -> str:
    """The first table of a Markdown text; of its columns those named, of which "" is the first."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head, rows = rows[0], rows[2:]
    chosen = range(len(head)) if columns is None else [0] + [head.index(c) for c in columns[1:]]
    if columns is not None:
        head[0] = ""
    listed = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        for number, k in enumerate(chosen):
            mark = "*" if number == 0 else " "
            cell = row[k].replace("`", "``").replace(" ± ", "\u00a0±\u00a0")
            listed.append(f"   {mark} - {cell}".rstrip())
    return "\n".join(listed) + "\n"


# ---------------------------------------------------------------- commands


def commands() -> str:
    """What each command says of itself."""
    import click

    from repkit.cli.app import app

    def pages(command: click.Command, name: str) -> list[str]:
        context = click.Context(command, info_name=name, terminal_width=88)
        said = textwrap.indent(command.get_help(context), "   ")
        parts = ["", name, "~" * len(name), "", ".. code-block:: text", "", said, ""]
        for inner in getattr(command, "commands", {}).values():
            parts += pages(inner, f"{name} {inner.name}")
        return parts

    return "\n".join(pages(app, "repkit")) + "\n"


# ---------------------------------------------------------------- reference


def kind_of(thing: Any) -> str:
    """Under which heading a thing stands."""
    if inspect.isclass(thing):
        return "Warnings and errors" if issubclass(thing, BaseException) else "Classes"
    return "Functions" if inspect.isroutine(thing) else "Constants"


def public() -> dict[str, dict[str, list[str]]]:
    """The public names of each module, by kind, each name once."""
    seen: set[int] = set()
    found: dict[str, dict[str, list[str]]] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        kinds: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for public in module.__all__:
            thing = getattr(module, public)
            if id(thing) not in seen:
                kinds[kind_of(thing)].append(public)
                seen.add(id(thing))
        found[name] = {kind: names for kind, names in kinds.items() if names}
    return found


def reference() -> None:
    """A page for each module, from which the pages of its names are made."""
    for module, kinds in public().items():
        lines = [module, "=" * len(module), "", f".. automodule:: {module}", ""]
        for kind, names in kinds.items():
            lines += [kind, "-" * len(kind), "", ".. autosummary::", "   :toctree: ."]
            lines += ["   :nosignatures:", ""]
            lines += [f"   {name}" for name in names] + [""]
        write(f"api/{page_of(module)}.rst", "\n".join(lines))
    listed = "\n".join(f"   {page_of(module)}" for module in MODULES)
    rows = "\n".join(
        f"   * - :doc:`{module} <{page_of(module)}>`\n     - {first_line(module)}"
        for module in MODULES
    )
    text = (
        "Reference\n=========\n\nAll public names. One that several modules have stands with the "
        "first.\n\n.. list-table::\n   :widths: 25 75\n\n"
        f"{rows}\n\n.. toctree::\n   :hidden:\n\n{listed}\n"
    )
    write("api/index.rst", text)


def page_of(module: str) -> str:
    """The name of a module's page, which no class has on any file system."""
    return f"{module}-module"


def first_line(module: str) -> str:
    """What a module says of itself."""
    said = (importlib.import_module(module).__doc__ or "").strip().partition("\n\n")[0]
    return " ".join(said.removeprefix("Internal. ").split())
