"""Internal. VAE: Kingma and Welling 2014; its weight beta: Higgins et al. 2017.

E gives the mean and log variance of q(z|x), G decodes z, and both minimize the negative bound

    -E_q log p(x|z) + beta KL(q(z|x) || N(0, I))            (Kingma and Welling, equations 3, 10),

sums over pixels and over components of z, means over samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace

from torch import Tensor, nn

from repkit.base.parameters import check_parameters, choice, function, number, parameters
from repkit.engine.batches import Batch, to_float
from repkit.engine.system import Noise, Phase, System
from repkit.losses import LIKELIHOODS, draw, kl_from_standard
from repkit.schedules import early_rise

__all__ = ["Objective", "vae"]


@parameters
class Objective:
    """What the loss is made of.

    Parameters
    ----------
    beta : float, default=1.0
        Weight of the divergence, times the schedule ``kl_weight``.
    likelihood : {"bernoulli", "gaussian"}, default="bernoulli"
        The law of a pixel in [0, 1]; "gaussian" has variance 1.
    augment : callable, optional
        Maps a float batch to one of the same shape: the data are then what it gives.
    """

    beta: float = number(default=1.0)
    likelihood: str = choice("bernoulli", "gaussian", default="bernoulli")
    augment: Callable[[Tensor], Tensor] | None = function(default=None)


def vae(
    networks: Mapping[str, nn.Module],
    *,
    latent_dim: int,
    objective: Objective | None = None,
    prepare: Callable[[Tensor], Tensor] = to_float,
) -> System:
    """Make the system of encoder and decoder.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        E: ``x -> (n, 2 * latent_dim)``, means and log variances; G, a `repkit.nets.Generator`:
        ``z -> x`` in (0, 1), or its logits.
    latent_dim : int
        Components of z.
    objective : Objective, optional
        Its defaults, if there is none.
    prepare : callable
        Stored rows to what the networks see.

    Returns
    -------
    System
        With the group EG.
    """
    o = check_parameters(objective or Objective())
    cost = LIKELIHOODS[o.likelihood]

    def step(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        x = prepare(b.x)
        x = x if o.augment is None else o.augment(x)
        posterior = n.E(x)
        kl = kl_from_standard(posterior)
        likely = cost(n.G(draw(posterior, b.noise), logits=True), x)
        return {"EG": likely + o.beta * b.kl_weight * kl, "reconstruction_loss": likely, "kl": kl}

    return System(
        networks,
        {"EG": ("E", "G")},
        (Phase(step),),
        noise={"noise": Noise((latent_dim,))},
        schedules={"kl_weight": early_rise},
    )
