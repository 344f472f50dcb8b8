"""BiGAN: Donahue et al. 2017; ALI: Dumoulin et al. 2017; unary terms: Donahue and Simonyan 2019.

D tells pairs (x, E(x)), x real, from pairs (G(z), z), z from the prior,

    min_{G,E} max_D  E log D(x, E(x)) + E log(1 - D(G(z), z))          (equation 3 of BiGAN),

and G and E are trained with the inverse labels: G wants its pairs called real, E wants the real
ones called generated. Greater logits mean "x is real".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.engine.batches import Batch, to_float
from repkit.engine.modes import norms, still
from repkit.engine.system import Noise, Phase, System
from repkit.losses import ADVERSARIAL, draw, gradient_penalty


@dataclass(frozen=True)
class Objective:
    """What the paper's losses are, and what is added to them.

    Parameters
    ----------
    loss : {"logistic", "hinge"}
    stochastic : bool
        E gives means and log variances, and z is drawn from them (ALI, equation 4).
    latent_cycle : float
        Weight of ``|z - E(G(z))|^2``, a mean over components, for E alone: were G trained by it
        too, it could hide z in details that no eye finds.
    data_cycle : float
        Weight of ``|x - G(E(x))|^2``, a mean over components, for G and E (ALICE, Li et al. 2017).
    r1 : float
        Weight of the gradient penalty on real pairs.
    r1_every : int
        Steps between penalties; each then counts so many times.
    augment : callable, optional
        Maps a float batch of images to another: the data are then its images.
    """

    loss: str = "logistic"
    stochastic: bool = False
    latent_cycle: float = 0.0
    data_cycle: float = 0.0
    r1: float = 0.0
    r1_every: int = 16
    augment: Callable[[Tensor], Tensor] | None = None


def bigan(
    networks: Mapping[str, nn.Module],
    *,
    latent_dim: int,
    prior: str = "uniform",
    objective: Objective = Objective(),
    prepare: Callable[[Tensor], Tensor] = to_float,
) -> System:
    """The system with the networks E, G and D.

    Parameters
    ----------
    networks : mapping
        E: ``x -> (n, latent_dim)``, twice as many columns if stochastic; G: ``z -> x``;
        D: ``(x, z) -> (n, judgments)`` logits.
    latent_dim : int
    prior : {"uniform", "normal"}
        The law of z: on [-1, 1], or N(0, 1).
    objective : Objective
    prepare : callable
        Stored rows to what the networks see.
    """
    o = objective
    adversarial = ADVERSARIAL[o.loss]

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
        r1 = gradient_penalty(n.D, x, e)
        return {"D": o.r1 * o.r1_every * r1, "r1": r1}

    phases = [Phase(step)]
    if o.r1:
        phases.append(Phase(penalty, ("D",), every=o.r1_every))
    noise = {"z": Noise((latent_dim,), prior)}
    if o.stochastic:
        noise["noise"] = Noise((latent_dim,))
    return System(networks, {"D": ("D",), "GE": ("G", "E")}, tuple(phases), noise=noise)
