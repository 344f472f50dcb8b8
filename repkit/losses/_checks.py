"""Internal. The check of a single tensor."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from repkit._arguments import shown


def check_tensor(
    x: Any,
    name: str,
    ndim: int | None = None,
    *,
    like: Tensor | None = None,
    rows: int | None = None,
) -> None:
    """Raise an error that names the argument unless it is a real tensor of that shape."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a tensor, not {shown(x)}")
    if x.is_complex():
        raise TypeError(f"{name} must be a tensor of real numbers, not of {x.dtype}")
    if ndim is not None and x.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, not the shape {tuple(x.shape)}")
    if like is not None and x.shape != like.shape:
        raise ValueError(f"{name} must have the shape {tuple(like.shape)}, not {tuple(x.shape)}")
    if rows is not None and (not x.ndim or len(x) != rows):
        raise ValueError(f"{name} must have {rows} rows, not the shape {tuple(x.shape)}")
