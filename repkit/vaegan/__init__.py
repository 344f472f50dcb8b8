"""VAE-GAN (Larsen et al. 2016), with a two-way or a three-way discriminator."""

from repkit.vaegan.algorithm import Objective, vaegan
from repkit.vaegan.estimator import VAEGAN

__all__ = ["VAEGAN", "Objective", "vaegan"]
