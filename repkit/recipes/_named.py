"""Internal. What the functions of this room share: one of a table's settings by its name."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from repkit._arguments import choice

Settings = dict[str, Any]


def named(table: Mapping[str, Mapping[str, Any]], name: str) -> Settings:
    """Give a copy, so that a change of it changes nothing here."""
    return copy.deepcopy(dict(table[choice(name, "name", list(table))]))
