"""The networks of a `DANN`: a backbone and the two heads on it, checked against the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from repkit import nets

if TYPE_CHECKING:
    from repkit.dann.estimator import DANN


def build_networks(model: DANN) -> dict[str, nn.Module]:
    """F, C and, with a target, D: for the model's classes, domains and shape of a sample.

    Raises
    ------
    ValueError, TypeError
        If a network of the user's own does not take what it is given, or a head does not give one
        logit for each class or domain.
    """
    shape = model.input_shape_
    features, width = nets.build_features(model.backbone, shape, model.n_features, name="backbone")
    n_classes, n_domains = len(model.classes_), len(model.domains_)
    label_head = linear if model.label_head is None else model.label_head
    networks: dict[str, nn.Module] = {
        "F": features,
        "C": head(label_head, width, n_classes, "label_head", "classes"),
    }
    if model._is_adapting():
        seen = width * n_classes if model.conditional else width
        domain_head = "mlp" if model.domain_head is None else model.domain_head
        networks["D"] = head(domain_head, seen, n_domains, "domain_head", "domains")
    if model.domain_norm == "separate":
        nets.separate_domains(features, n_domains)
    return networks


def head(spec: nets.Spec, width: int, wanted: int, name: str, what: str) -> nn.Module:
    """A network from ``width`` features to ``wanted`` logits."""
    network = nets.build(spec, (width,), wanted, name=name)
    found = nets.width_out(network, (width,), name=name)
    if found != wanted:
        raise ValueError(
            f"{name} must give {wanted} logits, one for each of the {what}; it gives {found}"
        )
    return network


def linear(shape_in: tuple[int, ...], dim_out: int) -> nn.Module:
    """The default label head."""
    return nn.Linear(shape_in[0], dim_out)
