"""The speech auto-encoder of Chen et al. 2018 (arXiv 1803.10952; 1807.08089, stage 1).

Two encoders read an utterance x_i of speaker y_i: p_i = E_p(x_i), what is said, and s_i = E_s(x_i),
of length 1, who says it. R rebuilds the frames from p_i and the speaker vector of another segment
j(i) of the same speaker, and an adversary D looks for the speaker in p:

    A = (E_p, E_s, R):  rec + alpha spk - lambda L_D       rec = |R(p_i, s_j(i)) - x_i|^2
    D:                  L_D                                 per frame and column

    spk = E_same |s_i - s_j|^2 + E_different max(0, margin - |s_i - s_j|)^2     over all pairs
    L_D = CE(D(p_i), y_i), or [E_same sp(-l_ij) + E_different sp(l_ij)] / 2     sp = softplus

each descended by its own parameters only; l_ij is D's logit of "same speaker", symmetric in i and
j. The paper's own form of L_D is -E_i (D(p_i, p_j(i)) - D(p_i, p_k(i)))^2, with k(i) of another
speaker and a gradient penalty in D. p leaves E_p through batch norm: an encoder can otherwise win
by making p small. What E_p reads may be a perturbed view; what R rebuilds is not. Utterances of
unknown speaker, y = -1, only count in rec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.engine.batches import Batch
from repkit.engine.modes import norms, still
from repkit.engine.system import Phase, System
from repkit.schedules import dann_ramp
from repkit.speech.networks import inside
from repkit.speech.prototypes import Assignments

PENALTY = 10.0  # weight of the gradient penalty, as in the paper
Perturb = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Objective:
    """The weights of the losses.

    Parameters
    ----------
    swap : bool
        R gets another segment's speaker vector, rather than the utterance's own.
    speaker : float
        alpha.
    margin : float
        Between vectors of different speakers, at most 2.
    adversary : {"classifier", "pair", "wasserstein", None}
    adversary_weight : float
        The last lambda.
    start, warmup : float
        Shares of the training: before lambda rises, and over which it does.
    discriminator_steps : int
        Of D, for each step of A.
    prototypes : float
        Weight of the loss of `Assignments`.
    reconstruction_share : float
        Share of the gradient of rec that reaches E_p.
    quantize : float, optional
        Temperature at which R and D get p softly replaced by prototypes.
    quantize_start : float
        Share of the training before they do.
    cycle : float
        Weight in R of `cycle_loss`: a converted utterance is heard as the voice asked for, and says
        the same. R then has a group of its own.
    """

    swap: bool = True
    speaker: float = 1.0
    margin: float = 1.0
    adversary: str | None = "classifier"
    adversary_weight: float = 0.3
    start: float = 0.0
    warmup: float = 0.3
    discriminator_steps: int = 2
    prototypes: float = 1.0
    reconstruction_share: float = 1.0
    quantize: float | None = None
    quantize_start: float = 0.3
    cycle: float = 0.0


def speech(
    networks: Mapping[str, nn.Module],
    *,
    objective: Objective = Objective(),
    prepare: Callable[[Tensor, Tensor], Tensor] = lambda x, length: x * inside(length, x.shape[1]),
    perturb: Perturb | None = None,
    assignments: Assignments | None = None,
) -> System:
    """The system with the networks Ep, Es, R, and D and K where they are used.

    Parameters
    ----------
    networks : mapping
        Ep, Es: ``(x, length) -> (n, d)``; R: ``(p, s, length, T) -> (n, T, D)``; D: ``(n, d) ->``
        logits of speakers, or, of the features of pairs (`pair_features`), ``(pairs, 1)``; K:
        ``(n, d) ->`` cosines with prototypes.
    objective : Objective
    prepare : callable
        Stored frames and lengths to what the networks see, zero beyond the ends.
    perturb : callable, optional
        ``(x, length, y) -> (x, length)``, of stored frames.
    assignments : Assignments, optional
        Needs K.
    """
    o = objective

    def encode(n: SimpleNamespace, b: Batch) -> None:
        b.frames = prepare(b.x, b.length)
        b.s = n.Es(b.frames, b.length).float()
        # Two views for prototypes: each learns the assignment, which is of neither.
        b.views = 2 if perturb is not None and assignments is not None else 1
        x, length, y = b.x, b.length, b.y
        if b.views == 2:
            x, length, y = x.repeat(2, 1, 1), length.repeat(2), y.repeat(2)
        if perturb is not None:
            x, length = perturb(x, length, y)
        b.p = n.Ep(prepare(x, length), length).float()
        b.given = b.p  # to R and D
        if o.quantize is not None:
            b.given = torch.lerp(b.p, n.K.quantized(b.p, o.quantize), b.quantized)

    def judge(n: SimpleNamespace, b: Batch, p: Tensor) -> Verdict:
        if o.adversary == "classifier":
            return classifier(n.D, p, b.y.repeat(b.views))
        judged = pair if o.adversary == "pair" else wasserstein
        return judged(n.D, p[: len(b.y)], b.y)

    def discriminate(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        verdict = judge(n, b, b.given.detach())
        return {"D": verdict.loss + verdict.penalty}

    def step(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        voices = b.s[b.partner] if o.swap else b.s
        p = b.given[: len(b.y)]
        p = torch.lerp(p.detach(), p, o.reconstruction_share)
        rebuilt = n.R(p, voices, b.length, b.x.shape[1])
        terms = {"reconstruction_loss": frame_error(rebuilt, b.frames, b.length)}
        loss = terms["reconstruction_loss"]
        if o.speaker:
            terms["speaker_loss"] = speaker_loss(b.s, b.y, o.margin)
            loss = loss + o.speaker * terms["speaker_loss"]
        if assignments is not None:
            terms["prototype_loss"] = torch.zeros_like(loss)
            if assignments.shares:
                cosines = n.K(b.p)
                terms["prototype_loss"] = assignments.loss(cosines, b.row.repeat(b.views))
            loss = loss + o.prototypes * terms["prototype_loss"]
        losses = {"A": loss}
        if o.cycle:
            terms["cycle_loss"] = cycle_loss(n, b, assignments)
            losses["R"] = terms["reconstruction_loss"] + o.cycle * terms["cycle_loss"]
        if o.adversary is not None:
            verdict = judge(n, b, b.given)
            losses |= {
                "A": loss - b.lam * verdict.loss,
                "D": verdict.loss + verdict.penalty,
            }
            terms["d_accuracy"] = verdict.accuracy
        return {**losses, **terms}

    groups = {"A": tuple(name for name in ("Ep", "Es", "R", "K") if name in networks)}
    if o.cycle:
        groups = {"A": tuple(name for name in groups["A"] if name != "R"), "R": ("R",)}
    phases: tuple[Phase, ...] = (Phase(step),)
    schedules = {}
    if o.quantize is not None:
        schedules["quantized"] = lambda progress: float(progress >= o.quantize_start)
    if o.adversary is not None:
        groups["D"] = ("D",)
        if o.discriminator_steps > 1:
            phases = (Phase(discriminate, ("D",), times=o.discriminator_steps - 1), *phases)
        schedules["lam"] = lambda progress: o.adversary_weight * rising(progress, o.start, o.warmup)
    return System(
        networks,
        groups,
        phases,
        forward=encode,
        schedules=schedules,
        refresh=None if assignments is None else assignments.refresh,
    )


def rising(progress: float, start: float, warmup: float) -> float:
    """The ramp of Ganin et al. 2016 at half its slope: 0 until the start, .85 after the warm-up."""
    if progress < start:
        return 0.0
    return dann_ramp(0.5 * min((progress - start) / warmup, 1.0)) if warmup else 1.0


def cycle_loss(n: SimpleNamespace, b: Batch, assignments: Assignments | None) -> Tensor:
    """What the encoders find wrong in utterances in the voice of any other of the batch.

    |E_s(R(p_i, s_k)) - s_k|^2 and, once there are clusters, the loss of `Assignments` for
    E_p(R(p_i, s_k)), which is to be assigned as utterance i.
    """
    p = b.given[: len(b.y)].detach()
    voices = b.s[torch.randperm(len(b.y), device=p.device)].detach()
    converted = n.R(p, voices, b.length, b.x.shape[1]) * inside(b.length, b.x.shape[1])
    # The running statistics of the encoders are those of speech.
    with still(norms(n.Ep, n.Es)):
        loss = (n.Es(converted, b.length).float() - voices).square().sum(1).mean()
        if assignments is not None and assignments.shares:
            found = n.Ep(converted, b.length).float()
            loss = loss + assignments.loss(n.K(found), b.row)
    return loss


def frame_error(rebuilt: Tensor, frames: Tensor, length: Tensor) -> Tensor:
    """Mean squared error over the columns of all frames within the lengths."""
    error = (rebuilt.float() - frames).square() * inside(length, frames.shape[1])
    return error.sum() / (length.sum() * frames.shape[2])


def speaker_loss(s: Tensor, y: Tensor, margin: float) -> Tensor:
    """``spk`` over all pairs of the batch whose speakers are known."""
    square = (s[:, None] - s[None]).square().sum(2)
    same, different = kinds_of_pairs(y)
    # Away from 0, where the root has no gradient.
    short = F.relu(margin - (square + 1e-8).sqrt()).square()
    return mean_over(square, same) + mean_over(short, different)


def kinds_of_pairs(y: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of two rows of one speaker, and of two: 0 or 1, ``(n,) -> (n, n)`` twice."""
    known = (y >= 0)[:, None] & (y >= 0)[None]
    same = y[:, None] == y[None]
    other = ~torch.eye(len(y), dtype=torch.bool, device=y.device)
    return (known & same & other).float(), (known & ~same).float()


def mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the values where ``chosen`` is 1; 0 where it nowhere is."""
    return (values * chosen).sum() / chosen.sum().clamp_min(1.0)


@dataclass(frozen=True)
class Verdict:
    """L_D, what D adds to it for itself, and the share of its judgments that are right."""

    loss: Tensor
    penalty: Tensor
    accuracy: Tensor


def classifier(D: Callable[[Tensor], Tensor], p: Tensor, y: Tensor) -> Verdict:
    """D names the speaker."""
    logits, known = D(p).float(), (y >= 0).float()
    costs = F.cross_entropy(logits, y.clamp_min(0), reduction="none")
    right = (logits.argmax(1) == y).float()
    return Verdict(mean_over(costs, known), torch.zeros_like(costs[0]), mean_over(right, known))


def pair_features(p: Tensor, q: Tensor) -> Tensor:
    """What D sees of pairs, in whichever order: ``(n, d) twice -> (n, 3 d)``."""
    return torch.cat([p + q, (p - q).abs(), p * q], 1)


def pair(D: Callable[[Tensor], Tensor], p: Tensor, y: Tensor) -> Verdict:
    """D tells pairs of one speaker from pairs of two."""
    first, second = torch.triu_indices(len(p), len(p), 1, device=p.device)
    logits = D(pair_features(p[first], p[second])).float()[:, 0]
    same, different = (kind[first, second] for kind in kinds_of_pairs(y))
    loss = mean_over(F.softplus(-logits), same) + mean_over(F.softplus(logits), different)
    right = mean_over((logits > 0).float(), same) + mean_over((logits <= 0).float(), different)
    return Verdict(0.5 * loss, torch.zeros_like(loss), 0.5 * right)


def wasserstein(D: Callable[[Tensor], Tensor], p: Tensor, y: Tensor) -> Verdict:
    """The paper's form: D scores a pair of one speaker and a pair of two apart, for each row."""
    same, different = kinds_of_pairs(y)
    draw = torch.rand_like(same)
    near, far = (draw * same).argmax(1), (draw * different).argmax(1)
    able = same.amax(1) * different.amax(1)
    with_same, with_other = pair_features(p, p[near]), pair_features(p, p[far])
    gap = (D(with_same) - D(with_other)).float()[:, 0]
    share = torch.rand(len(p), 1, device=p.device)
    between = torch.lerp(with_other.detach(), with_same.detach(), share).requires_grad_()
    (slope,) = torch.autograd.grad(D(between).float().sum(), between, create_graph=True)
    steep = (slope.square().sum(1) + 1e-12).sqrt()
    penalty = PENALTY * mean_over((steep - 1.0).square(), able)
    return Verdict(-mean_over(gap.square(), able), penalty, mean_over((gap > 0).float(), able))
