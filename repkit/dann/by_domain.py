"""Internal. What follows from an estimator's `fit`, `transform` and `predict_proba` by domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, TransformerMixin

from repkit.base.labels import accuracy


class ByDomain(TransformerMixin):
    """Methods that take the domain of each row."""

    # Metadata routing, as skada does: the domain travels to each method that can use it.
    __metadata_request__fit: ClassVar = {"sample_domain": True, "source": True}
    __metadata_request__predict: ClassVar = {"sample_domain": True}
    __metadata_request__score: ClassVar = {"sample_domain": True}
    __metadata_request__transform: ClassVar = {"sample_domain": True}

    if TYPE_CHECKING:

        def fit(self, X: Any, y: Any, *given: Any, **named: Any) -> Any: ...
        def transform(self, X: Any, sample_domain: Any = None) -> np.ndarray: ...

    def fit_transform(
        self,
        X: Any,
        y: Any = None,
        sample_domain: Any = None,
        source: Any = None,
        sample_weight: Any = None,
    ) -> np.ndarray:
        """Fit, then give the adapted features of the same rows.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            Source and target rows.
            Columns of a table are taken as they are: a ``StandardScaler`` may stand before.
        y : array-like of shape (n,)
            Labels of the source rows.
        sample_domain : array-like of shape (n,), optional
            The domain of each row: at least 0 for a source, below 0 for a target, or a name.
        source : scalar or list, optional
            The domains that are sources, all others being targets.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows in the label loss, at least 0.

        Returns
        -------
        ndarray of shape (n, features)
            Outputs of the backbone, float64 if X is, else float32.
        """
        fit = self.fit(
            X, y, sample_domain=sample_domain, source=source, sample_weight=sample_weight
        )
        found: np.ndarray = fit.transform(X, sample_domain)
        return found


class Classifying(ClassifierMixin):
    """Methods of a classifier that takes the domain of each row."""

    __metadata_request__predict_proba: ClassVar = {"sample_domain": True}

    classes_: np.ndarray

    if TYPE_CHECKING:

        def predict_proba(self, X: Any, sample_domain: Any = None) -> np.ndarray: ...

    def predict(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """The most probable label of each row.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        sample_domain : array-like of shape (n,), optional
            The domain of each row; see `predict_proba`.

        Returns
        -------
        ndarray of shape (n,)
            Values of ``classes_``.
        """
        proba = self.predict_proba(X, sample_domain)
        return self.classes_[proba.argmax(1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None, sample_domain: Any = None) -> float:
        """Accuracy of `predict`.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        y : array-like of shape (n,)
            True labels. Rows without one (None, NaN or -1) are left out.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.
        sample_domain : array-like of shape (n,), optional
            The domain of each row; see `predict_proba`.

        Returns
        -------
        float
            From 0 to 1.

        Raises
        ------
        ValueError
            If no row has a label.
        """
        return accuracy(y, self.predict(X, sample_domain), sample_weight, self.classes_)
