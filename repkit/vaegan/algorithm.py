"""Internal. VAE-GAN: Larsen et al. 2016.

E and G are a VAE whose likelihood is measured in a hidden layer D_l of a discriminator (their
equations 7 and 8), and G is also the generator of a GAN. With ``x^ = G(z)``, z drawn from q(z|x),
and ``x_p = G(z_p)``, z_p drawn from the prior, algorithm 1 descends

    E:  L_prior + L_like              L_prior = KL(q(z|x) || N(0, I))
    G:  gamma L_like - L_GAN          L_like = |D_l(x) - D_l(x^)|^2 / 2
    D:  L_GAN, that is -[log D(x) + (log(1 - D(x_p)) + log(1 - D(x^))) / 2]

each by its own parameters only: the likelihood never reaches D, nor the discriminator's verdict E.
The signs are those of losses that are minimized, and G's part of L_GAN is the one that does not
saturate. Greater logits mean "real".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import cached

from repkit.base.parameters import (
    check_parameters,
    choice,
    flag,
    function,
    number,
    parameters,
    part,
)
from repkit.base.parts import Discriminator
from repkit.engine.batches import Batch, to_float
from repkit.engine.compiling import plain
from repkit.engine.ranks import averaged
from repkit.engine.system import Noise, Phase, System
from repkit.losses import (
    ADVERSARIAL,
    draw,
    gradient_penalty,
    half_squared_error,
    kl_from_standard,
)
from repkit.schedules import early_rise

__all__ = ["Objective", "vaegan"]

REAL, GENERATED, RECONSTRUCTED = range(3)
EQUILIBRIUM, MARGIN = 0.68, 0.35  # of the authors' balance rule, in nats


@parameters
class Objective:
    """What the paper's losses are, and what is added to them.

    Parameters
    ----------
    discriminator_kind : {"two_way", "three_way"}, default="two_way"
        D tells real samples from both kinds of fakes; or real, generated and reconstructed ones
        apart by a softmax over three. G wants both of its kinds called real.
    discriminator : Discriminator or its network, default="auto"
        Its ``loss``, if it is two-way, and its ``r1``; the network is read by the estimator.
    beta : float, default=1.0
        Weight of L_prior in E, times the schedule ``kl_weight``.
    gamma : float, default=5.0
        Weight in G of L_like over the number of features of D_l.
    pixel : float, default=0.0
        Weight of half the squared error of pixels, added to L_like in E and, over their number, in
        G.
    balanced_steps : bool, default=False
        The rule of the authors' code: no step of D while one of its two costs is below .68 - .35,
        none of G while one is above .68 + .35; both step where neither would.
    augment : callable, optional
        Maps a float batch to one of the same shape: the data are then what it gives.
    """

    discriminator_kind: str = choice("two_way", "three_way", default="two_way")
    discriminator: Any = part(Discriminator, default="auto")
    beta: float = number(default=1.0)
    gamma: float = number(default=5.0)
    pixel: float = number(default=0.0)
    balanced_steps: bool = flag(default=False)
    augment: Callable[[Tensor], Tensor] | None = function(default=None)


def vaegan(
    networks: Mapping[str, nn.Module],
    *,
    latent_dim: int,
    objective: Objective | None = None,
    prepare: Callable[[Tensor], Tensor] = to_float,
    r1_every: int = 16,
) -> System:
    """Make the system of encoder, generator and discriminator.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        E: ``x -> (n, 2 * latent_dim)``, means and log variances; G: ``z -> x`` in (0, 1); D:
        ``x -> (hidden, logits)``, features ``(n, ...)`` and ``(n, 1)`` or, three-way, ``(n, 3)``.
    latent_dim : int
        Components of z.
    objective : Objective, optional
        Its defaults, if there is none.
    prepare : callable
        Stored rows to what the networks see.
    r1_every : int, default=16
        Steps between penalties on D; each then counts so many times.

    Returns
    -------
    System
        With the groups E, G and D.
    """
    o = check_parameters(objective or Objective())
    three_way, r1_weight = o.discriminator_kind == "three_way", o.discriminator.r1
    costs = three_way_costs if three_way else two_way_costs(o.discriminator.loss)

    def data(b: Batch) -> Tensor:
        x = prepare(b.x)
        return x if o.augment is None else o.augment(x)

    def step(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        x = data(b)
        posterior = n.E(x)
        kl = kl_from_standard(posterior)
        z = draw(posterior, b.noise)
        # One pass of G and of D over both kinds of fakes: batch norm keeps real and fake apart.
        fakes = n.G(torch.cat([z, b.z]))
        with cached():  # the spectral norms of weights
            (hidden, real), (hidden_fakes, judged) = n.D(x), n.D(fakes)
        fake_back, fake = judged.chunk(2)
        like = similarity(hidden_fakes[: len(x)], hidden)
        d_real, d_fake, g = costs(real, fake, fake_back)
        gamma = o.gamma / hidden[0].numel()
        e_loss, g_loss = o.beta * b.kl_weight * kl + like, gamma * like + g
        if o.pixel:
            error = half_squared_error(fakes[: len(x)], x)
            e_loss = e_loss + o.pixel * error
            g_loss = g_loss + o.pixel / x[0].numel() * error
        terms = {
            "E": e_loss,
            "G": g_loss,
            "D": d_real + d_fake,
            "kl": kl,
            "similarity_loss": like,
            "adversarial_loss": g,
            "d_real": called_real(real),
            "d_fake": called_real(fake),
            "d_reconstructed": called_real(fake_back),
        }
        if o.balanced_steps:
            d_steps, g_steps = who_steps(averaged(d_real), averaged(d_fake))
            terms |= {"skip_D": ~d_steps, "skip_G": ~g_steps}
        return terms

    def penalty(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        D = plain(n.D)
        r1 = gradient_penalty(lambda x: reality(D(x)[1]), data(b))
        return {"D": r1_weight * r1_every * r1, "r1": r1}

    phases = [Phase(step)]
    if r1_weight:
        phases.append(Phase(penalty, ("D",), every=r1_every))
    return System(
        networks,
        {"E": ("E",), "G": ("G",), "D": ("D",)},
        tuple(phases),
        noise={"noise": Noise((latent_dim,)), "z": Noise((latent_dim,))},
        schedules={"kl_weight": early_rise},
    )


def similarity(found: Tensor, wanted: Tensor) -> Tensor:
    """L_like: half the squared distance of features, a sum over them and a mean over rows.

    The scale of a discriminator's features drifts as it trains. They are divided by the standard
    deviation of those of the wanted samples, one number for all, so that a feature's variance is 1
    on average: what the likelihood of the paper assumes.
    """
    found, wanted = found.flatten(1).float(), wanted.flatten(1).float()
    variance = averaged((wanted - averaged(wanted.mean(0))).square().mean()).clamp_min(1e-8)
    return 0.5 * (found - wanted).square().sum(1).mean() / variance


def two_way_costs(loss: str) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """What D pays for real samples and for fakes, half for each kind, and what G pays."""
    adversarial = ADVERSARIAL[loss]

    def costs(real: Tensor, fake: Tensor, fake_back: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d_fake = 0.5 * (adversarial.fake(fake) + adversarial.fake(fake_back))
        g = 0.5 * (adversarial.seem_real(fake) + adversarial.seem_real(fake_back))
        return adversarial.real(real), d_fake, g

    return costs


def three_way_costs(real: Tensor, fake: Tensor, fake_back: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same where D names one of three kinds: cross-entropies of its softmax."""

    def cost(logits: Tensor, kind: int) -> Tensor:
        return -F.log_softmax(logits.float(), 1)[:, kind].mean()

    d_fake = 0.5 * (cost(fake, GENERATED) + cost(fake_back, RECONSTRUCTED))
    return cost(real, REAL), d_fake, 0.5 * (cost(fake, REAL) + cost(fake_back, REAL))


def reality(logits: Tensor) -> Tensor:
    """The logit of "real" against all else, two-way or three-way: ``(n, 1 or 3) -> (n, 1)``."""
    if logits.shape[1] == 1:
        return logits
    return logits[:, :1] - logits[:, 1:].logsumexp(1, keepdim=True)


def called_real(logits: Tensor) -> Tensor:
    """The share of rows that D calls real."""
    return (reality(logits) > 0).float().mean()


def who_steps(d_real: Tensor, d_fake: Tensor) -> tuple[Tensor, Tensor]:
    """Whether D steps, and whether G does, on the device."""
    least, greatest = torch.minimum(d_real, d_fake), torch.maximum(d_real, d_fake)
    d_steps, g_steps = least >= EQUILIBRIUM - MARGIN, greatest <= EQUILIBRIUM + MARGIN
    neither = ~(d_steps | g_steps)
    return d_steps | neither, g_steps | neither
