"""Internal. Triple-GAN: Li et al. 2017.

A classifier C(y|x), a generator G(y, z) and a discriminator D of pairs (x, y), with the utility
(their equation 2)

    min_{C,G} max_D  E_p log D(x, y) + alpha E_c log(1 - D(x, y))
                     + (1 - alpha) E_g log(1 - D(x, y)),

in which p are true pairs, c are real samples with labels of the classifier and g are generated
samples with the labels that they were made of. What each descends, with l the logit of a pair and
sp = softplus:

    D:  E_p sp(-l) + alpha E_c' sp(l) + (1 - alpha) E_g sp(l)
    G:  (1 - alpha) E_g sp(-l)
    C:  CE(labeled) + alpha E_c sp(-l) + entropy, balance, consistency, pseudo-discriminative

G and C have the form that does not saturate. A greater logit means "true pair".

C' is the average of C over the steps (an exponential moving average). It gives every label that is
taken as given: the labels of c in D's loss, the pseudo-labels of the consistency term, and the
labels of unlabeled samples among the true pairs. Those are there because D would learn the few
labeled pairs by heart. The authors' code takes the labels of C itself for both kinds of D's pairs;
labels that change less from step to step are easier for D to follow. C meets D with its own
predictions, through which its gradient goes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import cached

from repkit.base.parameters import (
    check_parameters,
    function,
    number,
    parameters,
    part,
)
from repkit.base.parts import Consistency
from repkit.engine.batches import Batch, to_float
from repkit.engine.modes import norms, still
from repkit.engine.ranks import averaged, pooled
from repkit.engine.system import Noise, Phase, System
from repkit.losses import entropy, weighted_cross_entropy
from repkit.schedules import rise
from repkit.triplegan.parts import AdversarialTerm, PseudoDiscriminative

__all__ = ["Objective", "triplegan"]

Augment = Callable[[Tensor], Tensor]


@parameters
class Objective:
    """The utility of the paper, and the terms that C has besides.

    Parameters
    ----------
    alpha : float or AdversarialTerm, default=0.5
        Share of the classifier's pairs among D's fakes, and weight of the adversarial term in C.
        Its ``expectation`` over the classifier's labels is summed over all classes, or taken of the
        likeliest class alone as in the authors' code, where C pays ``max_k C(k|x) sp(-l(x, k))``.
    entropy : float, default=0.3
        Weight of the entropy of C's predictions for unlabeled samples.
    balance : float, default=0.1
        Weight of ``-mean_k log mean_x C(k|x)``, which asks that all classes are used.
    consistency : float or Consistency, default=1.0
        Weight of the cross-entropy of C's predictions for strongly augmented samples against the
        labels that the averaged classifier gives the plain ones, where it is sure of them.
    pseudo_discriminative : float or PseudoDiscriminative, default=0.1
        Weight of C's cross-entropy on generated samples.
    adversary_start : float, default=0.3
        Progress, from 0 to 1, before which C heeds neither G nor D.
    augment : callable, optional
        Maps a float batch to one of the same shape: the plain views of all samples.
    strong_augment : callable, optional
        The same, for the views of unlabeled samples that C learns from; by default, the plain ones.
    """

    alpha: Any = part(AdversarialTerm, default=0.5)
    entropy: float = number(default=0.3)
    balance: float = number(default=0.1)
    consistency: Any = part(Consistency, default=1.0)
    pseudo_discriminative: Any = part(PseudoDiscriminative, default=0.1)
    adversary_start: float = number(0.0, 1.0, default=0.3)
    augment: Augment | None = function(default=None)
    strong_augment: Augment | None = function(default=None)


def triplegan(
    networks: Mapping[str, nn.Module],
    *,
    n_labeled: int,
    n_classes: int,
    latent_dim: int,
    objective: Objective | None = None,
    prepare: Callable[[Tensor], Tensor] = to_float,
) -> System:
    """Make the system of classifier, generator and discriminator, or of the classifier alone.

    The engine must keep averaged networks.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        C: ``x -> (n, n_classes)`` logits; G: ``(z, one-hot y) side by side -> x``;
        D: ``x -> (n, n_classes)``, the logit of the pair of x with each class. Without G and D,
        C is trained with every term that needs neither.
    n_labeled : int
        Rows of a batch that are labeled, the first ones. No other label is read. Batches may have a
        ``weight`` of each row, for the label loss.
    n_classes : int
        Number of classes.
    latent_dim : int
        Components of z.
    objective : Objective, optional
        Its defaults, if there is none.
    prepare : callable
        Stored rows to what the networks see.

    Returns
    -------
    System
        With the groups C, G and D, or C alone.
    """
    o = check_parameters(objective or Objective())
    consistency, pseudo = o.consistency, o.pseudo_discriminative
    adversaries = "G" in networks
    alpha, argmax = o.alpha.alpha, o.alpha.expectation == "argmax"

    def step(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        x, y = prepare(b.x), b.y[:n_labeled]
        plain = x if o.augment is None else o.augment(x)
        strong = plain if o.strong_augment is None else o.strong_augment(x)
        with torch.no_grad():
            guess = F.softmax(n.ema.C(plain[n_labeled:]).float(), 1)
        sure, label = guess.max(1)

        logits = n.C(torch.cat([plain[:n_labeled], strong[n_labeled:]])).float()
        free = logits[n_labeled:]
        weight = getattr(b, "weight", None)
        terms = {"label_loss": weighted_cross_entropy(logits[:n_labeled], y, weight)}
        c_loss = terms["label_loss"]
        if consistency.weight:
            certain = (sure >= consistency.threshold).float()
            terms["consistency_loss"] = (
                F.cross_entropy(free, label, reduction="none") * certain
            ).mean()
            c_loss = c_loss + consistency.weight * b.consistency_weight * terms["consistency_loss"]
            terms["certain"] = certain.mean()
        if o.entropy:
            terms["entropy"] = entropy(free).mean()
            c_loss = c_loss + o.entropy * terms["entropy"]
        if o.balance:
            terms["balance_loss"] = _balance(pooled(free))
            c_loss = c_loss + o.balance * terms["balance_loss"]
        if not adversaries:
            return {"C": c_loss, **terms}

        fake = n.G(torch.cat([b.z, b.code], 1))
        wanted = b.code.argmax(1)
        with cached():  # the spectral norms of weights
            real, generated = n.D(x).float(), _of_class(n.D(fake).float(), wanted)
        unlabeled = real[n_labeled:]
        drawn = _likeliest(torch.ones_like(guess), label) if argmax else guess
        true = torch.cat([_of_class(real[:n_labeled], y), _of_class(unlabeled, label)])
        d_loss = (
            F.softplus(-true).mean()
            + alpha * _expected(drawn, F.softplus(unlabeled))
            + (1.0 - alpha) * F.softplus(generated).mean()
        )
        p = F.softmax(free, 1)
        terms["adversarial_loss"] = _expected(
            _likeliest(p, p.argmax(1)) if argmax else p, F.softplus(-unlabeled)
        )
        heeded = alpha * terms["adversarial_loss"]
        if pseudo.weight:
            shown = fake if o.augment is None else o.augment(fake)
            with torch.no_grad():
                agreed = averaged((n.ema.C(shown).argmax(1) == wanted).float().mean())
            # The running statistics of C are those of data.
            with still(norms(n.C)):
                told = n.C(shown).float()
            terms["pseudo_discriminative_loss"] = F.cross_entropy(told, wanted)
            terms["generator_accuracy"] = agreed
            counts = pseudo.weight * (agreed >= pseudo.gate).float()
            heeded = heeded + counts * terms["pseudo_discriminative_loss"]
        return {
            "C": c_loss + b.heed * heeded,
            "G": (1.0 - alpha) * F.softplus(-generated).mean(),
            "D": d_loss,
            **terms,
            "d_real": (true > 0).float().mean(),
            "d_fake": (generated > 0).float().mean(),
        }

    schedules = {}
    if consistency.weight:
        schedules["consistency_weight"] = rise(consistency.start)
    noise = {}
    if adversaries:
        schedules["heed"] = lambda progress: float(progress >= o.adversary_start)
        noise = {"z": Noise((latent_dim,)), "code": Noise((n_classes,), "onehot")}
    groups = {name: (name,) for name in ("C", "G", "D") if name in networks}
    return System(networks, groups, (Phase(step),), noise=noise, schedules=schedules)


def _of_class(pairs: Tensor, y: Tensor) -> Tensor:
    """The logit of each row's pair with its class: ``(n, classes), (n,) -> (n,)``."""
    return pairs.gather(1, y[:, None])[:, 0]


def _expected(p: Tensor, costs: Tensor) -> Tensor:
    """The mean cost under labels drawn from p, over rows: ``(n, classes) twice -> ()``."""
    return (p * costs).sum(1).mean()


def _likeliest(p: Tensor, y: Tensor) -> Tensor:
    """P with the share of one class alone: ``(n, classes), (n,) -> (n, classes)``."""
    # Not F.one_hot, for which the host looks at the classes.
    return p * torch.zeros_like(p).scatter_(1, y[:, None], 1.0)


def _balance(logits: Tensor) -> Tensor:
    """Cross-entropy of the mean prediction against equal shares: ``-mean_k log mean_x C(k|x)``.

    Taken from logarithms throughout, so that a class which no row predicts any more still has a
    gradient.
    """
    log_p = F.log_softmax(logits.float(), 1)
    return math.log(len(logits)) - torch.logsumexp(log_p, 0).mean()
