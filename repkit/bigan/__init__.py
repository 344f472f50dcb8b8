"""BiGAN (Donahue et al. 2017), with the terms of ALI, ALICE and BigBiGAN."""

from repkit.bigan.algorithm import Objective, bigan
from repkit.bigan.estimator import BiGAN

__all__ = ["BiGAN", "Objective", "bigan"]
