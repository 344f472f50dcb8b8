"""Internal. Parts of `DANN`: its heads, the order of its updates, and certain predictions."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from repkit.base.parameters import Part, choice, integer, network, number, parameters

__all__ = ["Entropy", "Heads", "Updates"]


@parameters
class Updates(Part):
    """In which order the networks step.

    Parameters
    ----------
    order : {"joint", "alternating"}, default="joint"
        One step of all networks through the gradient reversal; or in every step the domain
        classifier, then the label predictor, then the feature extractor.
    d_steps : int, default=1
        Steps of the domain classifier in every step of an alternating training.
    """

    order: str = choice("joint", "alternating", default="joint", kw_only=False)
    d_steps: int = integer(1, 1000, default=1)


@parameters
class Entropy(Part):
    """Certain and balanced predictions on target rows.

    Parameters
    ----------
    weight : float, default=0.0
        Weight of the information term on target predictions: certain for each row, balanced over
        all (Krause et al. 2010). It grows along the ramp of ``lam="ramp"``.
    smoothness : float, default=0.0
        Radius, in the unit of X, within which the prediction on a target row is made to change
        little (virtual adversarial training, Miyato et al. 2018). With a weight above 0 it is VADA
        (Shu et al. 2018). The weight of this term is 1, along the same ramp.
    """

    weight: float = number(default=0.0, kw_only=False)
    smoothness: float = number(default=0.0)


@parameters
class Heads(Part):
    """The two networks on the features.

    Parameters
    ----------
    label : nn.Module or callable, optional
        C, from feature rows to logits of the classes. A callable gets ``(shape_in, n_classes)``.
        By default one linear layer.
    domain : nn.Module or callable, optional
        D, from feature rows to logits of the domains; the gradient reversal is not its business. A
        callable gets ``(shape_in, n_domains)``. By default one hidden layer of 128.
    """

    label: str | nn.Module | Callable[..., nn.Module] | None = network(
        default=None, optional=True, kw_only=False
    )
    domain: str | nn.Module | Callable[..., nn.Module] | None = network(default=None, optional=True)
