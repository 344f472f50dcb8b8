"""VAE-GAN: Larsen et al. 2016.

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
from dataclasses import dataclass
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import cached

from repkit.engine.batches import Batch, to_float
from repkit.engine.system import Noise, Phase, System
from repkit.losses import ADVERSARIAL, LIKELIHOODS, draw, gradient_penalty, kl_from_standard
from repkit.vae.algorithm import rising

REAL, GENERATED, RECONSTRUCTED = range(3)
EQUILIBRIUM, MARGIN = 0.68, 0.35  # of the authors' balance rule, in nats


@dataclass(frozen=True)
class Objective:
    """The weights of the losses, and the kind of discriminator.

    Parameters
    ----------
    discriminator : {"two_way", "three_way"}
        D tells real from both kinds of fakes, or real, generated and reconstructed samples apart
        by a softmax over three; G then wants both of its kinds called real.
    loss : {"logistic", "hinge"}
        Of the two-way discriminator.
    beta : float
        Weight of L_prior in E.
    gamma : float
        Weight in G of L_like over the number of features of D_l.
    pixel : float
        Weight of the squared error of pixels, added to L_like in E and, over their number, in G.
    r1 : float
        Weight of the gradient penalty of D on real samples.
    r1_every : int
        Steps between penalties; each then counts so many times.
    balance : bool
        The rule of the authors' code: no step of D while one of its two costs is below .68 - .35,
        none of G while one is above .68 + .35; both step where neither would.
    augment : callable, optional
        Maps a float batch of images to another: the data are then its images.
    """

    discriminator: str = "two_way"
    loss: str = "logistic"
    beta: float = 1.0
    gamma: float = 1.0
    pixel: float = 0.0
    r1: float = 0.0
    r1_every: int = 16
    balance: bool = False
    augment: Callable[[Tensor], Tensor] | None = None


def vaegan(
    networks: Mapping[str, nn.Module],
    *,
    latent_dim: int,
    objective: Objective = Objective(),
    prepare: Callable[[Tensor], Tensor] = to_float,
) -> System:
    """The system with the networks E, G and D.

    Parameters
    ----------
    networks : mapping
        E: ``x -> (n, 2 * latent_dim)``, means and log variances; G: ``z -> x`` in (0, 1); D:
        ``x -> (hidden, logits)``, features ``(n, ...)`` and ``(n, 1)`` or, three-way, ``(n, 3)``.
    latent_dim : int
    objective : Objective
    prepare : callable
        Stored rows to what the networks see.
    """
    o = objective
    costs = three_way_costs if o.discriminator == "three_way" else two_way_costs(o.loss)

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
            error = LIKELIHOODS["gaussian"](fakes[: len(x)], x)
            e_loss = e_loss + o.pixel * error
            g_loss = g_loss + o.pixel / x[0].numel() * error
        d_loss = d_real + d_fake
        if o.balance:
            d_steps, g_steps = who_steps(d_real, d_fake)
            d_loss, g_loss = d_steps * d_loss, g_steps * g_loss
        return {
            "E": e_loss,
            "G": g_loss,
            "D": d_loss,
            "kl": kl,
            "similarity_loss": like,
            "adversarial_loss": g,
            "d_real": called_real(real),
            "d_fake": called_real(fake),
            "d_reconstructed": called_real(fake_back),
        }

    def penalty(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        r1 = gradient_penalty(lambda x: reality(n.D(x)[1]), data(b))
        return {"D": o.r1 * o.r1_every * r1, "r1": r1}

    phases = [Phase(step)]
    if o.r1:
        phases.append(Phase(penalty, ("D",), every=o.r1_every))
    return System(
        networks,
        {"E": ("E",), "G": ("G",), "D": ("D",)},
        tuple(phases),
        noise={"noise": Noise((latent_dim,)), "z": Noise((latent_dim,))},
        schedules={"kl_weight": rising},
    )


def similarity(found: Tensor, wanted: Tensor) -> Tensor:
    """L_like: half the squared distance of features, a sum over them and a mean over rows.

    The scale of a discriminator's features drifts as it trains. They are divided by the standard
    deviation of those of the wanted samples, one number for all, so that a feature's variance is 1
    on average: what the likelihood of the paper assumes.
    """
    found, wanted = found.flatten(1).float(), wanted.flatten(1).float()
    variance = (wanted - wanted.mean(0)).square().mean().clamp_min(1e-8)
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
    """1 or 0 for D and for G, on the device."""
    least, greatest = torch.minimum(d_real, d_fake), torch.maximum(d_real, d_fake)
    d_steps, g_steps = least >= EQUILIBRIUM - MARGIN, greatest <= EQUILIBRIUM + MARGIN
    neither = ~(d_steps | g_steps)
    return (d_steps | neither).detach().float(), (g_steps | neither).detach().float()
