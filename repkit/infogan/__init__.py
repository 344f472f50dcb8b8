"""InfoGAN (Chen et al. 2016), with the contrastive term of InfoGAN-CR."""

from repkit.infogan.estimator import InfoGAN

__all__ = ["InfoGAN"]
