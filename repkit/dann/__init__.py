"""Domain-adversarial training (Ganin et al. 2016) and its conditional form (Long et al. 2018)."""

from repkit.dann.estimator import DANN, NoTargetWarning

__all__ = ["DANN", "NoTargetWarning"]
