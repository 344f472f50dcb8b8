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
    outputs: int,
    n_domains: int,
    kind: str | None,
    conditional: bool,
    separate: bool,
    what: str = "classes",
) -> dict[str, nn.Module]:
    """Build F, C and, if the divergence has one, D.

    Parameters
    ----------
    backbone, label, domain : str, nn.Module, callable or None
        What the user chose.
    shape : tuple of int
        Of a sample.
    width : int
        Outputs of a backbone that is given by name or made by a callable.
    outputs : int
        Of C.
    n_domains : int
        Sources and targets.
    kind : str or None
        Of the divergence; None where there is none, or no target.
    conditional : bool
        Whether D reads the multilinear map of features and predictions.
    separate : bool
        Whether batch norm in F has statistics for each domain apart.
    what : str
        What C has an output for each of, for errors.

    Returns
    -------
    dict of str to nn.Module

    Raises
    ------
    ValueError, TypeError
        If a network of the user's own does not take what it is given, or a head does not give one
        output for each of what it should.
    """
    features, n_features = nets.build_features(backbone, shape, width, name="backbone")
    label = _linear if label is None else label
    networks: dict[str, nn.Module] = {
        "F": features,
        "C": _head(label, n_features, outputs, "heads__label", what),
    }
    judged = {
        "adversarial": (n_domains, "domains"),
        "wasserstein": (n_domains * (n_domains - 1) // 2, "pairs of domains"),
        "discrepancy": (outputs, what),
    }
    if kind in judged:
        seen = n_features * outputs if conditional else n_features
        domain = "mlp" if domain is None else domain
        networks["D"] = _head(domain, seen, judged[kind][0], "heads__domain", judged[kind][1])
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
