"""InfoGAN (Chen et al. 2016), with the contrastive term of InfoGAN-CR."""

from repkit.infogan.algorithm import Codes, Objective, infogan
from repkit.infogan.estimator import InfoGAN
from repkit.infogan.parts import Categorical, Continuous

__all__ = ["Categorical", "Codes", "Continuous", "InfoGAN", "Objective", "infogan"]
