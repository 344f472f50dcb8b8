"""Networks and layers, and how a user's choice of one becomes a module."""

from repkit.nets.building import Spec, build, build_features, width_out
from repkit.nets.domains import DomainNorm, separate_domains, set_rows
from repkit.nets.modes import evaluating, still
from repkit.nets.plain import Standardize, conv, mlp

__all__ = [
    "DomainNorm",
    "Spec",
    "Standardize",
    "build",
    "build_features",
    "conv",
    "evaluating",
    "mlp",
    "separate_domains",
    "set_rows",
    "still",
    "width_out",
]
