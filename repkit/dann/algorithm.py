"""Internal. Domain-adversarial training: Ganin et al. 2016; conditional form: Long et al. 2018.

The label predictor C and the domain classifier D read the features f = F(x); y are labels, known
on the first rows of a batch only, and d the domain of every row. With the two cross-entropies
L_y(C(f), y) and L_d(D(f), d),

    D minimizes L_d,     C minimizes L_y,     F minimizes L_y - lam L_d     (equations 10 to 15).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.base.parameters import check_parameters, choice, function, parameters, part, schedule
from repkit.base.parts import Consistency
from repkit.dann.parts import Entropy, Updates
from repkit.engine.batches import Batch, to_float
from repkit.engine.modes import evaluating
from repkit.engine.system import Phase, System
from repkit.losses import (
    entropy,
    information,
    multilinear,
    reverse,
    virtual_adversarial,
    weighted_cross_entropy,
)
from repkit.nets import set_rows
from repkit.schedules import LAMBDAS, dann_ramp, rise

__all__ = ["Objective", "dann"]


@parameters
class Objective:
    """The paper's two losses, and what is added to them; all additions are off by default.

    Parameters
    ----------
    updates : {"joint", "alternating"} or Updates, default="joint"
        One step of all networks through the reversal; or D, then C, then F, each on its own.
    conditional : {False, True, "entropy"}, default=False
        D reads the multilinear map of f and the predicted probabilities (CDAN, equation 6);
        "entropy" weights rows by ``1 + exp(-H)``, so that certain ones count more (CDAN+E).
    lam : "ramp", float or callable, default="ramp"
        Progress to the weight of the domain loss in F.
    entropy : float or Entropy, default=0.0
        Weight of `losses.information` on the target predictions, and the radius of
        `losses.virtual_adversarial`; both along the paper's ramp.
    consistency : float or Consistency, default=0.0
        Weight of the cross-entropy between the averaged networks' prediction on weakly augmented
        target rows, where it is certain enough, and the prediction on the strongly augmented ones
        (French et al. 2018).
    augment, strong_augment : callable, optional
        Map a float batch to one of the same shape, labels kept; they draw from torch's global
        generator. All rows go through the strong one, or the other if there is no strong one. The
        target rows of which the averaged networks make pseudo-labels go through ``augment``.
    """

    updates: Any = part(Updates, default="joint")
    conditional: bool | str = choice(False, True, "entropy", default=False)
    lam: Any = schedule(LAMBDAS, default="ramp", numbers=True)
    entropy: Any = part(Entropy, default=0.0)
    consistency: Any = part(Consistency, default=0.0)
    augment: Callable[[Tensor], Tensor] | None = function(default=None)
    strong_augment: Callable[[Tensor], Tensor] | None = function(default=None)


def dann(
    networks: Mapping[str, nn.Module],
    *,
    labeled: int,
    layout: Sequence[tuple[int, int]] | None = None,
    objective: Objective | None = None,
) -> System:
    """Make the system of feature extractor, label predictor and domain classifier.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        F: ``x -> (n, features)``; C: ``-> (n, classes)`` logits; D: ``-> (n, domains)`` logits.
        Without D, training is plainly supervised.
    labeled : int
        Number of rows of a batch, from the first, whose ``y`` is used. No other is ever read.
        Batches may have a ``weight`` of each row, for the label loss.
    layout : sequence of (count, domain), optional
        The parts of a batch, in order; needed where F has statistics for each domain apart.
    objective : Objective, optional
        Its defaults, if there is none.

    Returns
    -------
    System
        With one group, "net", or with the groups D, C and F.
    """
    o = check_parameters(objective or Objective())
    adapting = "D" in networks
    certain, pseudo = o.entropy, o.consistency
    strong = o.augment if o.strong_augment is None else o.strong_augment
    all_logits = adapting and bool(o.conditional or certain.weight or pseudo.weight)
    parts = layout or ()
    starts = accumulate((count for count, _ in parts), initial=0)
    target = [part for part, start in zip(parts, starts, strict=False) if start >= labeled]

    def forward(n: SimpleNamespace, b: Batch) -> None:
        x = to_float(b.x)
        if layout:
            set_rows(n.F, layout)
        b.f = n.F(x if strong is None else strong(x))
        if pseudo.weight and adapting:
            # The teacher's labels; b.y of these rows is not touched.
            if layout:
                set_rows(n.ema.F, target)
            rows = x[labeled:]
            seen = rows if o.augment is None else o.augment(rows)
            proba = F.softmax(n.ema.C(n.ema.F(seen)).float(), 1)
            b.certainty, b.guess = proba.max(1)

    def label_loss(n: SimpleNamespace, b: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The loss, the logits of the rows that are needed, and what goes to the history."""
        logits = n.C(b.f if all_logits else b.f[:labeled]).float()
        loss = weighted_cross_entropy(logits[:labeled], b.y[:labeled], getattr(b, "weight", None))
        logs = {"label_loss": loss}
        if adapting and certain.weight:
            logs["information_loss"] = information(logits[labeled:])
            loss = loss + certain.weight * b.ramp * logs["information_loss"]
        if adapting and pseudo.weight:
            rows = F.cross_entropy(logits[labeled:], b.guess, reduction="none")
            # Over all rows, not over the certain ones: few certain rows are little evidence.
            logs["pseudo_loss"] = torch.where(b.certainty >= pseudo.threshold, rows, 0.0).mean()
            loss = loss + pseudo.weight * b.late * logs["pseudo_loss"]
        if adapting and certain.smoothness:
            if layout:
                set_rows(n.F, target)
            with evaluating(n.F, n.C):
                logs["smoothness_loss"] = virtual_adversarial(
                    lambda x: n.C(n.F(x)), to_float(b.x[labeled:]), certain.smoothness
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

    schedules = {"lam": o.lam} if adapting else {}
    if adapting and (certain.weight or certain.smoothness):
        schedules["ramp"] = dann_ramp
    if adapting and pseudo.weight:
        schedules["late"] = rise(pseudo.start)
    if o.updates.order == "joint":
        phases = [Phase(joint)]
        groups = {"net": tuple(networks)}
    else:
        # f serves all the phases: F, the only network it depends on, steps last.
        phases = [Phase(label_predictor, ("C",)), Phase(feature_extractor, ("F",))]
        if adapting:
            phases.insert(0, Phase(domain_classifier, ("D",), times=o.updates.d_steps))
        groups = {name: (name,) for name in networks}
    return System(networks, groups, tuple(phases), forward=forward, schedules=schedules)
