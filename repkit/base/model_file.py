"""Internal. Model files, safetensors weights and a JSON header: knows tensors, not classes."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from repkit.engine.files import write_whole

KEY = "repkit"
FORMAT = 2
SEAL = ', "sha256": "'
LONGEST = 8_000_000  # bytes of a header: a history of some ten thousand epochs


class ModelFileError(ValueError):
    """A model file that is damaged, foreign, or asks for what is not allowed."""


def save(path: Path, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a model file, whole or not at all.

    Raises
    ------
    TypeError
        If the header holds something that JSON and `encode` have no form for.
    """
    from safetensors.torch import save as serialize

    text = json.dumps({"format": FORMAT, **header}, default=encode)
    own = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    # One entry: safetensors writes several in any order, and equal models should be equal files.
    write_whole(path, [serialize(own, metadata={KEY: sealed(text, own)})])


def sealed(text: str, tensors: Mapping[str, Tensor]) -> str:
    """A header's text with the digest of itself and of the tensors as its last entry."""
    return f'{text[:-1]}{SEAL}{digest(text, tensors)}"}}'


def unsealed(text: str) -> tuple[str, str | None]:
    """A header's text as it was before `sealed`, and the digest; None if there is none."""
    start, mark, end = text.rpartition(SEAL)
    if mark and len(end) == 66 and end.endswith('"}'):
        return start + "}", end[:-2]
    return text, None


def digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the header's text and of every tensor: name, type, shape and bytes."""
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        x = tensors[name]
        found.update(f"\0{name}\0{x.dtype}\0{tuple(x.shape)}\0".encode())
        found.update(x.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def load(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of a model file. No code in the file is run: it can hold none.

    Raises
    ------
    FileNotFoundError
    ModelFileError
        If the file is not safetensors, has no repkit header, or one of a newer format.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"no model file at {str(path)!r}")
    with path.open("rb") as start:
        length = int.from_bytes(start.read(8), "little")
    if LONGEST < length < path.stat().st_size:
        raise ModelFileError(
            f"{str(path)!r} has a header of {length} bytes; a model file has at most {LONGEST}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{str(path)!r} is not a whole safetensors file: {error}") from error
    try:
        text, found = unsealed(metadata[KEY])
        header = json.loads(text, object_hook=decode)
    except Exception as error:  # whatever a hostile header provokes
        raise ModelFileError(f"{str(path)!r} has no readable repkit header") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        version = header.get("format") if isinstance(header, dict) else None
        raise ModelFileError(
            f"{str(path)!r} is of model format {version!r}; this version of repkit reads {FORMAT}"
        )
    if found is None:
        warnings.warn(
            f"{str(path)!r} has no digest, so that damage to it could not be seen; save the model "
            "again",
            stacklevel=3,
        )
    elif found != digest(text, tensors):
        raise ModelFileError(f"{str(path)!r} is damaged: its content does not match its digest")
    for name, x in tensors.items():
        if x.is_floating_point() and not x.isfinite().all():
            raise ModelFileError(f"{str(path)!r} has numbers that are not finite, in {name}")
    return header, tensors


def encode(value: Any) -> Any:
    """A JSON form of numpy numbers and arrays."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        strings = value.dtype == object and all(isinstance(v, str) for v in value.ravel())
        if strings or value.dtype.kind in "biufU":
            kind = "object" if strings else value.dtype.str
            return {"array": value.tolist(), "dtype": kind}
    raise TypeError(f"{type(value).__name__} has no form in a model file: {value!r}")


def decode(value: dict[str, Any]) -> Any:
    """The inverse of `encode`."""
    if set(value) == {"array", "dtype"}:
        kind = np.dtype(value["dtype"])
        if kind.kind not in "biufUO":
            raise ValueError(f"arrays of {kind} are not allowed")
        # The width of strings is theirs: a number in a file could ask for any amount of memory.
        return np.array(value["array"], dtype="U" if kind.kind == "U" else kind)
    return value


def on_cpu(value: Any) -> Any:
    """A copy on the CPU of networks and tensors in nested dicts."""
    if isinstance(value, Tensor):
        own = value.detach().cpu()
        # While training it is a view: a pickle would take the whole vector along with each.
        return own.clone() if own.untyped_storage().nbytes() > own.nbytes else own
    if isinstance(value, nn.Module):
        if all(t.device.type == "cpu" for t in [*value.parameters(), *value.buffers()]):
            return value
        import copy

        return copy.deepcopy(value).to(torch.device("cpu"))
    return {k: on_cpu(v) for k, v in value.items()} if isinstance(value, Mapping) else value
