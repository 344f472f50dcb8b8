"""Variational auto-encoder (Kingma and Welling 2014)."""

from repkit.vae.algorithm import Objective, vae
from repkit.vae.estimator import VAE

__all__ = ["VAE", "Objective", "vae"]
