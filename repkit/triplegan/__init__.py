"""Triple-GAN (Li et al. 2017), with the consistency term of FixMatch."""

from repkit.triplegan.estimator import TripleGAN

__all__ = ["TripleGAN"]
