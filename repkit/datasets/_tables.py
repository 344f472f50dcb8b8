"""Internal. Table files, CSV and Parquet: their columns, and their rows block by block."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from repkit._optional import need

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {".csv": ",", ".tsv": "\t"}
PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")
ROWS = 8192  # of a block


def kind_of(path: Path) -> str | None:
    """``.csv``, ``.tsv`` or ``.parquet``; None if it is no table."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    last = suffixes[-1] if suffixes else ""
    if last in SEPARATORS:
        return last
    return ".parquet" if path.suffix.lower() in (".parquet", ".pq") else None


class TableFile:
    """A table on the disk.

    Raises a ValueError that names the file if it is none, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        kind = kind_of(path)
        if kind is None:
            raise ValueError(f"{path} must be a .csv, .tsv or .parquet file")
        self.path, self.kind = path, kind
        if kind == ".parquet":
            need("pyarrow.parquet", "data")
        if not path.is_file():
            raise FileNotFoundError(
                f"path must be that of a file; there is no table at {str(path)!r}"
            )
        with self._named():
            self.columns: list[str] = self._columns()
        if len(set(self.columns)) < len(self.columns):
            twice = next(c for c in self.columns if self.columns.count(c) > 1)
            raise ValueError(f"{path} has two columns {twice!r}")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Let what readers raise name the file, on one line."""
        try:
            yield
        except (ImportError, TableError):
            raise
        except Exception as error:  # of pandas and pyarrow, several
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise TableError(f"{self.path} cannot be read as a {self.kind} file: {said}") from error

    def _columns(self) -> list[str]:
        if self.kind == ".parquet":
            with self._parquet() as file:
                return [str(name) for name in file.schema_arrow.names]
        first = self._csv(nrows=1)
        if list(first.index) not in ([0], []):
            raise TableError(f"{self.path} has more cells in its rows than names in its first line")
        names = [str(name) for name in first.columns]
        if all(map(_is_number, names)):
            raise TableError(f"{self.path} has no names of columns in its first line")
        return names

    def _parquet(self) -> Any:
        # Read ahead, whole files end up in memory: 800 MB more for one of 750 MB.
        return need("pyarrow.parquet", "data").ParquetFile(self.path, pre_buffer=False)

    def _csv(self, **how: Any) -> Any:
        import pandas as pd

        # All columns: with `usecols`, pandas drops without a word what a row has too many.
        return pd.read_csv(self.path, sep=SEPARATORS[self.kind], **how)

    def check(self, names: Sequence[str], why: str = "") -> None:
        """Raise a ColumnError unless the table has these columns."""
        for name in names:
            if name not in self.columns:
                raise ColumnError(self.path, name, self.columns, why)

    def n_rows(self) -> int:
        """How many rows there are; a CSV file is read for that."""
        if self.kind == ".parquet":
            with self._named(), self._parquet() as file:
                return int(file.metadata.num_rows)
        return sum(len(block) for block in self.blocks(self.columns[:1]))

    def read(self, names: Sequence[str]) -> pd.DataFrame:
        """The whole of some columns; one that is named twice is there once."""
        self.check(names)
        names = list(dict.fromkeys(names))
        with self._named():
            if self.kind == ".parquet":
                with self._parquet() as file:
                    return file.read(columns=names).to_pandas()[names]
            return self._csv(low_memory=False)[names]

    def type_of(self, name: str) -> Any:
        """The Arrow type of a column; those of a CSV file are texts."""
        if self.kind != ".parquet":
            return need("pyarrow", "data").string()
        with self._named(), self._parquet() as file:
            return file.schema_arrow.field(name).type

    def float_type(self, names: Sequence[str]) -> np.dtype:
        """float32 if a Parquet file holds all of these columns as such, or as bytes; else float64.

        So the numbers are those of the file, in as little room.
        """
        small = {"float", "halffloat", "uint8", "int8", "bool"}
        if self.kind != ".parquet":
            return np.dtype(np.float64)
        with self._named(), self._parquet() as file:
            kinds = {str(file.schema_arrow.field(name).type) for name in names}
        return np.dtype(np.float32 if kinds <= small else np.float64)

    def blocks(
        self,
        names: Sequence[str],
        start: int = 0,
        stop: int | None = None,
        size: int = ROWS,
        texts: Sequence[str] = (),
    ) -> Iterator[pd.DataFrame]:
        """Some columns, as of `read`, of the rows from ``start`` to ``stop``, block by block.

        Of a CSV file, ``texts`` are columns to leave as they are written.
        """
        self.check(names)
        with self._named():
            position = 0
            for block in self._raw_blocks(list(dict.fromkeys(names)), size, texts):
                first, last = max(start - position, 0), len(block)
                if stop is not None:
                    last = min(last, stop - position)
                position += len(block)
                if first < last:
                    yield block.iloc[first:last]
                if stop is not None and position >= stop:
                    return

    def _raw_blocks(
        self, names: list[str], size: int, texts: Sequence[str] = ()
    ) -> Iterator[pd.DataFrame]:
        if self.kind == ".parquet":
            with self._parquet() as file:
                for batch in file.iter_batches(batch_size=size, columns=names):
                    yield batch.to_pandas()[names]
        else:
            with self._csv(chunksize=size, dtype=dict.fromkeys(texts, str)) as reader:
                for block in reader:
                    yield block[names]


class TableError(ValueError):
    """A table cannot be used; the message names the file and the column."""


class ColumnError(TableError):
    """A table does not have a column."""

    def __init__(self, path: Path, name: str, known: Sequence[str], why: str) -> None:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {listed(known)}"
        super().__init__(f"{path} has no column {name!r}{why}; {hint}")


def listed(names: Sequence[str]) -> str:
    """Some names, not all if they are many."""
    shown = ", ".join(map(str, names[:12]))
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 12 else shown


def numbers_of(frame: pd.DataFrame, path: Path, first: int = 0) -> pd.DataFrame:
    """The columns as floats; a TableError names the first cell that is none.

    ``first`` is the place of the frame's first row in the file.
    """
    for name, reason in zip(frame.columns, _problems(frame), strict=True):
        if reason is not None:
            row, said = reason
            raise TableError(
                f"{path}: column {name!r} {said} in row {first + row + 1}; fill or encode such "
                "cells, or leave the column out"
            )
    return frame.astype(np.float64)


def usable_rows(frame: pd.DataFrame) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Which rows are numbers throughout, and what is wrong with each other one."""
    good = np.stack([np.isfinite(x) for x in _columns_of(frame)], axis=1)
    reasons = [
        (int(k), f"column {frame.columns[int(good[k].argmin())]!r} holds no number")
        for k in np.flatnonzero(~good.all(1))
    ]
    return np.asarray(good.all(1)), reasons


def _columns_of(frame: pd.DataFrame) -> Iterator[np.ndarray]:
    """Each column as floats, NaN for whatever is no number."""
    import pandas as pd

    for k in range(frame.shape[1]):
        column = frame.iloc[:, k]
        if column.dtype.kind in "Mm":  # dates, which pandas would count in nanoseconds
            yield np.full(len(column), np.nan)
            continue
        if not pd.api.types.is_numeric_dtype(column):
            column = pd.to_numeric(column.astype(object), errors="coerce")
        yield column.to_numpy(dtype=np.float64, na_value=np.nan)


def _problems(frame: pd.DataFrame) -> Iterator[tuple[int, str] | None]:
    """For each column the first row that is not a number, and what it is."""
    import pandas as pd

    for k, values in enumerate(_columns_of(frame)):
        wrong = ~np.isfinite(values)
        if not wrong.any():
            yield None
            continue
        row = int(wrong.argmax())
        cell = frame.iloc[row, k]
        yield row, "is empty" if pd.isna(cell) else f"holds {cell!r}"


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
