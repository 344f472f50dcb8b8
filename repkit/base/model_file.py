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
BEFORE = 1  # without a digest
SEAL = ', "sha256": "'
LONGEST = 8_000_000  # bytes of a header: a history of some ten thousand epochs
MOST = 500_000  # values in a header
MOST_TENSORS = 10_000


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
        found.update(x.contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def load(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of a model file. No code in the file is run: it can hold none.

    Raises
    ------
    FileNotFoundError
    ModelFileError
        If it is not a file, not safetensors, has no repkit header, or one of a newer format, is
        damaged, or holds numbers that are not finite.
    """
    if not path.exists():
        raise FileNotFoundError(f"no model file at {str(path)!r}")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise ModelFileError(f"{str(path)!r} is {kind}, not a model file")
    text, tensors = _read(path)
    if text.count(",") + text.count("[") + text.count("{") > MOST:
        raise ModelFileError(
            f"{str(path)!r} has more than {MOST} values in its header, more than a model file has"
        )
    text, found = unsealed(text)
    try:
        header = json.loads(text, object_pairs_hook=_decoded)
    except Exception as error:  # whatever a hostile header provokes
        raise ModelFileError(f"{str(path)!r} has no readable repkit header: {error}") from error
    version = header.get("format") if isinstance(header, dict) else None
    if type(version) is not int or version not in (BEFORE, FORMAT):
        raise ModelFileError(
            f"{str(path)!r} is of model format {version!r}; this version of repkit reads {BEFORE} "
            f"and {FORMAT}"
        )
    if found is None and version == BEFORE:
        warnings.warn(
            f"{str(path)!r} was saved by an earlier version of repkit, without a digest: damage to "
            "it could not be seen; save the model again",
            stacklevel=4,
        )
    elif found is None:
        raise ModelFileError(f"{str(path)!r} is damaged: it has no digest")
    elif found != digest(text, tensors):
        raise ModelFileError(f"{str(path)!r} is damaged: its content does not match its digest")
    for name, x in tensors.items():
        if x.is_floating_point() and not _finite(x):
            raise ModelFileError(f"{str(path)!r} has numbers that are not finite, in {name}")
    return header, tensors


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The text of a safetensors file's repkit header, and its tensors."""
    from safetensors import safe_open

    with path.open("rb") as start:
        length = int.from_bytes(start.read(8), "little")
    if LONGEST < length < path.stat().st_size:
        raise ModelFileError(
            f"{str(path)!r} has a header of {length} bytes; a model file has at most {LONGEST}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = list(file.keys())
            if len(names) > MOST_TENSORS:
                raise ModelFileError(
                    f"{str(path)!r} has {len(names)} tensors; a model file has at most "
                    f"{MOST_TENSORS}"
                )
            tensors = {name: file.get_tensor(name) for name in names}
    except ModelFileError:
        raise
    except Exception as error:  # safetensors has several, some of them Rust's
        raise ModelFileError(f"{str(path)!r} is not a whole safetensors file: {error}") from error
    if KEY not in metadata:
        raise ModelFileError(
            f"{str(path)!r} has no readable repkit header: it is a safetensors file of another "
            "program"
        )
    return metadata[KEY], tensors


def _finite(x: Tensor) -> bool:
    """Whether all numbers of a tensor of floats are."""
    x = x if x.element_size() > 1 else x.float()
    # The sum is quicker by far; that of finite numbers may be too large.
    return bool(x.sum().isfinite()) or bool(x.isfinite().all())


def _decoded(pairs: list[tuple[str, Any]]) -> Any:
    """`decode` of an object of JSON, in which no name may stand twice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("an entry stands in it twice")
    return decode(value)


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
        if kind.kind == "O" and not all(isinstance(v, str) for v in value["array"]):
            raise ValueError("arrays of objects must hold strings")
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
