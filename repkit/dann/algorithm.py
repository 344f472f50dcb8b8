"""Domain-adversarial training: Ganin et al. 2016; conditional form: Long et al. 2018.

The label predictor C and the domain classifier D read the features f = F(x); y are labels, known
on the first rows of a batch only, and d the domain of every row. With the two cross-entropies
L_y(C(f), y) and L_d(D(f), d),

    D minimizes L_d,     C minimizes L_y,     F minimizes L_y - lam L_d     (equations 10 to 15).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.engine.batches import Batch, to_float
from repkit.engine.modes import evaluating
from repkit.engine.system import Phase, System
from repkit.losses import entropy, information, multilinear, reverse, virtual_adversarial
from repkit.nets import set_rows
from repkit.schedules import dann_ramp


@dataclass(frozen=True)
class Objective:
    """What is added to the paper's two losses, each off by default.

    Parameters
    ----------
    conditional : {False, True, "entropy"}
        D reads the multilinear map of f and the predicted probabilities (CDAN, equation 6);
        "entropy" weights rows by ``1 + exp(-H)``, so that certain ones count more (CDAN+E).
    entropy : float
        Weight of `losses.information` on the target predictions, reached along the paper's ramp.
    pseudo : float
        Weight of the cross-entropy between the averaged networks' prediction on the target rows,
        where it is certain enough, and the prediction on their augmented view (French et al. 2018).
    threshold : float
        The probability from which on a prediction is certain.
    smoothness : float
        Radius of `losses.virtual_adversarial` on the target rows, 0 for none; its weight is 1,
        reached along the paper's ramp (VADA, Shu et al. 2018, with ``entropy``).
    augment : callable, optional
        Maps a float batch to one of the same shape, labels kept; it draws from torch's global
        generator. The batch of the forward pass goes through it.
    teacher_augment : callable, optional
        The same for the target rows that the averaged networks see: a weaker one, if any.
    """

    conditional: bool | str = False
    entropy: float = 0.0
    pseudo: float = 0.0
    threshold: float = 0.9
    smoothness: float = 0.0
    augment: Callable[[Tensor], Tensor] | None = None
    teacher_augment: Callable[[Tensor], Tensor] | None = None


def dann(
    networks: Mapping[str, nn.Module],
    *,
    labeled: int,
    layout: Sequence[tuple[int, int]] | None = None,
    lam: Callable[[float], float],
    late: Callable[[float], float] = lambda progress: 1.0,
    training: str = "joint",
    d_steps: int = 1,
    objective: Objective = Objective(),
) -> System:
    """The system with the networks F, C and D; without D, plain supervised training.

    Parameters
    ----------
    networks : mapping
        F: ``x -> (n, features)``, C: ``-> (n, classes)`` logits, D: ``-> (n, domains)`` logits.
    labeled : int
        Number of rows of a batch, from the first, whose ``y`` is used. No other is ever read.
    layout : sequence of (count, domain), optional
        The parts of a batch, in order; needed where F has statistics for each domain apart.
    lam : callable
        Progress to the weight of the domain loss in F.
    late : callable
        Progress to the factor of the weight ``pseudo``.
    training : {"joint", "alternating"}
        One step of all networks through the reversal, or D, then C, then F, each on its own.
    d_steps : int
        Steps of D in every step of an alternating training.
    objective : Objective
    """
    o = objective
    adapting = "D" in networks
    all_logits = adapting and bool(o.conditional or o.entropy or o.pseudo)
    parts = layout or ()
    starts = accumulate((count for count, _ in parts), initial=0)
    target = [part for part, start in zip(parts, starts, strict=False) if start >= labeled]

    def forward(n: SimpleNamespace, b: Batch) -> None:
        x = to_float(b.x)
        if layout:
            set_rows(n.F, layout)
        b.f = n.F(x if o.augment is None else o.augment(x))
        if o.pseudo and adapting:
            # The teacher's labels; b.y of these rows is not touched.
            if layout:
                set_rows(n.ema.F, target)
            rows = x[labeled:]
            seen = rows if o.teacher_augment is None else o.teacher_augment(rows)
            proba = F.softmax(n.ema.C(n.ema.F(seen)).float(), 1)
            b.certainty, b.guess = proba.max(1)

    def label_loss(n: SimpleNamespace, b: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The loss, the logits of the rows that are needed, and what goes to the history."""
        logits = n.C(b.f if all_logits else b.f[:labeled]).float()
        loss = F.cross_entropy(logits[:labeled], b.y[:labeled])
        logs = {"label_loss": loss}
        if adapting and o.entropy:
            logs["information_loss"] = information(logits[labeled:])
            loss = loss + o.entropy * b.ramp * logs["information_loss"]
        if adapting and o.pseudo:
            rows = F.cross_entropy(logits[labeled:], b.guess, reduction="none")
            # Over all rows, not over the certain ones: few certain rows are little evidence.
            logs["pseudo_loss"] = torch.where(b.certainty >= o.threshold, rows, 0.0).mean()
            loss = loss + o.pseudo * b.late * logs["pseudo_loss"]
        if adapting and o.smoothness:
            if layout:
                set_rows(n.F, target)
            with evaluating(n.F, n.C):
                logs["smoothness_loss"] = virtual_adversarial(
                    lambda x: n.C(n.F(x)), to_float(b.x[labeled:]), o.smoothness
                )
            loss = loss + b.ramp * logs["smoothness_loss"]
        return loss, logits, logs

    def domain_loss(n: SimpleNamespace, b: Batch, f: Tensor, logits: Tensor) -> Tensor:
        if not o.conditional:
            return F.cross_entropy(n.D(f).float(), b.domain)
        logits = logits.detach()  # the prediction is a condition: it is not trained to fool D
        seen = n.D(multilinear(f.float(), F.softmax(logits, 1))).float()
        rows = F.cross_entropy(seen, b.domain, reduction="none")
        if o.conditional != "entropy":
            return rows.mean()
        weight = 1.0 + torch.exp(-entropy(logits))
        return (weight * rows).sum() / weight.sum()

    def joint(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        label, logits, logs = label_loss(n, b)
        if not adapting:
            return {"net": label, **logs}
        domain = domain_loss(n, b, reverse(b.f, b.lam), logits)
        return {"net": label + domain, **logs, "domain_loss": domain}

    def domain_classifier(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            logits = n.C(b.f).float() if o.conditional else b.f
        return {"D": domain_loss(n, b, b.f, logits)}

    def label_predictor(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        return {"C": label_loss(n, b)[0]}

    def feature_extractor(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        label, logits, logs = label_loss(n, b)
        if not adapting:
            return {"F": label, **logs}
        domain = domain_loss(n, b, b.f, logits)
        return {"F": label - b.lam * domain, **logs, "domain_loss": domain}

    schedules = {"lam": lam} if adapting else {}
    if adapting and (o.entropy or o.smoothness):
        schedules["ramp"] = dann_ramp
    if adapting and o.pseudo:
        schedules["late"] = late
    if training == "joint":
        phases = [Phase(joint)]
        groups = {"net": tuple(networks)}
    else:
        # f serves all the phases: F, the only network it depends on, steps last.
        phases = [Phase(label_predictor, ("C",)), Phase(feature_extractor, ("F",))]
        if adapting:
            phases.insert(0, Phase(domain_classifier, ("D",), times=d_steps))
        groups = {name: (name,) for name in networks}
    return System(networks, groups, tuple(phases), forward=forward, schedules=schedules)
