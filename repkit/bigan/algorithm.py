"""Internal. BiGAN: Donahue et al. 2017.

With the terms of ALI (Dumoulin et al. 2017) and BigBiGAN (Donahue and Simonyan 2019).

D tells pairs (x, E(x)), x real, from pairs (G(z), z), z from the prior,

    min_{G,E} max_D  E log D(x, E(x)) + E log(1 - D(G(z), z))          (equation 3 of BiGAN),

and G and E are trained with the inverse labels: G wants its pairs called real, E wants the real
ones called generated. Greater logits mean "x is real".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.base.parameters import (
    check_parameters,
    flag,
    function,
    number,
    parameters,
    part,
)
from repkit.base.parts import Discriminator
from repkit.engine.batches import Batch, to_float
from repkit.engine.compiling import plain
from repkit.engine.modes import norms, still
from repkit.engine.system import Noise, Phase, System
from repkit.losses import ADVERSARIAL, draw, gradient_penalty

__all__ = ["Objective", "bigan"]


@parameters
class Objective:
    """What the paper's losses are, and what is added to them.

    Parameters
    ----------
    discriminator : Discriminator or its network, default="auto"
        Its ``loss`` and its ``r1``; the network is read by the estimator.
    stochastic : bool, default=False
        E gives means and log variances, and z is drawn from them (ALI, equation 4).
    latent_cycle : float, default=0.0
        Weight of ``|z - E(G(z))|^2``, a mean over components, for E alone: were G trained by it
        too, it could hide z in details that no eye finds.
    data_cycle : float, default=10.0
        Weight of ``|x - G(E(x))|^2``, a mean over components, for G and E (ALICE, Li et al. 2017);
        0 in the BiGAN paper.
    augment : callable, optional
        Maps a float batch to one of the same shape: the data are then what it gives.
    """

    discriminator: Any = part(Discriminator, default="auto")
    stochastic: bool = flag(default=False)
    latent_cycle: float = number(default=0.0)
    data_cycle: float = number(default=10.0)
    augment: Callable[[Tensor], Tensor] | None = function(default=None)


def bigan(
    networks: Mapping[str, nn.Module],
    *,
    latent_dim: int,
    prior: str = "uniform",
    objective: Objective | None = None,
    prepare: Callable[[Tensor], Tensor] = to_float,
    r1_every: int = 16,
) -> System:
    """Make the system of encoder, generator and discriminator.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        E: ``x -> (n, latent_dim)``, twice as many columns if stochastic; G: ``z -> x``;
        D: ``(x, z) -> (n, judgments)`` logits.
    latent_dim : int
        Components of z.
    prior : {"uniform", "normal"}, default="uniform"
        The law of z: on [-1, 1], or N(0, 1).
    objective : Objective, optional
        Its defaults, if there is none.
    prepare : callable
        Stored rows to what the networks see.
    r1_every : int, default=16
        Steps between penalties on D; each then counts so many times.

    Returns
    -------
    System
        With the groups D and GE.
    """
    o = check_parameters(objective or Objective())
    adversarial, r1_weight = ADVERSARIAL[o.discriminator.loss], o.discriminator.r1

    def real_pair(n: SimpleNamespace, b: Batch) -> tuple[Tensor, Tensor]:
        x = prepare(b.x)
        x = x if o.augment is None else o.augment(x)
        z = n.E(x)
        if o.stochastic:
            z = draw(z, b.noise)
        return x, z

    def step(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        x, e = real_pair(n, b)
        g = n.G(b.z)
        real, fake = n.D(x, e), n.D(g, b.z)
        d = 0.5 * (adversarial.real(real) + adversarial.fake(fake))
        ge = 0.5 * (adversarial.seem_fake(real) + adversarial.seem_real(fake))
        logs = {
            "adversarial_loss": ge,
            "d_real": (real[:, 0] > 0).float().mean(),
            "d_fake": (fake[:, 0] > 0).float().mean(),
        }
        if o.latent_cycle:
            # The running statistics of E are those of data.
            with still(norms(n.E)):
                found = n.E(g.detach())
            logs["latent_cycle_loss"] = F.mse_loss(found[:, :latent_dim].float(), b.z)
            ge = ge + o.latent_cycle * logs["latent_cycle_loss"]
        if o.data_cycle:
            with still(norms(n.G)):
                back = n.G(e)
            logs["data_cycle_loss"] = F.mse_loss(back.float(), x)
            ge = ge + o.data_cycle * logs["data_cycle_loss"]
        return {"D": d, "GE": ge, **logs}

    def penalty(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            x, e = real_pair(n, b)
        r1 = gradient_penalty(plain(n.D), x, e)
        return {"D": r1_weight * r1_every * r1, "r1": r1}

    phases = [Phase(step)]
    if r1_weight:
        phases.append(Phase(penalty, ("D",), every=r1_every))
    noise = {"z": Noise((latent_dim,), prior)}
    if o.stochastic:
        noise["noise"] = Noise((latent_dim,))
    return System(networks, {"D": ("D",), "GE": ("G", "E")}, tuple(phases), noise=noise)
