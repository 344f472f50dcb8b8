"""Internal. Trained networks over the rows of X, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from repkit.base.samples import worked_type
from repkit.base.surroundings import in_settled
from repkit.engine.batches import READ, let_go, to_device

ROWS = 1024  # of one forward pass, at most
BLOCK = 64


class Applying:
    """The part of an estimator by which it is used once it is fitted."""

    if TYPE_CHECKING:

        def _where(self) -> torch.device: ...
        def _checked(self, rows: Any) -> np.ndarray: ...
        def _scaler(self, device: torch.device) -> Callable[[Tensor], Tensor]: ...

    @in_settled
    @torch.no_grad()
    def _apply(
        self,
        function: Callable[[Tensor, np.ndarray], Tensor],
        X: Any,
        rows: np.ndarray,
        convert: Callable[[Any], np.ndarray] | None = None,
    ) -> np.ndarray:
        """``function`` over the rows of X, and a value for each, in bounded memory."""
        device = self._where()
        result: np.ndarray | None = None
        n, touched = X.shape[0], 0
        for start in range(0, n, ROWS):
            # Whole multiples of BLOCK rows: matrix kernels for odd sizes round differently, and a
            # row's result should not depend on how many others come with it.
            stop = min(start + ROWS, n)
            part = np.minimum(
                np.arange(start, start + -(-(stop - start) // BLOCK) * BLOCK), stop - 1
            )
            # A view where it can be one: the way to the device copies.
            whole = type(X) is np.ndarray and len(part) == stop - start
            taken = X[start:stop] if whole else X[part]
            stored = convert(taken) if convert else self._checked(taken)
            x = self._scaler(device)(to_device(stored, device))
            out = function(x, rows[part])[: stop - start].float().cpu().numpy()
            if result is None:
                result = np.empty((n, *out.shape[1:]), dtype=np.float32)
            result[start:stop] = out
            touched += getattr(taken, "nbytes", 0)
            if touched > READ:  # of a memory map
                let_go(X)
                touched = 0
        assert result is not None
        return result

    @staticmethod
    def _like(out: np.ndarray, X: np.ndarray) -> np.ndarray:
        """The output in the input's precision: float64 for float64 and long integers."""
        double = worked_type(X) == np.float64
        return out.astype(np.float64 if double else np.float32, copy=False)
