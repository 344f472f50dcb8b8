"""Internal. Base of the scorers that look at features of the estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

from repkit._arguments import shown
from repkit.metrics._arrays import as_numpy
from repkit.metrics._domains import Domains, accepts, call, check_method, through
from repkit.metrics.scorers import DomainScorer, ScorerError


class FeatureScorer(DomainScorer):
    """Has the parameter `features`: "transform", "input" or a function (estimator, X)."""

    features: Any

    def _check_parameters(self) -> None:
        named = isinstance(self.features, str) and self.features in ("transform", "input")
        if not callable(self.features) and not named:
            raise ValueError(
                "features must be 'transform', 'input' or a function (estimator, X) -> "
                f"features, not {shown(self.features)}"
            )

    def _checked(self, estimator: Any, X: Any, y: Any, sample_domain: Any) -> Domains:
        if isinstance(self.features, str) and self.features == "transform":
            check_method(self, estimator, "transform")
        return super()._checked(estimator, X, y, sample_domain)

    def _embed(self, estimator: Any, X: Any, domain: np.ndarray) -> np.ndarray:
        features = as_numpy(self._features_of(estimator, X, domain), "features")
        if features.dtype.kind in "fiub":
            return features
        try:
            return features.astype(np.float64)
        except (TypeError, ValueError):
            raise ScorerError(
                f"features must give numbers, not dtype {features.dtype}: encode text columns in a "
                f"Pipeline, or pass {type(self).__name__} a function (estimator, X) -> features"
            ) from None

    def _features_of(self, estimator: Any, X: Any, domain: np.ndarray) -> Any:
        if callable(self.features):
            if accepts(self.features, "sample_domain"):
                return self.features(estimator, X, sample_domain=domain)
            return self.features(estimator, X)
        if self.features == "input":
            return through(estimator, X, domain)
        return call(estimator, "transform", X, domain)
