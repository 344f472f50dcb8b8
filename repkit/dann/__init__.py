"""Domain-adversarial training (Ganin et al. 2016), conditional form (Long et al. 2018) included."""

from repkit.dann.algorithm import Objective, dann
from repkit.dann.estimator import DANN, NoTargetWarning
from repkit.dann.parts import Entropy, Heads, Updates

__all__ = ["DANN", "Entropy", "Heads", "NoTargetWarning", "Objective", "Updates", "dann"]
