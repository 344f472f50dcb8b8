"""Internal. Rows that are written to a .npy file one block after the other, and mapped from it."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.lib import format as npy

from repkit._arguments import path as path_of

__all__: list[str] = []


def checked(path: str | Path | None) -> Path | None:
    """The path of ``memory_map``, or None."""
    if path is None:
        return None
    found = path_of(path, "memory_map", "a .npy file to write")
    if found.suffix != ".npy":
        raise ValueError(f"memory_map must be a path that ends in .npy, not {str(path)!r}")
    if not found.parent.is_dir():
        raise ValueError(f"memory_map must be in a folder; there is no {str(found.parent)!r}")
    return found


class RowWriter:
    """Writes blocks of rows of one shape and type to a file, which is there when all of it is.

    Parameters
    ----------
    path : Path
        A .npy file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f"{path.name}-{os.getpid()}.part")
        self.n = 0
        self.shape: tuple[int, ...] | None = None
        self.dtype = np.dtype(np.float64)

    def __enter__(self) -> Self:
        self._file = self.partial.open("wb")
        return self

    def append(self, block: np.ndarray) -> None:
        """Write some rows behind the others."""
        if self.shape is None:
            self.shape, self.dtype = block.shape[1:], block.dtype
            self._header()
        if block.shape[1:] != self.shape:
            sizes = ["x".join(map(str, shape)) for shape in (self.shape, block.shape[1:])]
            raise ValueError(
                f"rows must be of one shape, but some have {sizes[0]}, some {sizes[1]}"
            )
        self._file.write(np.ascontiguousarray(block, dtype=self.dtype).data)
        self.n += len(block)

    def _header(self) -> None:
        """Room is left in it for any number of rows."""
        assert self.shape is not None
        shape = (self.n, *self.shape)
        content = {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self._file, content)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self.shape is not None:
            end = self._file.tell()
            self._file.seek(0)
            self._header()
            assert self._file.tell() == end - self.n * self.dtype.itemsize * int(
                np.prod(self.shape)
            )
            self._file.close()
            os.replace(self.partial, self.path)
        else:
            self._file.close()
            self.partial.unlink(missing_ok=True)

    def mapped(self) -> np.memmap:
        """The rows, read from the file when they are needed."""
        found: np.memmap = np.load(self.path, mmap_mode="r")
        return found
