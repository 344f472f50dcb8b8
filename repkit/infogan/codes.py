"""Internal. Codes by name: what an estimator with a code reader can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from repkit._arguments import named, shown
from repkit.base.generative import Generative
from repkit.base.labels import as_label_array, check_count
from repkit.base.parameters import fitted, flag, number, parameters
from repkit.infogan.algorithm import Codes
from repkit.metrics import match_clusters


@parameters
class Coded(TransformerMixin, Generative):
    """Base of the estimators whose generator G is told codes, which the body B and Q read off.

    A subclass has ``_codes``, which says what the codes are.
    """

    recalibrate: bool = flag(default=True)
    validation_fraction: float = number(0.0, 0.9, default=0.05)

    labels_: np.ndarray = fitted()

    def _codes(self) -> Codes:
        """What G is told and Q reads."""
        raise NotImplementedError

    def _latents(self, n: int, rng: np.random.Generator) -> np.ndarray:
        codes = self._codes()
        parts = [rng.uniform(-1, 1, (n, codes.latent_dim))]
        parts += [np.eye(k)[rng.integers(k, size=n)] for k in codes.sizes]
        parts += [rng.uniform(-1, 1, (n, codes.n_continuous))]
        return np.concatenate(parts, 1).astype(np.float32)

    def _probe(self, X: np.ndarray) -> None:
        self.transform(X)
        self.sample(1, random_state=0)

    # ---------------------------------------------------------------- reading codes

    def _reader(self, x: Tensor) -> Tensor:
        """Probabilities of every category, and means of the continuous codes."""
        logits, means, _ = self._codes().split(self.networks_["Q"](self.networks_["B"](x)))
        return torch.cat([*(torch.softmax(q.float(), 1) for q in logits), means.float()], 1)

    def _functions(self) -> dict[str, tuple[str, Callable[[Tensor], Tensor]]]:
        return {"transform": ("BQ", self._reader)}

    def _categories(self, X: np.ndarray) -> np.ndarray:
        return self._map(X, self._reader)[:, : self._codes().sizes[0]].argmax(1)

    def transform(self, X: Any) -> np.ndarray:
        """Read the codes off samples.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape of those of `fit`.

        Returns
        -------
        ndarray of shape (n, codes)
            Probabilities of the values of each categorical code, then means of the continuous ones.
        """
        X = self._check_X(X, reset=False)
        return self._like(self._map(X, self._reader), X)

    def predict(self, X: Any) -> np.ndarray:
        """Read the first categorical code off samples.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape of those of `fit`.

        Returns
        -------
        ndarray of int of shape (n,)
            The most probable value.

        Raises
        ------
        ValueError
            If there is no categorical code.
        """
        check_is_fitted(self)
        check_categorical(self._codes())
        return self._categories(self._check_X(X, reset=False))

    def match_labels(self, y: Any, X: Any = None) -> np.ndarray:
        """Give each value of the first categorical code a label, for the most agreement.

        ``model.match_labels(y)[model.predict(X)]`` are then labels. With as many labels as values
        each is used once (Hungarian algorithm); values beyond the labels get their commonest one.

        Parameters
        ----------
        y : array-like of shape (n,)
            Labels of the rows of X.
        X : array-like of shape (n, ...), optional
            By default, the data of `fit`.

        Returns
        -------
        ndarray of shape (categories,)
            A label for each value.

        Raises
        ------
        ValueError
            If there is no categorical code, or y does not have a label for each row.
        """
        check_is_fitted(self)
        check_categorical(self._codes())
        if X is None and not hasattr(self, "labels_"):
            raise ValueError("match_labels needs X: a loaded model does not hold its data's labels")
        found = self.labels_ if X is None else self.predict(X)
        y = as_label_array(y, "y")
        check_count(y, len(found), "y")
        return match_clusters(found, y, self._codes().sizes[0])

    # ---------------------------------------------------------------- generating

    def sample(
        self, n: int = 1, codes: Mapping[str, Any] | None = None, random_state: Any = None
    ) -> np.ndarray:
        """Generate samples.

        Parameters
        ----------
        n : int, default=1
            How many.
        codes : mapping of str to number or array of shape (n,), optional
            Values of some codes, ``{"category0": 3, "continuous1": 0.5}``; the others are drawn
            from the prior.
        random_state : int, RandomState, Generator or None, default=None
            Seed of what is drawn.

        Returns
        -------
        ndarray of shape (n, ...)
            In the shape, range and type of the data.

        Raises
        ------
        ValueError
            If there is no code of a name, or it has no such value.
        """
        codes = {} if codes is None else codes
        if not isinstance(codes, Mapping):
            raise TypeError(f"codes must be a dict of values by code, not {shown(codes)}")
        return self._generate(self._latents_with(n, codes, random_state))

    def _latents_with(
        self, n: int, codes: Mapping[str, Any], random_state: Any, name: str = "n"
    ) -> np.ndarray:
        latents = self._draw(n, random_state, name)
        for name, value in codes.items():
            set_code(latents, self._codes(), name, value)
        return latents

    def traverse(
        self, code: str, values: Any = None, n_rows: int = 10, random_state: Any = None
    ) -> np.ndarray:
        """Generate samples that differ in one code along a row, and in all else between rows.

        Parameters
        ----------
        code : str
            A name as in `get_feature_names_out`, without the category: "category0", "continuous1".
        values : array-like of shape (m,), optional
            Values of the code. By default, every category; or ten values from -2 to 2, as in the
            paper.
        n_rows : int, default=10
            How many rows.
        random_state : int, RandomState, Generator or None, default=None
            Seed of what differs between rows.

        Returns
        -------
        ndarray of shape (n_rows, m, ...)
            In the shape, range and type of the data.

        Raises
        ------
        ValueError
            If there is no code of that name, or it has no such value.
        """
        check_is_fitted(self)
        if not isinstance(code, str):
            raise TypeError(f"code must be the name of a code, not {shown(code)}")
        if values is None:
            columns = columns_of(self._codes(), code)
            size = columns.stop - columns.start
            categorical = code.startswith("category")
            values = np.arange(size) if categorical else np.linspace(-2.0, 2.0, 10)
        values = numbers_of(values, "values").ravel()
        if not len(values):
            raise ValueError("values must have at least one value of the code, not none")
        rows = self._latents_with(n_rows, {}, random_state, "n_rows")
        latents = np.repeat(rows, len(values), 0)
        set_code(latents, self._codes(), code, np.tile(values, n_rows), "values")
        return self._generate(latents).reshape(n_rows, len(values), *self.input_shape_)

    # ---------------------------------------------------------------- scikit-learn

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns of `transform`.

        Parameters
        ----------
        input_features : ignored
            For scikit-learn.

        Returns
        -------
        ndarray of str
            ``category<code>_<value>`` and ``continuous<code>``.
        """
        check_is_fitted(self)
        codes = self._codes()
        names = [f"category{k}_{v}" for k, n in enumerate(codes.sizes) for v in range(n)]
        names += [f"continuous{k}" for k in range(codes.n_continuous)]
        return np.array(names, dtype=object)


def check_categorical(codes: Codes) -> None:
    """Raise a ValueError unless there is a categorical code."""
    if not codes.sizes:
        raise ValueError("categories need a categorical code: give categorical=(10,), say")


def named_codes(codes: Codes) -> dict[str, slice]:
    """The columns of each code in the generator's input."""
    columns, start = {}, codes.latent_dim
    for k, size in enumerate(codes.sizes):
        columns[f"category{k}"] = slice(start, start + size)
        start += size
    for k in range(codes.n_continuous):
        columns[f"continuous{k}"] = slice(start + k, start + k + 1)
    return columns


def columns_of(codes: Codes, name: str) -> slice:
    """The columns of one code in the generator's input.

    Raises
    ------
    ValueError
        If there is no code of that name.
    """
    columns = named_codes(codes)
    if not isinstance(name, str) or name not in columns:
        raise ValueError(f"code must be one of {list(columns)}; there is no code {name!r}")
    return columns[name]


def numbers_of(values: Any, name: str) -> np.ndarray:
    """Finite real numbers as an array, or an error that names the argument."""
    with named(name, "finite numbers"):
        array = np.asarray(values)
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise ValueError(f"not {shown(values)}")
    return array


def set_code(
    latents: np.ndarray, codes: Codes, name: str, values: Any, argument: str | None = None
) -> None:
    """Give a code the value, or values ``(n,)``, in rows of the generator's input.

    Raises
    ------
    ValueError
        If there is no such code, or a categorical one has no such value.
    """
    where, n = columns_of(codes, name), len(latents)
    values = numbers_of(values, argument or f"codes[{name!r}]")
    if values.shape not in ((), (n,)):
        raise ValueError(f"{name} must have one value or {n}, not values of shape {values.shape}")
    if name.startswith("continuous"):
        latents[:, where.start] = values
        return
    size = where.stop - where.start
    if not np.isin(values, np.arange(size)).all():
        place = name if argument is None else f"{argument}: {name}"
        raise ValueError(f"{place} must have values from 0 to {size - 1}, not {values}")
    latents[:, where] = np.eye(size)[np.broadcast_to(values, n).astype(int)]
