"""Internal. What a worker does with a batch of samples."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repkit.base.estimator import Estimator
from repkit.base.rules import device_rule

METHODS = ("transform", "predict", "predict_proba")
ERROR = "error"  # the column of reasons
# An estimator serves one thread at a time.
_ONE = threading.Lock()

Batch = Mapping[str, np.ndarray]


class Batches:
    """A function from a batch of columns to the columns of the result.

    Parameters
    ----------
    model : fitted estimator
        What is asked.
    method : {"transform", "predict", "predict_proba"}
        What of it.
    columns : str or sequence of str, optional
        Where the samples are.
    on_error : {"raise", "skip"}
        Whether a sample that cannot be used ends all, or has NaN and a reason.
    device : str
        Where the worker computes.
    """

    def __init__(
        self,
        model: Estimator,
        method: str,
        columns: str | Sequence[str] | None,
        on_error: str,
        device: str,
    ) -> None:
        self.model, self.method, self.skip, self.device = model, method, on_error == "skip", device
        self.single = columns if isinstance(columns, str) else None
        known = getattr(model, "feature_names_in_", None)
        if columns is None and known is not None:
            columns = [str(name) for name in known]
        self.columns = None if columns is None or self.single else [str(c) for c in columns]
        # Reasons are those of single samples: a speech auto-encoder would skip by itself.
        self.speech = hasattr(model, "on_error")
        self.example = self._of_nothing()
        self.names = _names(model, method, self.example)
        self._ready = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ready": False}

    def _of_nothing(self) -> np.ndarray:
        """What the estimator gives, of no sample: its type and its shape."""
        if self.speech:
            return np.empty((0, len(self.model.get_feature_names_out())), np.float32)
        zeros = self.model._rows(np.zeros((1, *self.model.input_shape_), np.float32))
        return np.asarray(getattr(self.model, self.method)(zeros))[:0]

    def kept(self, there: Sequence[str], paths: bool) -> list[str]:
        """Columns of a table that stay: all without samples, and paths.

        Parameters
        ----------
        there : sequence of str
            All columns.
        paths : bool
            Whether the samples are paths.

        Returns
        -------
        list of str

        Raises
        ------
        ValueError
            If a column is missing, or has the name of one of the result.
        """
        wanted = [self.single] if self.single else self.columns or list(there)
        missing = [name for name in wanted if name not in there]
        if missing:
            raise ValueError(
                f"columns must be among those of data, {', '.join(there)}, not {missing[0]!r}"
            )
        kept = [name for name in there if name not in wanted or (self.single and paths)]
        clash = sorted({*self.names, *([ERROR] if self.skip else [])} & set(kept))
        if clash:
            raise ValueError(
                f"data must not have a column {clash[0]!r}, which is one of the result: rename it"
            )
        return kept

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        """Give the columns of the result.

        Parameters
        ----------
        batch : mapping of str to ndarray of shape (n, ...)
            Columns of the samples.

        Returns
        -------
        dict of str to ndarray of shape (n,)
        """
        there = list(batch)
        column = batch.get(self.single) if self.single else None
        paths = column is not None and holds_paths(column)
        kept = self.kept(there, paths)
        found, reasons = self.given(self._taker(batch, paths), len(batch[there[0]]), batch, kept)
        result = {name: batch[name] for name in kept}
        result |= dict(zip(self.names, found.T if found.ndim > 1 else [found], strict=True))
        if self.skip:
            result[ERROR] = reasons
        return result

    def of_array(self, block: np.ndarray) -> np.ndarray:
        """Give what the estimator makes of an array of samples.

        Parameters
        ----------
        block : ndarray of shape (n, ...)

        Returns
        -------
        ndarray of shape (n, d) or (n,)
        """
        return self.given(lambda rows: block[rows], len(block), {}, [])[0]

    def given(
        self, take: Callable[[slice], Any], n: int, batch: Batch, kept: list[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ask the estimator, by halves where something cannot be used.

        Parameters
        ----------
        take : callable
            ``slice -> samples``.
        n : int
            How many there are.
        batch : mapping
            All columns, to name a sample.
        kept : list of str
            Those of them that name it.

        Returns
        -------
        found : ndarray of shape (n, d) or (n,)
            NaN, or None among labels, for what cannot be used.
        reasons : ndarray of shape (n,)
            Why it cannot; None for the others.
        """
        with _ONE:
            self._get_ready()
            parts: list[tuple[int, int, np.ndarray | None]] = []
            reasons = np.full(n, None, object)

            def ask(start: int, stop: int) -> None:
                try:
                    found = getattr(self.model, self.method)(take(slice(start, stop)))
                except (ValueError, OSError) as error:
                    if stop - start > 1:
                        middle = (start + stop) // 2
                        ask(start, middle)
                        ask(middle, stop)
                        return
                    if not self.skip:
                        who = ", ".join(f"{name} {batch[name][start]!r}" for name in kept)
                        raise ValueError(f"{who or f'sample {start}'}: {error}") from error
                    reasons[start] = str(error)
                    found = None
                parts.append((start, stop, None if found is None else self._typed(found)))

            if n:
                ask(0, n)
        return self._together(parts, n), reasons

    def _get_ready(self) -> None:
        if self._ready:
            return
        if self.speech:
            self.model.set_params(on_error="raise")
        device = device_rule("device", self.device)
        if self.model.device_ != device:
            self.model._move(device)
        self._ready = True

    def _typed(self, found: Any) -> np.ndarray:
        """Numbers in one type, whatever that of the samples; labels as they are."""
        found = np.asarray(found)
        kind = self.example.dtype
        return found.astype(kind, copy=False) if kind.kind == "f" else found

    def _together(self, parts: list[tuple[int, int, Any]], n: int) -> np.ndarray:
        usable = [found for *_, found in parts if found is not None]
        if len(usable) == 1 and len(usable[0]) == n:
            return usable[0]
        shape = (n, *self.example.shape[1:])
        kind = usable[0].dtype if usable else self.example.dtype
        if kind.kind == "f":
            whole = np.full(shape, np.nan, kind)
        elif len(usable) == len(parts):
            whole = np.empty(shape, kind)
        else:  # labels, of which some are missing
            whole = np.full(shape, None, object)
        for start, stop, found in parts:
            if found is not None:
                whole[start:stop] = found
        return whole

    def _taker(self, batch: Batch, paths: bool) -> Callable[[slice], Any]:
        if self.single:
            column = batch[self.single]
            if paths and self.speech:
                return lambda rows: [str(path) for path in column[rows]]
            if paths:
                return lambda rows: self._images(column[rows])
            return lambda rows: _stacked(column[rows])
        columns = self.columns or list(batch)
        if getattr(self.model, "feature_names_in_", None) is not None:
            import pandas

            table = pandas.DataFrame({name: batch[name] for name in columns})
            return lambda rows: table.iloc[rows]
        numbers = np.column_stack([np.asarray(batch[name]) for name in columns])
        return lambda rows: numbers[rows]

    def _images(self, paths: np.ndarray) -> np.ndarray:
        from repkit.datasets._images import read_image

        shape = self.model.input_shape_
        color = len(shape) == 3 and shape[0] == 3
        found = [read_image(Path(str(path)), (shape[-2], shape[-1]), color) for path in paths]
        return np.stack(found).reshape(len(found), *shape)


def holds_paths(column: Any) -> bool:
    """Whether a column holds paths of files rather than samples.

    Parameters
    ----------
    column : array-like of shape (n, ...)

    Returns
    -------
    bool
    """
    if len(column) == 0:
        return False
    return isinstance(column[0], str | Path)


def _stacked(column: np.ndarray) -> Any:
    """An array of samples; recordings of several lengths as a list of arrays."""
    if column.dtype != object:
        return column
    samples = [np.asarray(x) for x in column]
    if len({x.shape for x in samples}) == 1:
        return np.stack(samples)
    return samples


def _names(model: Any, method: str, example: np.ndarray) -> list[str]:
    if method == "transform":
        return [str(name) for name in model.get_feature_names_out()]
    if method == "predict_proba":
        return [f"proba_{label}" for label in model.classes_.tolist()]
    if example.ndim == 1:
        return ["prediction"]
    return [f"prediction{k}" for k in range(example.shape[1])]
