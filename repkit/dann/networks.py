"""Internal. The networks of a `DANN`: a backbone and two heads, checked against the data."""

from __future__ import annotations

from torch import nn

from repkit import nets


def build_networks(
    backbone: nets.Spec,
    label: nets.Spec | None,
    domain: nets.Spec | None,
    *,
    shape: tuple[int, ...],
    width: int,
    n_classes: int,
    n_domains: int,
    conditional: bool,
    separate: bool,
    adapting: bool,
) -> dict[str, nn.Module]:
    """Build F, C and, if there is a target, D.

    Parameters
    ----------
    backbone, label, domain : str, nn.Module, callable or None
        What the user chose.
    shape : tuple of int
        Of a sample.
    width : int
        Outputs of a backbone that is given by name or made by a callable.
    n_classes, n_domains : int
        Logits of C and D.
    conditional : bool
        Whether D reads the multilinear map of features and predictions.
    separate : bool
        Whether batch norm in F has statistics for each domain apart.
    adapting : bool
        Whether there is a D.

    Returns
    -------
    dict of str to nn.Module

    Raises
    ------
    ValueError, TypeError
        If a network of the user's own does not take what it is given, or a head does not give one
        logit for each class or domain.
    """
    label = _linear if label is None else label
    domain = "mlp" if domain is None else domain
    features, outputs = nets.build_features(backbone, shape, width, name="backbone")
    networks: dict[str, nn.Module] = {
        "F": features,
        "C": _head(
            _linear if label is None else label, outputs, n_classes, "heads__label", "classes"
        ),
    }
    if adapting:
        seen = outputs * n_classes if conditional else outputs
        networks["D"] = _head(
            "mlp" if domain is None else domain, seen, n_domains, "heads__domain", "domains"
        )
    if separate:
        networks["F"] = nets.separate_domains(features, n_domains)
    return networks


def _head(spec: nets.Spec, outputs: int, wanted: int, name: str, what: str) -> nn.Module:
    """A network from features to ``wanted`` logits."""
    network = nets.build(spec, (outputs,), wanted, name=name)
    found = nets.width_out(network, (outputs,), name=name)
    if found != wanted:
        raise ValueError(
            f"{name} must give {wanted} logits, one for each of the {what}; it gives {found}"
        )
    return network


def _linear(shape_in: tuple[int, ...], dim_out: int) -> nn.Module:
    """The default label head."""
    return nn.Linear(shape_in[0], dim_out)
