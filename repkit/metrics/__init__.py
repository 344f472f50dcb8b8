"""Metrics: probes, distances between domains, and model selection without target labels.

They take arrays and give numbers; none knows an estimator of this package.
"""

from .neighbors import nearest_neighbors
from .probes import knn_predict, knn_probe, linear_probe
from .scorers import DomainScorer, EntropyScorer, InfoMaxScorer, SNDScorer
from .selection import (
    control_variate_risk,
    deep_embedded_validation,
    importance_weighted_validation,
    importance_weights,
    information_maximisation,
    prediction_entropy,
    soft_neighbourhood_density,
)
from .source_scorers import DEVScorer, IWVScorer, ReverseValidationScorer
from .transfer import domain_accuracy, proxy_a_distance

__all__ = [
    "DEVScorer",
    "DomainScorer",
    "EntropyScorer",
    "IWVScorer",
    "InfoMaxScorer",
    "ReverseValidationScorer",
    "SNDScorer",
    "control_variate_risk",
    "deep_embedded_validation",
    "domain_accuracy",
    "importance_weighted_validation",
    "importance_weights",
    "information_maximisation",
    "knn_predict",
    "knn_probe",
    "linear_probe",
    "nearest_neighbors",
    "prediction_entropy",
    "proxy_a_distance",
    "soft_neighbourhood_density",
]
