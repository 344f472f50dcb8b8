"""Internal. InfoGAN: Chen et al. 2016; contrastive regularizer: Lin et al. 2020 (InfoGAN-CR).

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
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.base.parameters import check_parameters, choice, function, parameters, part
from repkit.base.parts import Discriminator
from repkit.engine.batches import Batch, to_float
from repkit.engine.compiling import plain
from repkit.engine.modes import norms, still
from repkit.engine.ranks import pooled
from repkit.engine.system import Noise, Phase, System
from repkit.infogan.parts import Categorical, Continuous
from repkit.losses import (
    ADVERSARIAL,
    bounded,
    code_loss,
    gradient_penalty,
    paired_information,
)

__all__ = ["Codes", "Objective", "infogan"]


@parameters
class Objective:
    """What the codes are, what the paper's losses are, and what is added to them.

    Parameters
    ----------
    categorical : Categorical or its sizes, default=(10,)
        The categorical codes. With an ``invariance``, B and Q also ascend
        `losses.paired_information` of two views of real samples.
    continuous : Continuous or its n, default=2
        The continuous codes. With ``contrastive``, H and G also descend the loss with which H finds
        the one continuous code that two samples share (Lin et al. 2020, equation 5).
    discriminator : Discriminator or its network, default="auto"
        Its ``loss`` and its ``r1``; the network is read by the estimator.
    updates : {"alternating", "joint"}, default="alternating"
        D's step and then G's on new noise, as in the authors' code; or both from one forward pass.
    augment : callable, optional
        Maps a float batch to one of the same shape, with a gradient; real and generated samples go
        through it on the way to B.
    strong_augment : callable, optional
        Makes the second view for ``invariance``. By default it is ``augment``.
    """

    categorical: Any = part(Categorical, default=(10,), kw_only=False)
    continuous: Any = part(Continuous, default=2, kw_only=False)
    discriminator: Any = part(Discriminator, default="auto")
    updates: str = choice("alternating", "joint", default="alternating")
    augment: Callable[[Tensor], Tensor] | None = function(default=None)
    strong_augment: Callable[[Tensor], Tensor] | None = function(default=None)


@dataclass(frozen=True)
class Codes:
    """Where each code stands in the input of G and in the output of Q.

    The input of G is (noise, one-hot codes, continuous codes); the output of Q is (logits of each
    category, means, and log variances if they are learned).

    Parameters
    ----------
    sizes : tuple of int
        Values of each categorical code.
    n_continuous : int
        Number of continuous codes, on [-1, 1].
    latent_dim : int
        Length of the noise z.
    learned_variance : bool, default=False
        Whether Q gives log variances.
    """

    sizes: tuple[int, ...]
    n_continuous: int
    latent_dim: int
    learned_variance: bool = False

    @classmethod
    def of(cls, categorical: Any, continuous: Any, latent_dim: int) -> Codes:
        """Lay out the codes of an `Objective`.

        Parameters
        ----------
        categorical : Categorical or tuple of int
            The categorical codes.
        continuous : Continuous or int
            The continuous codes.
        latent_dim : int
            Length of the noise z.

        Returns
        -------
        Codes
        """
        continuous = Continuous.of(continuous)
        sizes = tuple(int(n) for n in Categorical.of(categorical).sizes)
        return cls(sizes, continuous.n, latent_dim, continuous.variance == "learned")

    @property
    def input_dim(self) -> int:
        """Columns of the input of G."""
        return self.latent_dim + self.code_dim

    @property
    def code_dim(self) -> int:
        """Columns of the codes, one-hot ones included."""
        return sum(self.sizes) + self.n_continuous

    @property
    def q_dim(self) -> int:
        """Columns of the output of Q."""
        return self.code_dim + self.n_continuous * self.learned_variance

    def noise(self, suffix: str = "") -> dict[str, Noise]:
        """Name what the engine draws for a batch.

        Parameters
        ----------
        suffix : str, default=""
            Put behind each name.

        Returns
        -------
        dict of str to Noise
            Shape and law by name: ``c0`` and so on, ``u`` and ``z``, with the suffix.
        """
        drawn = {f"c{k}{suffix}": Noise((n,), "onehot") for k, n in enumerate(self.sizes)}
        if self.n_continuous:
            drawn[f"u{suffix}"] = Noise((self.n_continuous,), "uniform")
        if self.latent_dim:
            drawn[f"z{suffix}"] = Noise((self.latent_dim,), "uniform")
        return drawn

    def inputs(self, b: Batch, suffix: str = "") -> Tensor:
        """Join what was drawn to the input of G.

        Parameters
        ----------
        b : Batch
            With what `noise` names.
        suffix : str, default=""
            As given to `noise`.

        Returns
        -------
        Tensor of shape (n, input_dim)
            Its columns are z, the categorical codes one-hot, and the continuous codes.
        """
        names = ["z"] if self.latent_dim else []
        names += [f"c{k}" for k in range(len(self.sizes))]
        names += ["u"] if self.n_continuous else []
        return torch.cat([getattr(b, name + suffix) for name in names], 1)

    def split(self, q: Tensor) -> tuple[list[Tensor], Tensor, Tensor | None]:
        """Split the output of Q, or the codes' part of the input of G.

        Parameters
        ----------
        q : Tensor of shape (n, q_dim) or (n, code_dim)
            The columns of all codes.

        Returns
        -------
        categories : list of Tensor of shape (n, size)
            Logits, or one-hot codes.
        continuous : Tensor of shape (n, n_continuous)
            Means, or codes.
        log_variances : Tensor of shape (n, n_continuous) or None
            Those of Q, if they are learned.
        """
        parts = list(q[:, : self.code_dim].split([*self.sizes, self.n_continuous], 1))
        log_variances = None
        if self.learned_variance and q.shape[1] > self.code_dim:
            # Unbounded, the likelihood could grow without end.
            log_variances = bounded(q[:, self.code_dim :].float(), -6.0, 2.0)
        return parts[:-1], parts[-1], log_variances

    def loss(self, q: Tensor, inputs: Tensor) -> Tensor:
        """Take `losses.code_loss` of every code.

        Parameters
        ----------
        q : Tensor of shape (n, q_dim)
            The output of Q.
        inputs : Tensor of shape (n, input_dim)
            What G made the samples of.

        Returns
        -------
        Tensor of shape (codes,)
            In nats, categorical codes first.
        """
        logits, means, log_variances = self.split(q)
        codes, values, _ = self.split(inputs[:, self.latent_dim :])
        return code_loss(logits, codes, means, values, log_variances)


def infogan(
    networks: Mapping[str, nn.Module],
    *,
    latent_dim: int,
    objective: Objective | None = None,
    prepare: Callable[[Tensor], Tensor] = to_float,
    r1_every: int = 16,
) -> System:
    """Make the system of generator, discriminator and code reader.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        With ``codes = Codes.of(categorical, continuous, latent_dim)``, G: ``(n, codes.input_dim) ->
        x``; B: ``x -> features``; D: ``features -> (n, 1)`` logits; Q: ``features -> (n,
        codes.q_dim)``; for the contrastive term H: ``(x, x') -> (n, codes.n_continuous)`` logits.
    latent_dim : int
        Length of the noise z.
    objective : Objective, optional
        Its defaults, if there is none.
    prepare : callable
        Stored rows to what the networks see.
    r1_every : int, default=16
        Steps between penalties on D; each then counts so many times.

    Returns
    -------
    System
        With the groups D (of B, D and Q), G and, for the contrastive term, H.
    """
    o = check_parameters(objective or Objective())
    codes = Codes.of(o.categorical, o.continuous, latent_dim)
    adversarial, r1_weight = ADVERSARIAL[o.discriminator.loss], o.discriminator.r1
    invariance, contrastive = o.categorical.invariance, o.continuous.contrastive
    view = o.augment or (lambda x: x)

    def judge(n: SimpleNamespace, b: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Generated samples, D's logits of them, and the weighted loss of their codes."""
        inputs = codes.inputs(b)
        fake = n.G(inputs)
        # The running statistics of B and Q are those of real samples, for which they are used.
        with still(norms(n.B, n.Q)):
            features = n.B(view(fake))
            q = n.Q(features)
        terms = codes.loss(q, inputs)
        k = len(codes.sizes)
        information = o.categorical.weight * terms[:k].sum() + o.continuous.weight * terms[k:].sum()
        return fake, n.D(features), information

    def judge_real(n: SimpleNamespace, b: Batch) -> tuple[Tensor, Tensor | None]:
        """D's logits of real samples, and how little their categories survive a change of view."""
        x = prepare(b.x)
        features = n.B(view(x))
        with torch.set_grad_enabled(bool(invariance)):
            q, _, _ = codes.split(n.Q(features))  # always run, for the running statistics
        if not invariance:
            return n.D(features), None
        other, _, _ = codes.split(n.Q(n.B((o.strong_augment or view)(x))))
        pairs = [map(pooled, pair) for pair in zip(q, other, strict=True)]
        return n.D(features), torch.stack([paired_information(*pair) for pair in pairs]).sum()

    def share(n: SimpleNamespace, b: Batch, fake: Tensor) -> Tensor:
        """Cross-entropy of H: which continuous code do two samples have in common?"""
        b.u_other = torch.where(b.common > 0, b.u, b.u_other)
        other = n.G(codes.inputs(b, "_other"))
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
            terms["D"] = terms["D"] + invariance * change
            terms["invariance_loss"] = change
        return terms

    def g_terms(
        n: SimpleNamespace, b: Batch, sample: Tensor, fake: Tensor, information: Tensor
    ) -> dict[str, Tensor]:
        seem = adversarial.seem_real(fake)
        terms = {"G": seem + information, "adversarial_loss": seem}
        if contrastive:
            terms["H"] = terms["contrastive_loss"] = share(n, b, sample)
            terms["G"] = terms["G"] + contrastive * terms["H"]
        return terms

    def discriminator(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        _, fake, information = judge(n, b)
        return d_terms(n, b, fake, information)

    def generator(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        return g_terms(n, b, *judge(n, b))

    def joint(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        sample, fake, information = judge(n, b)
        return {
            **d_terms(n, b, fake, information),
            **g_terms(n, b, sample, fake, information),
        }

    def penalty(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        B, D = plain(n.B), plain(n.D)
        r1 = gradient_penalty(lambda x: D(B(x)), view(prepare(b.x)))
        return {"D": r1_weight * r1_every * r1, "r1": r1}

    groups = {"D": ("B", "D", "Q"), "G": ("G",)}
    noise = codes.noise()
    if contrastive:
        groups["H"] = ("H",)
        noise |= codes.noise("_other") | {"common": Noise((codes.n_continuous,), "onehot")}
    phases = [Phase(joint)]
    if o.updates == "alternating":
        players = tuple(group for group in groups if group != "D")
        phases = [Phase(discriminator, ("D",)), Phase(generator, players, fresh=True)]
    if r1_weight:
        phases.append(Phase(penalty, ("D",), every=r1_every))
    return System(networks, groups, tuple(phases), noise=noise)
