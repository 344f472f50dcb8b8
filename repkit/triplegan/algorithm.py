"""Triple-GAN: Li et al. 2017.

A classifier C(y|x), a generator G(y, z) and a discriminator D of pairs (x, y), with the utility
(their equation 2)

    min_{C,G} max_D  E_p log D(x, y) + alpha E_c log(1 - D(x, y))
                     + (1 - alpha) E_g log(1 - D(x, y)),

in which p are true pairs, c are real samples with C's labels and g are generated samples with the
labels that they were made of. What each descends, the generator's part in the form that does not
saturate:

    D:  E_p sp(-l) + alpha E_c sp(l) + (1 - alpha) E_g sp(l)          l the logit, sp = softplus
    G:  (1 - alpha) E_g sp(-l)
    C:  CE(labeled) + alpha adversarial + entropy, balance, consistency, pseudo-discriminative

True pairs are the labeled ones and, since so few of them would be learned by heart, unlabeled
samples with the label that the averaged classifier gives them. Greater logits mean "true pair".
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
from repkit.engine.modes import norms, still
from repkit.engine.system import Noise, Phase, System
from repkit.losses import entropy

Augment = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """The weights of the losses.

    Parameters
    ----------
    alpha : float
        Share of the classifier's pairs among D's fakes, and weight of the adversarial term in C.
    adversarial : {"exact", "argmax"}
        The expectation over C's labels: summed over all classes, or the likeliest one alone, as in
        the authors' code, ``max_k C(k|x) sp(-l(x, k))``.
    entropy : float
        Weight of the entropy of predictions for unlabeled samples.
    balance : float
        Weight of ``-mean_k log mean_x C(k|x)``: all classes are used.
    consistency : float
        Weight of the cross-entropy of a strongly augmented view against the label that the averaged
        classifier gives the plain one, where it is sure of it (FixMatch, Sohn et al. 2020).
    threshold : float
        How sure.
    pseudo : float
        Weight of the pseudo-discriminative term: cross-entropy on generated samples.
    gate : float
        The pseudo-discriminative term counts in a step only if the averaged classifier agrees with
        at least this share of the step's labels of generated samples.
    augment, view_augment : callable, optional
        Map a float batch of images to another: the plain views, and the strong ones.
    pretraining : float
        Share of the training before G and D are heeded by C.
    """

    alpha: float = 0.5
    adversarial: str = "exact"
    entropy: float = 0.3
    balance: float = 0.1
    consistency: float = 1.0
    threshold: float = 0.95
    pseudo: float = 0.1
    gate: float = 0.9
    augment: Augment | None = None
    view_augment: Augment | None = None
    pretraining: float = 0.3


def triplegan(
    networks: Mapping[str, nn.Module],
    *,
    n_labeled: int,
    n_classes: int,
    latent_dim: int,
    objective: Objective = Objective(),
    prepare: Callable[[Tensor], Tensor] = to_float,
) -> System:
    """The system with the networks C and, unless C is trained alone, G and D.

    Parameters
    ----------
    networks : mapping
        C: ``x -> (n, classes)`` logits; G: ``(z, one-hot y) side by side -> x``; D: ``x -> (n,
        classes)``, the logit of the pair of x with each class.
    n_labeled : int
        Rows of a batch that are labeled, the first ones; the others' labels are not read.
    n_classes, latent_dim : int
    objective : Objective
    prepare : callable
        Stored rows to what the networks see.
    """
    o = objective
    adversaries = "G" in networks
    argmax = o.adversarial == "argmax"

    def step(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        x, y = prepare(b.x), b.y[:n_labeled]
        plain = x if o.augment is None else o.augment(x)
        strong = plain if o.view_augment is None else o.view_augment(x)
        with torch.no_grad():
            guess = F.softmax(n.ema.C(plain[n_labeled:]).float(), 1)
        sure, label = guess.max(1)

        logits = n.C(torch.cat([plain[:n_labeled], strong[n_labeled:]])).float()
        free = logits[n_labeled:]
        terms = {"label_loss": F.cross_entropy(logits[:n_labeled], y)}
        c_loss = terms["label_loss"]
        if o.consistency:
            certain = (sure >= o.threshold).float()
            terms["consistency_loss"] = (
                F.cross_entropy(free, label, reduction="none") * certain
            ).mean()
            c_loss = c_loss + o.consistency * terms["consistency_loss"]
            terms["certain"] = certain.mean()
        if o.entropy:
            terms["entropy"] = entropy(free).mean()
            c_loss = c_loss + o.entropy * terms["entropy"]
        if o.balance:
            terms["balance_loss"] = balance(free)
            c_loss = c_loss + o.balance * terms["balance_loss"]
        if not adversaries:
            return {"C": c_loss, **terms}

        fake = n.G(torch.cat([b.z, b.code], 1))
        wanted = b.code.argmax(1)
        with cached():  # the spectral norms of weights
            real, generated = n.D(x).float(), of_class(n.D(fake).float(), wanted)
        unlabeled = real[n_labeled:]
        drawn = F.one_hot(label, n_classes) if argmax else guess
        true = torch.cat([of_class(real[:n_labeled], y), of_class(unlabeled, label)])
        d_loss = (
            F.softplus(-true).mean()
            + o.alpha * expected(drawn, F.softplus(unlabeled))
            + (1.0 - o.alpha) * F.softplus(generated).mean()
        )
        p = F.softmax(free, 1)
        terms["adversarial_loss"] = expected(likeliest(p) if argmax else p, F.softplus(-unlabeled))
        heeded = o.alpha * terms["adversarial_loss"]
        if o.pseudo:
            shown = fake if o.augment is None else o.augment(fake)
            with torch.no_grad():
                agreed = (n.ema.C(shown).argmax(1) == wanted).float().mean()
            # The running statistics of C are those of data.
            with still(norms(n.C)):
                told = n.C(shown).float()
            terms["pseudo_loss"] = F.cross_entropy(told, wanted)
            terms["generator_accuracy"] = agreed
            heeded = heeded + o.pseudo * (agreed >= o.gate).float() * terms["pseudo_loss"]
        return {
            "C": c_loss + b.heed * heeded,
            "G": (1.0 - o.alpha) * F.softplus(-generated).mean(),
            "D": d_loss,
            **terms,
            "d_real": (true > 0).float().mean(),
            "d_fake": (generated > 0).float().mean(),
        }

    groups = {name: (name,) for name in ("C", "G", "D") if name in networks}
    if not adversaries:
        return System(networks, groups, (Phase(step),))
    return System(
        networks,
        groups,
        (Phase(step),),
        noise={"z": Noise((latent_dim,)), "code": Noise((n_classes,), "onehot")},
        schedules={"heed": lambda progress: float(progress >= o.pretraining)},
    )


def of_class(pairs: Tensor, y: Tensor) -> Tensor:
    """The logit of each row's pair with its class: ``(n, classes), (n,) -> (n,)``."""
    return pairs.gather(1, y[:, None])[:, 0]


def expected(p: Tensor, costs: Tensor) -> Tensor:
    """The mean cost under labels drawn from p, over rows: ``(n, classes) twice -> ()``."""
    return (p * costs).sum(1).mean()


def likeliest(p: Tensor) -> Tensor:
    """P with the likeliest class's share alone: ``(n, classes) -> (n, classes)``."""
    return p * F.one_hot(p.argmax(1), p.shape[1])


def balance(logits: Tensor) -> Tensor:
    """Cross-entropy of the mean prediction against equal shares: ``-mean_k log mean_x C(k|x)``."""
    return -F.softmax(logits.float(), 1).mean(0).clamp_min(1e-6).log().mean()
