"""Triple-GAN (Li et al. 2017), with the consistency term of FixMatch."""

from repkit.base.plain_images import PlainImagesWarning
from repkit.triplegan.algorithm import Objective, triplegan
from repkit.triplegan.estimator import TripleGAN
from repkit.triplegan.parts import AdversarialTerm, PseudoDiscriminative

__all__ = [
    "AdversarialTerm",
    "Objective",
    "PlainImagesWarning",
    "PseudoDiscriminative",
    "TripleGAN",
    "triplegan",
]
