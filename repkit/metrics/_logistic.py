"""Multinomial logistic regression on the device, in bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from repkit.metrics._arrays import resolve_device
from repkit.metrics._blocks import checked_rows, dtype_for, load_rows, squared_norms

if TYPE_CHECKING:
    import torch

# On a processor, blocks that stay in its cache are faster than larger ones.
_CACHE_BYTES = 2**22


class Blocks:
    """The rows of a matrix, standardized and walked in blocks on the device.

    Parameters
    ----------
    X : array or tensor of shape (n, ...)
        Neither copied nor changed; a memmap is read block by block.
    name : str
        What errors call it.
    device, batch_bytes
        As in :func:`nearest_neighbors`.
    n_classes : int
        Numbers for each row that the caller makes of a block.
    center, scale : ndarray of shape (d,), optional
        Subtracted from the rows, and then divided by; found from `X` itself when not given.
    """

    def __init__(
        self,
        X: Any,
        name: str,
        device: torch.device,
        batch_bytes: int,
        n_classes: int,
        *,
        dtype: torch.dtype,
        center: np.ndarray | None = None,
        scale: np.ndarray | None = None,
    ) -> None:
        import torch

        self.X, self.width = checked_rows(X, name)
        self.name, self.device, self.dtype = name, device, dtype
        itemsize = dtype.itemsize
        # Copies of a block: the one read, the one on the device. Of its classes: the scores,
        # their logarithms, the probabilities and room for as many again.
        row = itemsize * (2 * self.width + 6 * n_classes)
        # An accelerator should not wait for the same rows again and again: they are kept there
        # when half of the budget holds them.
        whole = len(self.X) * self.width * itemsize
        self.keeps = device.type != "cpu" and max(whole, row) <= batch_bytes // 2
        budget = batch_bytes // 2 if self.keeps else batch_bytes
        if device.type == "cpu":
            budget = min(budget, max(_CACHE_BYTES, row))
        self.size = budget // row
        if self.size < 1:
            raise ValueError(
                f"batch_bytes={batch_bytes} is too small for one row of {self.width} features and "
                f"{n_classes} classes; pass at least {row}."
            )
        self.kept: list[torch.Tensor] = []
        if center is None or scale is None:
            center, scale = self._moments()
        else:
            self._check()
        self.center, self.scale = center, scale
        self._shift, self._factor = (
            torch.as_tensor(v, dtype=self.dtype, device=device) for v in (center, 1 / scale)
        )

    def __iter__(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield which rows and their standardized features (m, d)."""
        for i, rows in enumerate(self._slices()):
            if i < len(self.kept):
                yield rows, self.kept[i]
                continue
            block = load_rows(self.X, rows, self.device, self.dtype)
            block.sub_(self._shift).mul_(self._factor)
            if self.keeps:
                self.kept.append(block)
            yield rows, block

    def _slices(self) -> Iterator[slice]:
        for start in range(0, len(self.X), self.size):
            yield slice(start, min(start + self.size, len(self.X)))

    def _check(self) -> None:
        for rows in self._slices():
            block = load_rows(self.X, rows, self.device, self.dtype)
            squared_norms(block, self.X, rows, self.name)

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the mean and deviation (d,) of each column, and 1 for one that is constant."""
        count, mean, total = 0, np.zeros(self.width), np.zeros(self.width)
        for rows in self._slices():
            block = load_rows(self.X, rows, self.device, self.dtype)
            squared_norms(block, self.X, rows, self.name)
            m, block_mean = len(block), block.mean(dim=0)
            squares = block.sub_(block_mean).square_().sum(dim=0).cpu().double().numpy()
            # the sums of squares about two means add up to that about the mean of both
            gap = block_mean.cpu().double().numpy() - mean
            total += squares + gap**2 * (count * m / (count + m))
            mean += gap * (m / (count + m))
            count += m
        deviation = np.sqrt(total / count)
        # rounding moves a constant column by the last digits of its mean
        eps = 1.2e-7 if self.dtype.itemsize == 4 else 2.2e-16
        constant = deviation <= 10 * eps * np.abs(mean)
        return mean, np.where(constant, 1.0, deviation)


class SoftmaxRegression:
    r"""Softmax regression with an L2 penalty on the weights, on standardized features.

    Minimizes :math:`\tfrac12\|W\|^2 + C\sum_i -\log\mathrm{softmax}(Wz_i + b)_{y_i}` by L-BFGS.
    With two classes the first one's score is fixed at 0, which makes it the usual binomial
    regression; both are what scikit-learn's ``LogisticRegression`` minimizes.

    Attributes
    ----------
    weights_ : ndarray of shape (n_classes or 1, d)
        For standardized features.
    bias_ : ndarray of shape (n_classes or 1,)
    """

    def __init__(
        self,
        C: float,
        max_iter: int,
        tol: float = 1e-4,
        *,
        device: Any = "auto",
        batch_bytes: int = 2**28,
    ) -> None:
        self.C, self.max_iter, self.tol = C, max_iter, tol
        self.device, self.batch_bytes = resolve_device(device), int(batch_bytes)

    def fit(self, X: Any, y: np.ndarray, n_classes: int, name: str) -> SoftmaxRegression:
        """Fit rows (n, ...) whose classes (n,) are 0 to n_classes - 1, each of them there."""
        import torch
        from scipy.optimize import minimize
        from sklearn.exceptions import ConvergenceWarning

        self.n_classes = n_classes
        dtype = dtype_for([checked_rows(X, name)[0]], self.device)
        self.blocks_ = Blocks(X, name, self.device, self.batch_bytes, n_classes, dtype=dtype)
        self.target_ = torch.from_numpy(y.astype(np.int64)).to(self.device)
        scores = n_classes if n_classes > 2 else 1
        start = np.zeros((scores, self.blocks_.width + 1))
        # the tolerances of scikit-learn, on the same mean of the rows
        options = {
            "maxiter": self.max_iter,
            "maxls": 50,
            "gtol": self.tol,
            "ftol": 64 * np.finfo(float).eps,
        }
        found = minimize(
            self._objective, start.ravel(), jac=True, method="L-BFGS-B", options=options
        )
        # The line search also gives up where float32 can tell no difference, close to the optimum.
        if not found.success and np.abs(found.jac).max() > 10 * self.tol:
            warnings.warn(
                f"the probe stopped after {found.nit} iterations with a slope of "
                f"{np.abs(found.jac).max():.2g}, more than {self.tol:g}: raise max_iter or lower "
                f"C={self.C:g}.",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.weights_ = found.x.reshape(start.shape)[:, :-1]
        self.bias_ = found.x.reshape(start.shape)[:, -1]
        return self

    def predict(self, X: Any, name: str) -> np.ndarray:
        """Give the predicted class (n,) of each row."""
        blocks = self._log_probabilities(self._blocks(X, name))
        return np.concatenate([log_p.argmax(axis=1) for _, log_p in blocks])

    def scores(self, X: Any, y: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Give the predicted class (n,) and log probability of the true class y (n,), float64."""
        return self._scores(self._blocks(X, name), y)

    def train_scores(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the same for the rows of the fit."""
        return self._scores(self.blocks_, self.target_.cpu().numpy())

    def _scores(self, blocks: Blocks, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        predicted = np.empty(len(blocks.X), dtype=np.int64)
        log_probability = np.empty(len(blocks.X))
        for rows, log_p in self._log_probabilities(blocks):
            predicted[rows] = log_p.argmax(axis=1)
            log_probability[rows] = log_p[np.arange(len(log_p)), y[rows]]
        return predicted, log_probability

    def _log_probabilities(self, blocks: Blocks) -> Iterator[tuple[slice, np.ndarray]]:
        weights, bias = self._on_device(np.column_stack([self.weights_, self.bias_]))
        for rows, Z in blocks:
            yield rows, self._log_softmax(Z, weights, bias).cpu().double().numpy()

    def _blocks(self, X: Any, name: str) -> Blocks:
        """Other rows, in the precision and on the scale of those of the fit."""
        fitted = self.blocks_
        return Blocks(
            X,
            name,
            self.device,
            self.batch_bytes,
            self.n_classes,
            dtype=fitted.dtype,
            center=fitted.center,
            scale=fitted.scale,
        )

    def _objective(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        """Give the objective over C n, as scikit-learn does, and its gradient."""
        n = len(self.blocks_.X)
        parameters = flat.reshape(-1, self.blocks_.width + 1)
        penalty = parameters[:, :-1] / (self.C * n)
        loss, gradient = 0.0, np.zeros_like(parameters)
        weights, bias = self._on_device(parameters)
        for rows, Z in self.blocks_:
            y = self.target_[rows, None]
            log_p = self._log_softmax(Z, weights, bias)
            loss -= float(log_p.gather(1, y).sum())
            # the slope of the loss in the scores is the probabilities less the truth
            slope = log_p.exp_()
            slope.scatter_add_(1, y, -slope.new_ones(1, 1).expand(y.shape))
            slope = slope[:, -len(parameters) :]
            gradient[:, :-1] += (slope.T @ Z).cpu().double().numpy()
            gradient[:, -1] += slope.sum(dim=0).cpu().double().numpy()
        gradient /= n
        gradient[:, :-1] += penalty
        return loss / n + float((penalty * parameters[:, :-1]).sum() / 2), gradient.ravel()

    def _on_device(self, parameters: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        both = torch.as_tensor(parameters, dtype=self.blocks_.dtype, device=self.device)
        return both[:, :-1].contiguous(), both[:, -1].contiguous()

    def _log_softmax(
        self, Z: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        from torch.nn.functional import log_softmax, pad

        score = (Z @ weights.T).add_(bias)
        return log_softmax(score if len(weights) > 1 else pad(score, (1, 0)), dim=1)
