"""Internal. The speech auto-encoder of Chen et al. 2018 (arXiv 1803.10952; 1807.08089, stage 1).

Two encoders read an utterance x_i of speaker y_i: p_i = E_p(x_i), what is said, and s_i = E_s(x_i),
of length 1, who says it. R rebuilds the frames from p_i and the speaker vector of another
utterance j(i) of the same speaker, and an adversary D looks for the speaker in p:

    A = (E_p, E_s, R):  rec + alpha spk - lambda L_D       rec = |R(p_i, s_j(i)) - x_i|^2
    D:                  L_D                                 per frame and column

    spk = E_same |s_i - s_j|^2 + E_different max(0, margin - |s_i - s_j|)^2     over all pairs
    or, by centroids, -E_i log softmax_k(w cos(s_i, c_k))_{y_i}                 c_k without s_i
    L_D = CE(D(p_i), y_i), or [E_same sp(-l_ij) + E_different sp(l_ij)] / 2     sp = softplus

each descended by its own parameters only; l_ij is D's logit of "same speaker", symmetric in i and
j. With vectors of frames, f, all but spk is there a second time: F rebuilds frames from f_i and
s_j(i), Df judges one frame of each utterance, drawn at random, and K becomes Kf. The paper's own
form of L_D is -E_i (D(p_i, p_j(i)) - D(p_i, p_k(i)))^2, with k(i) of another speaker and a gradient
penalty in D. p leaves E_p through batch norm: an encoder can otherwise win by making p small. What
E_p reads may be a perturbed view; what R rebuilds is not. Utterances of unknown speaker, y = -1,
only count in rec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.base.parameters import check_parameters, parameters, part
from repkit.engine.batches import Batch
from repkit.engine.compiling import plain
from repkit.engine.modes import norms, still
from repkit.engine.ranks import averaged, here, mean_over
from repkit.engine.system import Phase, System
from repkit.schedules import dann_ramp
from repkit.speech.batches import whole
from repkit.speech.bodies import inside
from repkit.speech.frames import aligned, assignment_loss, drawn, frame_shares
from repkit.speech.parts import Adversary, Prototypes, SpeakerLoss, Swap
from repkit.speech.prototypes import Assignments

__all__ = ["Objective", "speech"]

PENALTY = 10.0  # weight of the gradient penalty, as in the paper
Perturb = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@parameters
class Objective:
    """What is trained against what.

    Parameters
    ----------
    swap : bool or Swap, default=True
        Whose speaker vector R gets, ``cycle`` (see `cycle_loss`; R then has a group of its own) and
        the share of the gradient of rec that reaches E_p.
    speaker_loss : float or SpeakerLoss, default=1.0
        Weight alpha, and the margin.
    adversary : {"classifier", "pair", "wasserstein"}, Adversary or None, default="classifier"
        The form of L_D, lambda and its course, and the steps of D for each step of A.
    prototypes : tuple of int, Prototypes or None, default=(20, 40)
        The weight of the loss of `Assignments`, and whether R and D get quantized vectors. The
        sizes and the start are read by who makes the assignments.
    """

    swap: Any = part(Swap, default=True)
    speaker_loss: Any = part(SpeakerLoss, default=1.0)
    adversary: Any = part(Adversary, default="classifier", optional=True)
    prototypes: Any = part(Prototypes, default=(20, 40), optional=True)


def speech(
    networks: Mapping[str, nn.Module],
    *,
    objective: Objective | None = None,
    prepare: Callable[[Tensor, Tensor], Tensor] = lambda x, length: x * inside(length, x.shape[1]),
    perturb: Perturb | None = None,
    voices: Perturb | None = None,
    assignments: Assignments | None = None,
) -> System:
    """Make the system of both encoders, decoder and adversary.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        Ep, Es: ``(x, length) -> (n, d)``; R: ``(p, s, length, T) -> (n, T, D)``; D, with an
        adversary: ``(n, d) ->`` logits of speakers, or, of the features of pairs (`pair_features`),
        ``(pairs, 1)``; K, with assignments: ``(n, d) ->`` cosines with prototypes. For vectors of
        frames Ep has ``both(x, length) -> (n, d), (n, steps, d)``, and there are F in the place of
        R or beside it, Df and, with prototypes, Kf. A perturbation must then keep the speed even.
    objective : Objective, optional
        Its defaults, if there is none.
    prepare : callable
        Stored frames and lengths to what the networks see, zero beyond the ends.
    perturb : callable, optional
        ``(x, length, y) -> (x, length)``, of stored frames.
    voices : callable, optional
        The same, with one change for all utterances of a speaker and the lengths as they are. What
        it gives counts for spk as of speakers of their own.
    assignments : Assignments, optional
        Of the prototypes. Without, the objective's prototypes count for nothing.

    Returns
    -------
    System
        With the groups A, D with an adversary (of D and Df), and R with ``cycle``.
    """
    o = check_parameters(objective or Objective())
    swap, adversary, prototypes = o.swap, o.adversary, o.prototypes
    of_whole, of_frames = "R" in networks, "F" in networks
    assignments = None if prototypes is None else assignments
    temperature = None if assignments is None else prototypes.quantize

    def speak(n: SimpleNamespace, b: Batch) -> None:
        """Speaker vectors, and those in other voices, in one batch for the sake of its norms."""
        x, length = b.frames, b.length
        if voices is not None:
            other, _ = voices(b.x, length, b.y)
            x, length = torch.cat([x, prepare(other, length)]), length.repeat(2)
        b.spoken = n.Es(x, length).float()
        b.s = b.spoken[: len(b.y)]

    def encode(n: SimpleNamespace, b: Batch) -> None:
        b.frames = prepare(b.x, b.length)
        speak(n, b)
        # Two views for prototypes: each learns the assignment, which is of neither.
        b.views = 2 if perturb is not None and assignments is not None else 1
        x, length, y = b.x, b.length, b.y
        if b.views == 2:
            x, length, y = x.repeat(2, 1, 1), length.repeat(2), y.repeat(2)
        wanted = length
        if perturb is not None:
            # Levels are logarithms: bf16 knows none between -12 and -11.94.
            with torch.autocast(x.device.type, enabled=False):
                x, length = perturb(x, length, y)
        if of_frames:
            b.p, f = (v.float() for v in n.Ep.both(prepare(x, length), length))
            b.f = aligned(f, length, wanted, b.x.shape[1], n.Ep.stack)
        else:
            b.p = n.Ep(prepare(x, length), length).float()
        b.given = b.p  # to R and D
        if temperature is not None:
            b.given = torch.lerp(b.p, n.K.quantized(b.p, temperature), b.quantized)

    def judge(n: SimpleNamespace, b: Batch, detached: bool) -> dict[str, Verdict]:
        """What D and Df find, by the prefix of their terms."""
        seen = {"": (n.D, b.given)} if of_whole else {}
        if of_frames:
            seen["frame_"] = (n.Df, drawn(b.f, b.length.repeat(b.views), n.Ep.stack))
        found = {}
        for name, (D, p) in seen.items():
            p = p.detach() if detached else p
            if adversary.kind == "classifier":
                found[name] = classifier(D, p, b.y.repeat(b.views))
            else:
                judged = pair if adversary.kind == "pair" else wasserstein
                found[name] = judged(D, whole(p[: len(b.y)], b), speakers(b))
        return found

    def discriminate(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        return {"D": total([v.loss + v.penalty for v in judge(n, b, True).values()])}

    def rebuild(p: Tensor, b: Batch, decode: Callable[..., Tensor]) -> Tensor:
        """``rec`` of vectors of the first view, with voices of other utterances."""
        voices, p = whole(b.s, b)[b.partner] if swap.on else b.s, p[: len(b.y)]
        p = torch.lerp(p.detach(), p, swap.reconstruction_share)
        return frame_error(decode(p, voices, b.length, b.x.shape[1]), b.frames, b.length)

    def told_apart(b: Batch) -> Tensor:
        """``spk`` of the batch, and of the same utterances in other voices."""
        y, s = speakers(b), whole(b.spoken, b)
        if voices is not None:
            # Each process has drawn changes of its own.
            other = y + (y.amax() + 1) * (1 + getattr(b, "ranks", 0))
            y = torch.cat([y, torch.where(y < 0, y, other)])
        if o.speaker_loss.kind == "centroid":
            return centroid_loss(s, y, o.speaker_loss.scale)
        return contrastive_loss(s, y, o.speaker_loss.margin)

    def step(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        terms = {}
        if of_whole:
            terms["reconstruction_loss"] = rebuild(b.given, b, n.R)
        if of_frames:
            terms["frame_reconstruction_loss"] = rebuild(b.f, b, n.F)
        loss = total(list(terms.values()))
        if o.speaker_loss.weight:
            terms["speaker_loss"] = told_apart(b)
            loss = loss + o.speaker_loss.weight * terms["speaker_loss"]
        if assignments is not None:
            terms["prototype_loss"] = torch.zeros_like(loss)
            if assignments.shares:
                cosines = n.K(b.p)
                terms["prototype_loss"] = assignments.loss(cosines, b.row.repeat(b.views))
            loss = loss + prototypes.weight * terms["prototype_loss"]
        if "Kf" in networks:
            terms["frame_prototype_loss"] = frame_prototype_loss(n, b, perturb is not None)
            loss = loss + prototypes.weight * terms["frame_prototype_loss"]
        losses = {"A": loss}
        if swap.cycle:
            terms["cycle_loss"] = cycle_loss(n, b, assignments)
            losses["R"] = terms["reconstruction_loss"] + swap.cycle * terms["cycle_loss"]
        if adversary is not None:
            verdicts = judge(n, b, False)
            losses["A"] = loss - b.lam * total([v.loss for v in verdicts.values()])
            losses["D"] = total([v.loss + v.penalty for v in verdicts.values()])
            terms.update({f"{name}d_accuracy": v.accuracy for name, v in verdicts.items()})
        return {**losses, **terms}

    members = ("Ep", "Es", "R", "K", "F", "Kf")
    groups = {"A": tuple(name for name in members if name in networks)}
    if swap.cycle:
        groups = {"A": tuple(name for name in groups["A"] if name != "R"), "R": ("R",)}
    phases: tuple[Phase, ...] = (Phase(step),)
    schedules: dict[str, Callable[[float], float]] = {}
    if temperature is not None:
        schedules["quantized"] = lambda progress: float(progress >= prototypes.quantize_start)
    if adversary is not None:
        groups["D"] = tuple(name for name in ("D", "Df") if name in networks)
        if adversary.d_steps > 1:
            phases = (Phase(discriminate, ("D",), times=adversary.d_steps - 1), *phases)
        schedules["lam"] = lambda progress: (
            adversary.weight * rising(progress, adversary.start, adversary.warmup)
        )
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


def speakers(b: Batch) -> Tensor:
    """Those of the whole batch."""
    found: Tensor = getattr(b, "whole_y", b.y)
    return found


def total(values: Sequence[Tensor]) -> Tensor:
    """Sum of at least one."""
    found = values[0]
    for value in values[1:]:
        found = found + value
    return found


def frame_prototype_loss(n: SimpleNamespace, b: Batch, perturbed: bool) -> Tensor:
    """A frame is to be told as the prototype of the unperturbed one; see `frame_shares`."""
    clean, directions = b.f[: len(b.y)], n.Kf.directions[0]
    if perturbed:
        # The running statistics are of what trains.
        with torch.no_grad(), still(norms(n.Ep)):
            clean = n.Ep.both(b.frames, b.length)[1].float()
    mask = inside((b.length + n.Ep.stack - 1) // n.Ep.stack, clean.shape[1])
    shares = frame_shares(clean, mask, b.y, directions)
    known = (mask * (b.y >= 0)[:, None, None]).repeat(b.views, 1, 1)
    (cosines,) = n.Kf(b.f.flatten(0, 1))
    cosines = cosines.view(*b.f.shape[:2], -1)
    return assignment_loss(cosines, shares.repeat(b.views, 1, 1), known)


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
        errors = (n.Es(converted, b.length).float() - voices).square().sum(1)
        loss = mean_over(errors, torch.ones_like(errors))
        if assignments is not None and assignments.shares:
            found = n.Ep(converted, b.length).float()
            loss = loss + assignments.loss(n.K(found), b.row)
    return loss


def frame_error(rebuilt: Tensor, frames: Tensor, length: Tensor) -> Tensor:
    """Mean squared error over the columns of all frames within the lengths."""
    error = (rebuilt.float() - frames).square() * inside(length, frames.shape[1])
    return error.sum() / (averaged(length.sum()) * frames.shape[2])


def contrastive_loss(s: Tensor, y: Tensor, margin: float) -> Tensor:
    """``spk`` over all pairs of the batch whose speakers are known."""
    square = (s[:, None] - s[None]).square().sum(2)
    same, different = kinds_of_pairs(y)
    # Away from 0, where the root has no gradient.
    short = F.relu(margin - (square + 1e-8).sqrt()).square()
    return mean_over(square, same) + mean_over(short, different)


def centroid_loss(s: Tensor, y: Tensor, scale: float) -> Tensor:
    """``spk`` by centroids (Wan et al. 2018, GE2E): which of the batch's speakers is it?

    By the cosine with the mean of each; an utterance does not count for its own. Utterances without
    another of their speaker are only among what is to be told apart from.
    """
    same, _ = kinds_of_pairs(y)
    known = (y >= 0).float()
    others = same.sum(1)
    # A row for each utterance: the mean of its speaker. Weights count every speaker once.
    own = F.normalize(same @ s, dim=1)
    whole = F.normalize(same @ s + s, dim=1)
    with_own = (own * s).sum(1)
    cosines = torch.where(y[:, None] == y[None], with_own[:, None], s @ whole.T)
    weights = torch.where(known > 0, -(others + 1.0).log(), -1e4)
    costs = (scale * cosines + weights).logsumexp(1) - scale * with_own
    return mean_over(costs, known * (others > 0).float())


def kinds_of_pairs(y: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of two rows of one speaker, and of two: 0 or 1, ``(n,) -> (n, n)`` twice."""
    known = (y >= 0)[:, None] & (y >= 0)[None]
    same = y[:, None] == y[None]
    other = ~torch.eye(len(y), dtype=torch.bool, device=y.device)
    return (known & same & other).float(), (known & ~same).float()


@dataclass(frozen=True)
class Verdict:
    """L_D, what D adds to it for itself, and the share of its judgments that are right.

    The share is 0 where there is nothing to judge.
    """

    loss: Tensor
    penalty: Tensor
    accuracy: Tensor


def classifier(D: Callable[[Tensor], Tensor], p: Tensor, y: Tensor) -> Verdict:
    """D names the speaker."""
    logits, known = D(p).float(), (y >= 0).float()
    costs = F.cross_entropy(logits, y.clamp_min(0), reduction="none")
    right = (logits.argmax(1) == y).float()
    return Verdict(mean_over(costs, known), torch.zeros_like(costs[0]), mean_over(right, known))


def own(x: Tensor) -> Tensor:
    """The rows that a process judges, of what each has the whole of."""
    ranks = here()
    return x if ranks.world == 1 else x[ranks.rank :: ranks.world]


def pair_features(p: Tensor, q: Tensor) -> Tensor:
    """What D sees of pairs, in whichever order: ``(n, d) twice -> (n, 3 d)``."""
    return torch.cat([p + q, (p - q).abs(), p * q], 1)


def pair(D: Callable[[Tensor], Tensor], p: Tensor, y: Tensor) -> Verdict:
    """D tells pairs of one speaker from pairs of two."""
    pairs = torch.triu_indices(len(p), len(p), 1, device=p.device)
    first, second = own(pairs.T).T
    logits = D(pair_features(p[first], p[second])).float()[:, 0]
    same, different = (kind[first, second] for kind in kinds_of_pairs(y))
    loss = mean_over(F.softplus(-logits), same) + mean_over(F.softplus(logits), different)
    right = mean_over((logits > 0).float(), same) + mean_over((logits <= 0).float(), different)
    return Verdict(0.5 * loss, torch.zeros_like(loss), 0.5 * right)


def wasserstein(D: Callable[[Tensor], Tensor], p: Tensor, y: Tensor) -> Verdict:
    """The paper's form: D scores a pair of one speaker and a pair of two apart, for each row.

    Which of them scores higher is D's choice, so the accuracy is the share of the more frequent
    order of the two: never below one half.
    """
    same, different = (own(kind) for kind in kinds_of_pairs(y))
    draw = torch.rand_like(same)
    near, far = (draw * same).argmax(1), (draw * different).argmax(1)
    able = same.amax(1) * different.amax(1)
    with_same, with_other = (pair_features(own(p), p[other]) for other in (near, far))
    gap = (D(with_same) - D(with_other)).float()[:, 0]
    share = torch.rand(len(near), 1, device=p.device)
    between = torch.lerp(with_other.detach(), with_same.detach(), share).requires_grad_()
    (slope,) = torch.autograd.grad(plain(D)(between).float().sum(), between, create_graph=True)
    steep = (slope.square().sum(1) + 1e-12).sqrt()
    penalty = PENALTY * mean_over((steep - 1.0).square(), able)
    ordered = averaged(mean_over((gap > 0).float(), able))
    accuracy = torch.maximum(ordered, averaged(able.amax()).ceil() - ordered)
    return Verdict(-mean_over(gap.square(), able), penalty, accuracy)
