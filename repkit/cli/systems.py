"""Internal. The systems by the command line's names, and their parameters by the docstrings.

Docstrings are read as text: an estimator loads torch, which takes seconds, and help should not.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click

PACKAGE = Path(__file__).parent.parent
# What the command line itself sets.
KEPT = {
    "callbacks": "it is code; the command line shows every epoch",
    "checkpoint": "checkpoints lie beside --out; see --resume",
    "verbose": "see --quiet",
    "warm_start": "every fit starts anew, or goes on with --resume",
}
WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class System:
    """A system: its class, where that is written, and what its data are."""

    cls: str
    home: str
    labels: str = ""  # what the labels are, if it learns from any
    adapts: bool = False

    @property
    def speech(self) -> bool:
        return self.home == "speech"


SYSTEMS = {
    "dann": System("DANN", "dann", "classes", adapts=True),
    "dann-regressor": System("DANNRegressor", "dann", "numbers", adapts=True),
    "bigan": System("BiGAN", "bigan"),
    "infogan": System("InfoGAN", "infogan"),
    "vae": System("VAE", "vae"),
    "vaegan": System("VAEGAN", "vaegan"),
    "triplegan": System("TripleGAN", "triplegan", "classes"),
    "speech": System("SpeechAutoencoder", "speech", "speakers"),
}


def name_of(cls: str) -> str:
    """The command line's name of a class."""
    return next(name for name, system in SYSTEMS.items() if system.cls == cls)


# ---------------------------------------------------------------- parameters, as text


@dataclass(frozen=True)
class Parameter:
    """A parameter of a constructor: its type and text as documented, and the part that it takes."""

    name: str
    kind: str
    text: str
    part: str | None = None


@cache
def _classes(home: str) -> dict[str, str]:
    """Docstrings of the classes of a paper's folder, and of the parts that all share."""
    files = [*sorted((PACKAGE / home).glob("*.py")), PACKAGE / "base" / "parts.py"]
    found = {}
    for path in files:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = ast.get_docstring(node) or ""
    return found


def _documented(doc: str) -> dict[str, tuple[str, str]]:
    """Type and text of each entry of the section Parameters."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", doc, re.M | re.S)
    found = {}
    for entry in re.split(r"^(?=\w)", section[1] if section else "", flags=re.M):
        head, _, text = entry.partition("\n")
        names, _, kind = head.partition(" : ")
        for name in filter(None, names.split(", ")):
            found[name] = (kind, textwrap.dedent(text).strip())
    return found


def parameters(system: System) -> dict[str, Parameter]:
    """The parameters of a system that the command line takes, those of parts as part__name."""
    classes = _classes(system.home)
    found = {}
    for name, (kind, text) in _documented(classes[system.cls]).items():
        words = re.findall(r"[A-Z]\w+", kind.partition("default=")[0])
        part = next((word for word in words if word in classes), None)
        found[name] = Parameter(name, kind, text, part)
        if part is not None:
            for inner, (kind, text) in _documented(classes[part]).items():
                found[f"{name}__{inner}"] = Parameter(f"{name}__{inner}", kind, text)
    return {name: p for name, p in found.items() if name not in KEPT}


def defaults(system: System) -> dict[str, Any]:
    """Documented defaults, as JSON has them; of a part also those of its parameters."""
    known = parameters(system)
    found: dict[str, Any] = {}
    for name, p in known.items():
        value, more = _default(p.kind)
        found.setdefault(name, value)
        if p.part is not None:
            inner = [key for key in known if key.startswith(f"{name}__")]
            found |= {inner[0]: value} | {f"{name}__{k}": v for k, v in more.items()}
    return found


def _default(kind: str) -> tuple[Any, dict[str, Any]]:
    """The default in a documented type: a value, or the first field of a part and the others."""
    text = kind.partition("default=")[2]
    tree = ast.parse(text or "None", mode="eval").body
    more: dict[str, Any] = {}
    if isinstance(tree, ast.Call):
        more = {str(k.arg): ast.literal_eval(k.value) for k in tree.keywords}
        tree = tree.args[0]
    value = ast.literal_eval(tree)
    return list(value) if isinstance(value, tuple) else value, more


def help_of(name: str, width: int) -> str:
    """The parameters of a system with their docs, for a terminal."""
    system = SYSTEMS[name]
    lines = [f"Parameters of {name} (--set NAME=VALUE), those of repkit.{system.cls}:", ""]
    for p in parameters(system).values():
        indent = "  " * (1 + p.name.count("__"))
        lines.append(click.style(f"{indent}{p.name}", bold=True) + f" : {p.kind}")
        text = " ".join(re.sub(r":math:`(.*?)`", r"\1", p.text).replace("``", "").split())
        lines += textwrap.wrap(
            text, width, initial_indent=f"{indent}    ", subsequent_indent=f"{indent}    "
        )
    return "\n".join(lines)


# ---------------------------------------------------------------- values


def parse_value(text: str) -> Any:
    """The value that a text stands for: a number, tuple, dict, true, false, none, or itself.

    A change of `repkit.augment` is written as in Python: ``RandomAffine(degrees=6)``.
    """
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return text
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        return _change(tree, text)
    try:
        return ast.literal_eval(tree)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return text


def _change(tree: ast.Call, text: str) -> Any:
    """One of the random changes of `repkit.augment`, from a call in which all is a number."""
    from repkit import augment

    assert isinstance(tree.func, ast.Name)
    known = tree.func.id in augment.__all__ and all(k.arg for k in tree.keywords)
    if not known:
        raise ValueError(f"{text!r} is none of {', '.join(augment.__all__)}, with numbers")
    try:
        given = [ast.literal_eval(value) for value in tree.args]
        named = {str(k.arg): ast.literal_eval(k.value) for k in tree.keywords}
        return getattr(augment, tree.func.id)(*given, **named)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text!r}: {error}") from error


def check_name(name: str, system_name: str) -> None:
    """Raise a UsageError unless the system has the parameter, for the command line to set."""
    known = parameters(SYSTEMS[system_name])
    if name in KEPT:
        raise click.UsageError(f"{name} is not for --set: {KEPT[name]}")
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(
            f"{system_name} has no parameter {name!r}{hint}; 'repkit fit {system_name} --help' "
            "lists them"
        )


def read_settings(system_name: str, given: Sequence[str], config: Path | None) -> dict[str, Any]:
    """Parameters from a TOML file and from NAME=VALUE, of which the latter count more."""
    found: dict[str, Any] = {}
    if config is not None:
        found |= _from_toml(system_name, config)
    for text in given:
        name, mark, value = text.partition("=")
        if not mark or not name.strip():
            raise click.UsageError(f"--set {text}: give NAME=VALUE")
        check_name(name.strip(), system_name)
        try:
            found[name.strip()] = parse_value(value)
        except ValueError as error:
            raise click.UsageError(f"--set {name.strip()}: {error}") from error
    return found


def _from_toml(system_name: str, path: Path) -> dict[str, Any]:
    """Top-level keys are parameters; a table is a part's, and else a dict."""
    import tomllib

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise click.UsageError(f"--config {path}: {error}") from error
    known = parameters(SYSTEMS[system_name])
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping) and name in known and known[name].part is not None:
            found |= {f"{name}__{key}": one for key, one in value.items()}
        else:
            found[name] = value
    for name, value in found.items():
        try:
            check_name(name, system_name)
        except click.UsageError as error:
            raise click.UsageError(f"--config {path}: {error.message}") from error
        if isinstance(value, list):
            found[name] = tuple(value)
        elif isinstance(value, str):
            found[name] = parse_value(value) if value.endswith(")") else value
            found[name] = None if value.lower() == "none" else found[name]
    return found


def estimator(system_name: str, params: Mapping[str, Any], **kept: Any) -> Any:
    """The estimator with these parameters, all of them checked; a UsageError names a bad one."""
    import repkit

    cls = getattr(repkit, SYSTEMS[system_name].cls)
    try:
        own = {k: v for k, v in params.items() if k in inspect.signature(cls).parameters}
        model = cls(**own)
        model.set_params(**{k: v for k, v in params.items() if k not in own})
        model._resolved()
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"--set {error}") from error
    model.set_params(**kept)
    return model
