"""InfoGAN: Chen et al. 2016; contrastive regularizer: Lin et al. 2020 (InfoGAN-CR).

G makes a sample of noise z and codes c; the body B of the discriminator serves two heads: D judges
real or generated, Q says which codes a sample was made with. With L_I the bound on the mutual
information between codes and sample, -E log Q(c | G(z, c)) being `losses.code_loss`,

    min_{G,Q} max_D  V(D, G) - lam L_I(G, Q)                           (equation 6).

As in the authors' code the term is in both players' losses: B, D and Q take one step, G the other.
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
from repkit.losses import ADVERSARIAL, code_loss, gradient_penalty, paired_information


@dataclass(frozen=True)
class Codes:
    """What G is told beside the noise: categories, each of so many values, and numbers on [-1, 1].

    The input of G is (noise, one-hot codes, continuous codes); the output of Q is (logits of each
    category, means, and log variances if they are learned).
    """

    categorical: tuple[int, ...] = (10,)
    continuous: int = 2
    noise_dim: int = 62
    learned_variance: bool = False

    @property
    def latent_dim(self) -> int:
        return self.noise_dim + self.width

    @property
    def width(self) -> int:
        return sum(self.categorical) + self.continuous

    @property
    def q_dim(self) -> int:
        return self.width + self.continuous * self.learned_variance

    def noise(self, suffix: str = "") -> dict[str, Noise]:
        """What the engine draws, by name."""
        drawn = {f"c{k}{suffix}": Noise((n,), "onehot") for k, n in enumerate(self.categorical)}
        if self.continuous:
            drawn[f"u{suffix}"] = Noise((self.continuous,), "uniform")
        if self.noise_dim:
            drawn[f"z{suffix}"] = Noise((self.noise_dim,), "uniform")
        return drawn

    def latent(self, b: Batch, suffix: str = "") -> Tensor:
        """The input of G, ``(n, latent_dim)``."""
        names = ["z"] if self.noise_dim else []
        names += [f"c{k}" for k in range(len(self.categorical))]
        names += ["u"] if self.continuous else []
        return torch.cat([getattr(b, name + suffix) for name in names], 1)

    def split(self, q: Tensor) -> tuple[list[Tensor], Tensor, Tensor | None]:
        """Q's output, or the codes' part of a latent: categories, continuous, log variances."""
        sizes = [*self.categorical, self.continuous]
        parts = list(q[:, : self.width].split(sizes, 1))
        log_variances = None
        if self.learned_variance and q.shape[1] > self.width:
            # Unbounded, the likelihood could grow without end.
            log_variances = q[:, self.width :].float().clamp(-6.0, 2.0)
        return parts[:-1], parts[-1], log_variances

    def loss(self, q: Tensor, latent: Tensor) -> Tensor:
        """`losses.code_loss` of every code, for the latents that the samples were made of."""
        logits, means, log_variances = self.split(q)
        codes, values, _ = self.split(latent[:, self.noise_dim :])
        return code_loss(logits, codes, means, values, log_variances)


@dataclass(frozen=True)
class Objective:
    """The weights and forms of the losses.

    Parameters
    ----------
    loss : {"logistic", "hinge"}
    lam_categorical, lam_continuous : float
        Weight of the information about each kind of code.
    alternating : bool
        D's step, then G's on new noise, as in the authors' code; False: both from one forward pass.
    r1, r1_every : float, int
        Weight of the gradient penalty on real samples, and steps between two.
    contrastive : float
        Weight of the loss with which H finds the one continuous code that two samples share, in H
        and G (Lin et al. 2020, equation 5).
    invariance : float
        Weight of `losses.paired_information` on two views of real samples, in B and Q: a sample's
        category is to survive ``view_augment``.
    augment : callable, optional
        Float batch to float batch; real and generated samples go through it on the way to B. It
        must have a gradient.
    view_augment : callable, optional
        Makes the second view; None: ``augment``.
    """

    loss: str = "logistic"
    lam_categorical: float = 1.0
    lam_continuous: float = 1.0
    alternating: bool = True
    r1: float = 0.0
    r1_every: int = 16
    contrastive: float = 0.0
    invariance: float = 0.0
    augment: Callable[[Tensor], Tensor] | None = None
    view_augment: Callable[[Tensor], Tensor] | None = None


def infogan(
    networks: Mapping[str, nn.Module],
    *,
    codes: Codes,
    objective: Objective = Objective(),
    prepare: Callable[[Tensor], Tensor] = to_float,
) -> System:
    """The system with the networks G, B, D, Q and, for the contrastive term, H.

    Parameters
    ----------
    networks : mapping
        G: ``(n, codes.latent_dim) -> x``; B: ``x -> features``; D: ``features -> (n, 1)`` logits;
        Q: ``features -> (n, codes.q_dim)``; H: ``(x, x') -> (n, codes.continuous)`` logits.
    codes : Codes
    objective : Objective
    prepare : callable
        Stored rows to what the networks see.
    """
    o = objective
    adversarial = ADVERSARIAL[o.loss]
    view = o.augment or (lambda x: x)

    def judge(n: SimpleNamespace, b: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Generated samples, D's logits of them, and the weighted loss of their codes."""
        latent = codes.latent(b)
        fake = n.G(latent)
        # The running statistics of B and Q are those of real samples, for which they are used.
        with still(norms(n.B, n.Q)):
            features = n.B(view(fake))
            q = n.Q(features)
        terms = codes.loss(q, latent)
        k = len(codes.categorical)
        information = o.lam_categorical * terms[:k].sum() + o.lam_continuous * terms[k:].sum()
        return fake, n.D(features), information

    def judge_real(n: SimpleNamespace, b: Batch) -> tuple[Tensor, Tensor | None]:
        """D's logits of real samples, and how little their categories survive a change of view."""
        x = prepare(b.x)
        features = n.B(view(x))
        with torch.set_grad_enabled(bool(o.invariance)):
            q, _, _ = codes.split(n.Q(features))  # always run, for the running statistics
        if not o.invariance:
            return n.D(features), None
        other, _, _ = codes.split(n.Q(n.B((o.view_augment or view)(x))))
        pairs = zip(q, other, strict=True)
        return n.D(features), torch.stack([paired_information(*pair) for pair in pairs]).sum()

    def share(n: SimpleNamespace, b: Batch, fake: Tensor) -> Tensor:
        """Cross-entropy of H: which continuous code do two samples have in common?"""
        b.u_other = torch.where(b.common > 0, b.u, b.u_other)
        other = n.G(codes.latent(b, "_other"))
        return F.cross_entropy(n.H(fake, other).float(), b.common)

    def d_terms(
        n: SimpleNamespace, b: Batch, fake: Tensor, information: Tensor
    ) -> dict[str, Tensor]:
        real, change = judge_real(n, b)
        terms = {
            "D": adversarial.real(real) + adversarial.fake(fake) + information,
            "d_real": (real > 0).float().mean(),
            "d_fake": (fake > 0).float().mean(),
            "information_loss": information,
        }
        if change is not None:
            terms["D"] = terms["D"] + o.invariance * change
            terms["invariance_loss"] = change
        return terms

    def g_terms(
        n: SimpleNamespace, b: Batch, sample: Tensor, fake: Tensor, information: Tensor
    ) -> dict[str, Tensor]:
        seem = adversarial.seem_real(fake)
        terms = {"G": seem + information, "adversarial_loss": seem}
        if o.contrastive:
            terms["H"] = terms["contrastive_loss"] = share(n, b, sample)
            terms["G"] = terms["G"] + o.contrastive * terms["H"]
        return terms

    def discriminator(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        _, fake, information = judge(n, b)
        return d_terms(n, b, fake, information)

    def generator(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        return g_terms(n, b, *judge(n, b))

    def both(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        sample, fake, information = judge(n, b)
        return {
            **d_terms(n, b, fake, information),
            **g_terms(n, b, sample, fake, information),
        }

    def penalty(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        r1 = gradient_penalty(lambda x: n.D(n.B(x)), view(prepare(b.x)))
        return {"D": o.r1 * o.r1_every * r1, "r1": r1}

    groups = {"D": ("B", "D", "Q"), "G": ("G",)}
    noise = codes.noise()
    if o.contrastive:
        groups["H"] = ("H",)
        noise |= codes.noise("_other") | {"common": Noise((codes.continuous,), "onehot")}
    phases = [Phase(both)]
    if o.alternating:
        players = tuple(group for group in groups if group != "D")
        phases = [Phase(discriminator, ("D",)), Phase(generator, players, fresh=True)]
    if o.r1:
        phases.append(Phase(penalty, ("D",), every=o.r1_every))
    return System(networks, groups, tuple(phases), noise=noise)
