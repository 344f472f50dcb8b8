"""Domain-adversarial training (Ganin et al. 2016), and other divergences of domains."""

from repkit.base.plain_images import PlainImagesWarning
from repkit.dann.algorithm import Alignment, Objective, dann
from repkit.dann.base import NoTargetWarning
from repkit.dann.denoising import MarginalizedDenoiser
from repkit.dann.estimator import DANN
from repkit.dann.monitor import GuardWarning, ShareWarning
from repkit.dann.parts import Divergence, Entropy, Heads, Selection, Updates
from repkit.dann.regressor import DANNRegressor
from repkit.dann.search import AdaptationSearch

__all__ = [
    "DANN",
    "AdaptationSearch",
    "Alignment",
    "DANNRegressor",
    "Divergence",
    "Entropy",
    "GuardWarning",
    "Heads",
    "MarginalizedDenoiser",
    "NoTargetWarning",
    "Objective",
    "PlainImagesWarning",
    "Selection",
    "ShareWarning",
    "Updates",
    "dann",
]
