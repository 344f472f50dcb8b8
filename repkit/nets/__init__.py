"""Networks and layers, and how a user's choice of one becomes a module."""

from repkit.nets.build import (
    Spec,
    build,
    build_body,
    build_features,
    build_generator,
    build_hidden,
    width_out,
)
from repkit.nets.domain_norm import DomainNorm, separate_domains, set_rows
from repkit.nets.generators import Generator, UnitInterval
from repkit.nets.trunks import Cosine, Standardize, conv, dcgan, mlp

__all__ = [
    "Cosine",
    "DomainNorm",
    "Generator",
    "Spec",
    "Standardize",
    "UnitInterval",
    "build",
    "build_body",
    "build_features",
    "build_generator",
    "build_hidden",
    "conv",
    "dcgan",
    "mlp",
    "separate_domains",
    "set_rows",
    "width_out",
]
