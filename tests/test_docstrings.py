"""Every public name is documented: numpydoc's own validation, and the examples run."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from numpydoc.validate import validate

import repkit

DONE = ["repkit"]
# Parts of a text that are not the package's own words, and why.
FOREIGN = {"Reshape your data": "scikit-learn's checks of estimators look for these words"}
# Rules of numpydoc that are left out, and why.
LEFT_OUT = {
    "ES01": "a summary and its sections often say it all",
    "EX01": "an example is for what is hard to see without one",
    "RT02": "a returned value has a name that the text can refer to, as in scikit-learn",
    "SA01": "related functions are named where the text needs them",
}
# An error that is none: numpydoc takes a function's parameter cls for that of a class method.
CLS = ("PR02", "Unknown parameters {'cls'}")


def checked_modules():
    """Names of all modules that are checked."""
    found = [info.name for info in pkgutil.walk_packages(repkit.__path__, "repkit.")]
    return [n for n in found if any(n == d or n.startswith(d + ".") or d == "repkit" for d in DONE)]


def public_names():
    """Full names of public functions and classes, and of the methods and properties of these."""
    seen = set()
    for module in checked_modules():
        for name in getattr(importlib.import_module(module), "__all__", ()):
            thing = getattr(importlib.import_module(module), name)
            if not (inspect.isfunction(thing) or inspect.isclass(thing)) or thing in seen:
                continue
            seen.add(thing)
            yield f"{module}.{name}"
            for member, value in vars(thing).items() if inspect.isclass(thing) else ():
                value = getattr(value, "__func__", value)
                if member[0] != "_" and (inspect.isfunction(value) or isinstance(value, property)):
                    yield f"{module}.{name}.{member}"


@pytest.mark.parametrize("name", sorted(public_names()))
def test_numpydoc_finds_nothing(name):
    found = validate(name)["errors"]
    errors = [error for error in found if error[0] not in LEFT_OUT and error != CLS]
    assert not errors


@pytest.mark.parametrize("name", checked_modules())
def test_public_and_internal_modules_are_told_apart(name):
    module = importlib.import_module(name)
    internal = any(part[0] == "_" for part in name.split("."))
    if not internal and not (module.__doc__ or "").startswith("Internal."):
        assert sorted(module.__all__) == sorted(set(module.__all__))
        assert all(hasattr(module, public) for public in module.__all__)
        own = [
            key
            for key, value in vars(module).items()
            if getattr(value, "__module__", None) == name
            and key[0] != "_"
            and not isinstance(value, TypeVar)  # a matter of annotations alone
        ]
        assert set(own) <= set(module.__all__)


@pytest.mark.parametrize("name", checked_modules())
def test_examples_run(name):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    module = importlib.import_module(name)
    assert not doctest.testmod(module, optionflags=flags, extraglobs={"np": np}).failed


def messages(tree):
    """Texts that are raised or warned, with {} in place of values."""
    for node in ast.walk(tree):
        call = node.exc if isinstance(node, ast.Raise) else node
        warns = isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "warn"
        if not isinstance(call, ast.Call) or not (isinstance(node, ast.Raise) or warns):
            continue
        for text in call.args[:1]:
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield text.value
            elif isinstance(text, ast.JoinedStr):
                yield "".join(getattr(value, "value", "{}") if isinstance(value, ast.Constant)
                              else "{}" for value in text.values)  # fmt: skip


@pytest.mark.parametrize("name", checked_modules())
def test_errors_speak_one_dialect(name):
    source = Path(importlib.import_module(name).__file__).read_text(encoding="utf-8")
    for text in messages(ast.parse(source)):
        for words in FOREIGN:
            text = text.replace(words, words.lower())
        assert not text.endswith("."), text
        # a lower-case word, or the name of an argument, a class or an environment variable, or of
        # an option or an argument of the command line
        word = r"[a-z{]|[A-Z]\w* (and|has|must)\b|[A-Z_]+ must\b|X_\w+|--[a-z]|DATA:|MODEL is"
        assert re.match(word, text), text
        assert not re.search(r"\. [A-Z]", text), text


def test_the_checks_see_what_is_wrong():
    bad = ast.parse("raise ValueError('Bad value.')\nwarnings.warn(f'{x} is. Bad')")
    assert list(messages(bad)) == ["Bad value.", "{} is. Bad"]
    assert "repkit.metrics.mig" in set(public_names())
