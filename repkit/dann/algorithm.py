"""Internal. Domain-adversarial training: Ganin et al. 2016; conditional form: Long et al. 2018.

The label predictor C and the domain classifier D read the features f = F(x); y are labels, known
on the first rows of a batch only, and d the domain of every row. With the two cross-entropies
L_y(C(f), y) and L_d(D(f), d),

    D minimizes L_d,     C minimizes L_y,     F minimizes L_y - lam L_d     (equations 10 to 15).

In the place of -L_d may stand another divergence g of the domains, which F makes small:

    distances of f (CORAL, MMD)         no D         C: L_y             F: L_y + lam g
    a distance of f and C(f) (JMMD)     no D         C: L_y + lam g     F: L_y + lam g
    a critic's Wasserstein distance     D: -g + penalty of its slope    F: L_y + lam g
    two predictors that disagree        D: L_y(D) - g     C: L_y - g    F: L_y + L_y(D) + lam g
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
from repkit.dann.divergences import pull_of
from repkit.dann.parts import Divergence, Entropy, Updates
from repkit.engine.batches import Batch, to_float
from repkit.engine.modes import evaluating
from repkit.engine.ranks import here, pooled
from repkit.engine.system import Phase, System
from repkit.losses import (
    class_confusion,
    estimate_shares,
    information,
    reverse,
    virtual_adversarial,
    weighted_cross_entropy,
    weighted_squared_error,
)
from repkit.nets import set_rows
from repkit.schedules import LAMBDAS, dann_ramp, rise

__all__ = ["Alignment", "Objective", "dann"]

KEPT = 0.1  # of an equal share, which each class keeps in an estimated prior


@parameters
class Alignment:
    """The paper's two losses, for classes and for numbers.

    Parameters
    ----------
    updates : {"joint", "alternating"} or Updates, default="joint"
        One step of all networks through the reversal; or D, then C, then F, each on its own.
    divergence : str, Divergence or None, default="adversarial"
        What F makes small with the weight ``lam``: see the table above.
    lam : "ramp", float or callable, default="ramp"
        Progress to the weight of the divergence in F.
    augment, strong_augment : callable, optional
        Map a float batch to one of the same shape, labels kept; they draw from torch's global
        generator. All rows go through the strong one, or the other if there is no strong one. The
        target rows of which the averaged networks make pseudo-labels go through ``augment``.
    """

    updates: Any = part(Updates, default="joint")
    divergence: Any = part(Divergence, default="adversarial")
    lam: Any = schedule(LAMBDAS, default="ramp", numbers=True)
    augment: Callable[[Tensor], Tensor] | None = function(default=None)
    strong_augment: Callable[[Tensor], Tensor] | None = function(default=None)


@parameters
class Objective(Alignment):
    """What is added to the paper's losses for classes; all additions are off by default.

    Parameters
    ----------
    conditional : {False, True, "entropy"}, default=False
        D reads the multilinear map of f and the predicted probabilities (CDAN, equation 6);
        "entropy" weights rows by ``1 + exp(-H)``, so that certain ones count more (CDAN+E).
    entropy : float or Entropy, default=0.0
        Weight of `losses.information` on the target predictions, the radius of
        `losses.virtual_adversarial`, and the weight of `losses.class_confusion`; all along the
        paper's ramp.
    consistency : float or Consistency, default=0.0
        Weight of the cross-entropy between the averaged networks' prediction on weakly augmented
        target rows, where it is certain enough, and the prediction on the strongly augmented ones
        (French et al. 2018).
    updates : {"joint", "alternating"} or Updates, default="joint"
        One step of all networks through the reversal; or D, then C, then F, each on its own.
    divergence : str, Divergence or None, default="adversarial"
        What F makes small with the weight ``lam``: see the table above.
    lam : "ramp", float or callable, default="ramp"
        Progress to the weight of the divergence in F.
    augment, strong_augment : callable, optional
        Map a float batch to one of the same shape, labels kept; they draw from torch's global
        generator. All rows go through the strong one, or the other if there is no strong one. The
        target rows of which the averaged networks make pseudo-labels go through ``augment``.
    """

    conditional: bool | str = choice(False, True, "entropy", default=False)
    entropy: Any = part(Entropy, default=0.0)
    consistency: Any = part(Consistency, default=0.0)


def dann(
    networks: Mapping[str, nn.Module],
    *,
    labeled: int,
    layout: Sequence[tuple[int, int]],
    objective: Objective | None = None,
    regression: bool = False,
    prior: Tensor | None = None,
    target_rows: Callable[[], tuple[Tensor, Sequence[tuple[int, int]]]] | None = None,
) -> System:
    """Make the system of feature extractor, label predictor and domain classifier.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        F: ``x -> (n, features)``; C: ``-> (n, classes)`` logits, or outputs of a regression; D, if
        the divergence has one: ``-> (n, domains)`` logits, a number for each pair of domains, or
        what C gives.
    labeled : int
        Number of rows of a batch, from the first, whose ``y`` is used. No other is ever read.
        Batches may have a ``weight`` of each row, for the label loss.
    layout : sequence of (count, domain)
        The parts of a batch, in order. Those after the labeled rows are of targets; without any,
        training is plainly supervised.
    objective : Objective, optional
        Its defaults, if there is none.
    regression : bool, default=False
        Whether ``y`` holds numbers, (n, outputs), and L_y is the squared error.
    prior : Tensor of shape (classes,), optional
        Shares, above 0, to which the information term balances the classes; equal ones by default.
    target_rows : callable, optional
        ``() -> (x, layout)``: target rows, and their parts, from which the prior is estimated at
        the start of every epoch. What is given as ``prior`` are the shares among labeled rows then.

    Returns
    -------
    System
        With one group, "net", or with the groups D, C and F.
    """
    o = check_parameters(objective or Objective())
    certain, pseudo = o.entropy, o.consistency
    strong = o.augment if o.strong_augment is None else o.strong_augment
    starts = accumulate((count for count, _ in layout), initial=0)
    target = [part for part, start in zip(layout, starts, strict=False) if start >= labeled]
    adapting = bool(target)
    learned = None if prior is None else prior.clone()

    def predicted(outputs: Tensor) -> Tensor:
        return outputs if regression else F.softmax(outputs, 1)

    def supervised(outputs: Tensor, b: Batch) -> Tensor:
        """L_y of the labeled rows, each with its weight."""
        loss = weighted_squared_error if regression else weighted_cross_entropy
        return loss(outputs, b.y[:labeled], getattr(b, "weight", None))

    pull = None
    if adapting and o.divergence.kind is not None:
        pull = pull_of(
            o.divergence,
            layout=layout,
            labeled=labeled,
            conditional=o.conditional,
            predicted=predicted,
            label_loss=supervised,
        )
    all_outputs = adapting and bool(
        certain.weight or certain.confusion or pseudo.weight or (pull and pull.reads_outputs)
    )

    def forward(n: SimpleNamespace, b: Batch) -> None:
        x = to_float(b.x)
        set_rows(networks["F"], layout)
        b.f = n.F(x if strong is None else strong(x))
        if pseudo.weight and adapting:
            # The teacher's labels; b.y of these rows is not touched.
            set_rows(n.ema.F, target)
            rows = x[labeled:]
            seen = rows if o.augment is None else o.augment(rows)
            proba = F.softmax(n.ema.C(n.ema.F(seen)).float(), 1)
            b.certainty, b.guess = proba.max(1)

    def label_loss(n: SimpleNamespace, b: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The loss, C's outputs for the rows that are needed, and what goes to the history."""
        logits = n.C(b.f if all_outputs else b.f[:labeled]).float()
        loss = supervised(logits[:labeled], b)
        logs = {"label_loss": loss}
        if adapting and certain.weight:
            logs["information_loss"] = information(pooled(logits[labeled:]), prior)
            loss = loss + certain.weight * b.ramp * logs["information_loss"]
        if adapting and certain.confusion:
            logs["confusion_loss"] = class_confusion(pooled(logits[labeled:]))
            loss = loss + certain.confusion * b.ramp * logs["confusion_loss"]
        if adapting and pseudo.weight:
            rows = F.cross_entropy(logits[labeled:], b.guess, reduction="none")
            # Over all rows, not over the certain ones: few certain rows are little evidence.
            logs["pseudo_loss"] = torch.where(b.certainty >= pseudo.threshold, rows, 0.0).mean()
            loss = loss + pseudo.weight * b.late * logs["pseudo_loss"]
        if adapting and certain.smoothness:
            set_rows(networks["F"], target)
            with evaluating(n.F, n.C):
                logs["smoothness_loss"] = virtual_adversarial(
                    lambda x: n.C(n.F(x)), to_float(b.x[labeled:]), certain.smoothness
                )
            loss = loss + b.ramp * logs["smoothness_loss"]
        return loss, logits, logs

    def logged(gap: Tensor) -> dict[str, Tensor]:
        return {"domain_loss": -gap} if o.divergence.kind == "adversarial" else {"divergence": gap}

    def joint(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        loss, outputs, logs = label_loss(n, b)
        if pull is None:
            return {"net": loss, **logs}
        if pull.own is not None:
            loss = loss + pull.own(n, b, b.f)
        if pull.against:
            gap = pull.gap(n, b, reverse(b.f, b.lam), outputs)
            loss = loss - gap
        else:
            gap = pull.gap(n, b, b.f, outputs)
            loss = loss + b.lam * gap
        return {"net": loss, **logs, **logged(gap)}

    def domain_classifier(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        assert pull is not None
        with torch.no_grad():
            outputs = n.C(b.f).float() if pull.reads_outputs else b.f
        loss = -pull.gap(n, b, b.f, outputs)
        return {"D": loss if pull.own is None else loss + pull.own(n, b, b.f)}

    def label_predictor(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        loss, outputs, _ = label_loss(n, b)
        if pull is not None and "C" in pull.against:
            loss = loss - pull.gap(n, b, b.f, outputs)
        if pull is not None and "C" in pull.along:
            loss = loss + b.lam * pull.gap(n, b, b.f, outputs)
        return {"C": loss}

    def feature_extractor(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        loss, outputs, logs = label_loss(n, b)
        if pull is None:
            return {"F": loss, **logs}
        if pull.own is not None and pull.shared:
            loss = loss + pull.own(n, b, b.f)
        gap = pull.gap(n, b, b.f, outputs)
        return {"F": loss + b.lam * gap, **logs, **logged(gap)}

    def estimate(n: SimpleNamespace, step: int) -> None:
        """The prior, from what the averaged networks predict for the target rows."""
        assert prior is not None
        assert learned is not None
        assert target_rows is not None
        x, parts = target_rows()
        f, c = (n.ema.F, n.ema.C) if hasattr(n, "ema") else (networks["F"], networks["C"])
        set_rows(f, parts)
        with torch.no_grad(), evaluating(f, c):
            found = estimate_shares(F.softmax(c(f(x)).float(), 1), learned)
        prior.copy_((1.0 - KEPT) * found + KEPT / len(found))
        here().spread_([prior])

    schedules = {"lam": o.lam} if adapting else {}
    if adapting and (certain.weight or certain.smoothness or certain.confusion):
        schedules["ramp"] = dann_ramp
    if adapting and pseudo.weight:
        schedules["late"] = rise(pseudo.start)
    if o.updates.order == "joint":
        phases = [Phase(joint)]
        groups = {"net": tuple(networks)}
    else:
        # f serves all the phases: F, the only network it depends on, steps last.
        phases = [Phase(label_predictor, ("C",)), Phase(feature_extractor, ("F",))]
        if pull is not None and pull.against:
            phases.insert(0, Phase(domain_classifier, ("D",), times=o.updates.d_steps))
        groups = {name: (name,) for name in networks}
    return System(
        networks,
        groups,
        tuple(phases),
        forward=forward,
        schedules=schedules,
        refresh=estimate if adapting and target_rows is not None else None,
    )
