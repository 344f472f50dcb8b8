"""Losses, as pure functions of tensors."""

from repkit.losses.distances import (
    coral,
    discrepancy,
    joint_mmd,
    mmd,
    multilinear,
    slope_penalty,
    wasserstein,
)
from repkit.losses.generation import (
    ADVERSARIAL,
    HINGE,
    LIKELIHOODS,
    LOGISTIC,
    Adversarial,
    bounded,
    code_loss,
    draw,
    gradient_penalty,
    half_squared_error,
    kl_from_standard,
)
from repkit.losses.predictions import (
    class_confusion,
    entropy,
    estimate_shares,
    information,
    paired_information,
    virtual_adversarial,
    weighted_cross_entropy,
)
from repkit.losses.reversal import GradientReversal, reverse

__all__ = [
    "ADVERSARIAL",
    "HINGE",
    "LIKELIHOODS",
    "LOGISTIC",
    "Adversarial",
    "GradientReversal",
    "bounded",
    "class_confusion",
    "code_loss",
    "coral",
    "discrepancy",
    "draw",
    "entropy",
    "estimate_shares",
    "gradient_penalty",
    "half_squared_error",
    "information",
    "joint_mmd",
    "kl_from_standard",
    "mmd",
    "multilinear",
    "paired_information",
    "reverse",
    "slope_penalty",
    "virtual_adversarial",
    "wasserstein",
    "weighted_cross_entropy",
]
