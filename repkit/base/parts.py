"""Parts that several estimators take: the optimizer, a discriminator, pseudo-labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from repkit._arguments import shown
from repkit.base.parameters import Part, anything, choice, network, number, parameters
from repkit.engine.engine import OptimizerFactory
from repkit.engine.optim import SGD, Adam

__all__ = ["Consistency", "Discriminator", "Optimizer"]


def _optimizer_kind(name: str, value: Any) -> Any:
    if value in ("adam", "sgd") if isinstance(value, str) else callable(value):
        return value
    raise (ValueError if isinstance(value, str) else TypeError)(
        f"{name} must be 'adam', 'sgd' or a callable (parameters, learning_rate) -> "
        f"torch.optim.Optimizer, not {shown(value)}"
    )


@parameters
class Optimizer(Part):
    """How gradients become steps.

    Parameters
    ----------
    kind : {"adam", "sgd"} or callable, default="adam"
        A callable gets ``(parameters, learning_rate)``, the first a list of parameter groups, and
        returns a ``torch.optim.Optimizer``: ``torch.optim.RAdam``, say. It ignores ``momentum`` and
        ``weight_decay``. With small networks "adam" and "sgd" take half the time of torch's own:
        only steps with these two are recorded and replayed.
    momentum : float, default=0.9
        Decay of the running mean of gradients: beta1 of Adam, the momentum of SGD.
    weight_decay : float, default=0.0
        For Adam, decoupled from the gradient (Loshchilov and Hutter 2019); for SGD, added to it.

    Examples
    --------
    >>> from repkit import DANN
    >>> from repkit.base.parts import Optimizer
    >>> model = DANN(optimizer=Optimizer("sgd", weight_decay=1e-4))
    >>> model.set_params(optimizer__momentum=0.5).optimizer
    Optimizer('sgd', momentum=0.5, weight_decay=0.0001)
    """

    kind: str | Callable[..., torch.optim.Optimizer] = anything(
        _optimizer_kind, default="adam", kw_only=False
    )
    momentum: float = number(0.0, 0.999, default=0.9)
    weight_decay: float = number(default=0.0)

    def __call__(self, **changes: Any) -> Optimizer:
        """Return a changed copy.

        Parameters
        ----------
        **changes
            New values of parameters.

        Returns
        -------
        Optimizer
        """
        return Optimizer(**{**self.get_params(), **changes})

    def _factory(self, learning_rate: float, momentum: float | None = None) -> OptimizerFactory:
        """What the engine makes an optimizer with."""
        momentum = self.momentum if momentum is None else momentum
        if self.kind == "adam":
            return partial(Adam, lr=learning_rate, beta1=momentum, weight_decay=self.weight_decay)
        if self.kind == "sgd":
            return partial(SGD, lr=learning_rate, momentum=momentum, weight_decay=self.weight_decay)
        kind: Any = self.kind

        def made(parameters: Any) -> torch.optim.Optimizer:
            wanted = "optimizer must map (parameters, learning_rate) to a torch.optim.Optimizer"
            try:
                found = kind(parameters, learning_rate)
            except Exception as error:
                raise ValueError(f"{wanted}, but {shown(kind)} fails: {error}") from error
            if not isinstance(found, torch.optim.Optimizer):
                raise TypeError(f"{wanted}; {shown(kind)} gives {shown(found)}")
            return found

        return made


@parameters
class Discriminator(Part):
    """The network that plays against a generator, and what it descends.

    Parameters
    ----------
    network : {"auto", "mlp", "conv", "dcgan"}, nn.Module or callable, default="auto"
        See the estimator that takes the part.
    loss : {"logistic", "hinge"}, default="logistic"
        Logistic is that of Goodfellow et al. 2014, in the form that does not saturate; hinge is
        that of Lim and Ye 2017.
    r1 : float, default=0.0
        Weight of the penalty ``1/2 |grad D|^2`` on data (Mescheder et al. 2018), with 16 times
        that at every 16th step, which is one of its own. The length of Adam's steps hardly depends
        on the scale of a loss: with it, ``r1`` says whether D is held smooth, and little about how
        much. With "sgd" the step is proportional to it.
    """

    network: str | nn.Module | Callable[..., nn.Module] = network(default="auto", kw_only=False)
    loss: str = choice("logistic", "hinge", default="logistic")
    r1: float = number(default=0.0)


@parameters
class Consistency(Part):
    """Pseudo-labels of the averaged network, for the network on strongly augmented rows.

    Parameters
    ----------
    weight : float, default=1.0
        Weight of the cross-entropy against the pseudo-labels.
    threshold : float, default=0.95
        Least probability of a pseudo-label that counts, as in FixMatch (Sohn et al. 2020).
    start : float, default=0.0
        Progress, from 0 to 1, at which the weight begins to grow; it is whole at twice that.
    """

    weight: float = number(default=1.0, kw_only=False)
    threshold: float = number(0.0, 1.0, default=0.95)
    start: float = number(0.0, 1.0, default=0.0)
