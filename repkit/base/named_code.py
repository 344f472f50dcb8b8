"""Internal. repkit's own makers of networks in a model file: by name, never as code."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

from repkit._arguments import shown
from repkit.base.parameters import MOST_UNITS

ROOMS = ("nets", "recipes")  # whose public names a file may hold


def name_of(value: Any) -> dict[str, Any] | None:
    """The entry of a header for a public maker of networks, also with arguments bound by name.

    None for everything else.
    """
    bound: Mapping[str, Any] = {}
    if isinstance(value, partial) and not value.args:
        value, bound = value.func, value.keywords
    name, home = getattr(value, "__name__", ""), str(getattr(value, "__module__", ""))
    if not name or not home.startswith("repkit.") or not all(map(_plain, bound.values())):
        return None
    for room in ROOMS:
        public = import_module(f"repkit.{room}")
        if name in public.__all__ and getattr(public, name) is value:
            return {"maker": f"{room}.{name}", "arguments": dict(bound)}
    return None


def is_name(value: Any) -> bool:
    """Whether an entry of a header stands for a maker."""
    return isinstance(value, dict) and set(value) == {"maker", "arguments"}


def named(entry: Mapping[str, Any]) -> Any:
    """Give the maker of an entry.

    Raises
    ------
    ValueError
        If there is none of this name, or its arguments are not plain values of a common size.
    """
    room, _, name = str(entry["maker"]).partition(".")
    if room not in ROOMS or name not in import_module(f"repkit.{room}").__all__:
        raise ValueError(f"there is no maker of networks {shown(entry['maker'])}")
    maker, bound = getattr(import_module(f"repkit.{room}"), name), entry["arguments"]
    if not callable(maker) or not isinstance(bound, dict) or not all(map(_plain, bound.values())):
        raise ValueError(f"the maker of networks {shown(entry['maker'])} has no such arguments")
    return partial(maker, **bound) if bound else maker


def _plain(value: Any) -> bool:
    """Whether JSON holds it as it is, and it asks for no network beyond what parameters may."""
    if isinstance(value, list | tuple):
        return len(value) < 100 and all(map(_plain, value))
    if isinstance(value, int | float):
        return abs(value) <= MOST_UNITS
    return value is None or isinstance(value, str)
