"""Metrics: probes, disentanglement, distances of domains, generation, label-free selection.

They take arrays or tensors and return numbers. None knows an estimator of this package.
"""

from repkit.metrics.clustering import match_clusters
from repkit.metrics.disentanglement import (
    beta_vae_score,
    dci,
    disentanglement_scores,
    factor_vae_score,
    mig,
    modularity_explicitness,
    sap,
)
from repkit.metrics.generation import frechet_distance, nearest_neighbor_distance, precision_recall
from repkit.metrics.neighbors import nearest_neighbors
from repkit.metrics.probes import knn_predict, knn_probe, linear_probe
from repkit.metrics.reconstruction import reconstruction_ratio
from repkit.metrics.scorers import (
    DomainScorer,
    EntropyScorer,
    InfoMaxScorer,
    ScorerError,
    SNDScorer,
)
from repkit.metrics.selection import (
    control_variate_risk,
    deep_embedded_validation,
    importance_weighted_validation,
    importance_weights,
    information_maximization,
    prediction_entropy,
    soft_neighborhood_density,
)
from repkit.metrics.source_scorers import DEVScorer, IWVScorer, ReverseValidationScorer
from repkit.metrics.speaker import (
    abx_error,
    cut_segments,
    disentanglement_report,
    enrolled_eer,
    mean_std,
    phone_probe,
    probe_report,
    resampled_pca,
    same_different,
    speaker_eer,
    swap_test,
)
from repkit.metrics.structure import (
    batch_nuclear_norm,
    class_cluster_information,
    ensemble_agreement,
    ensemble_order,
    logit_matrix_norm,
    transfer_score,
)
from repkit.metrics.target_scorers import (
    BNMScorer,
    ClassAMIScorer,
    EnsVScorer,
    MaNoScorer,
    MixValScorer,
    TransferScorer,
)
from repkit.metrics.transfer import domain_accuracy, proxy_a_distance

__all__ = [
    "BNMScorer",
    "ClassAMIScorer",
    "DEVScorer",
    "DomainScorer",
    "EnsVScorer",
    "EntropyScorer",
    "IWVScorer",
    "InfoMaxScorer",
    "MaNoScorer",
    "MixValScorer",
    "ReverseValidationScorer",
    "SNDScorer",
    "ScorerError",
    "TransferScorer",
    "abx_error",
    "batch_nuclear_norm",
    "beta_vae_score",
    "class_cluster_information",
    "control_variate_risk",
    "cut_segments",
    "dci",
    "deep_embedded_validation",
    "disentanglement_report",
    "disentanglement_scores",
    "domain_accuracy",
    "enrolled_eer",
    "ensemble_agreement",
    "ensemble_order",
    "factor_vae_score",
    "frechet_distance",
    "importance_weighted_validation",
    "importance_weights",
    "information_maximization",
    "knn_predict",
    "knn_probe",
    "linear_probe",
    "logit_matrix_norm",
    "match_clusters",
    "mean_std",
    "mig",
    "modularity_explicitness",
    "nearest_neighbor_distance",
    "nearest_neighbors",
    "phone_probe",
    "precision_recall",
    "prediction_entropy",
    "probe_report",
    "proxy_a_distance",
    "reconstruction_ratio",
    "resampled_pca",
    "same_different",
    "sap",
    "soft_neighborhood_density",
    "speaker_eer",
    "swap_test",
    "transfer_score",
]


# Earlier spellings, for callers that still use them.
_EARLIER = {"soft_neighbourhood_density": "soft_neighborhood_density"}


def __getattr__(name: str) -> object:
    if name in _EARLIER:
        return globals()[_EARLIER[name]]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
