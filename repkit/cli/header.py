"""Internal. What stands at the head of a model file, without its weights, and without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY = "repkit"
LONGEST = 8_000_000  # bytes, as `repkit.load` allows


@dataclass(frozen=True)
class Header:
    """The repkit header of a model file, and the shapes of its tensors by name."""

    content: dict[str, Any]
    tensors: dict[str, tuple[int, ...]]
    size: int

    @property
    def digest(self) -> str:
        """What tells this model from all others."""
        return str(self.content.get("sha256", ""))


def read_header(path: Path) -> Header:
    """Read the header. Raises a ValueError that names a file that is no model."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(LONGEST, size):
                raise ValueError("it is no safetensors file")
            table = json.loads(file.read(length))
        content = json.loads(table.pop("__metadata__")[KEY])
        tensors = {str(k): tuple(map(int, v["shape"])) for k, v in table.items()}
        if not isinstance(content["class"], str) or not isinstance(content["params"], dict):
            raise TypeError("its header lacks the class or its parameters")
    except OSError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is no model file of repkit") from error
    return Header(content, tensors, size)
