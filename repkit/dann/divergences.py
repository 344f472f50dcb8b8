"""Internal. What pulls the features of the domains together: one rule for each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor

from repkit.dann.parts import Divergence
from repkit.engine.batches import Batch
from repkit.engine.compiling import plain
from repkit.engine.ranks import averaged, pooled
from repkit.losses import (
    coral,
    discrepancy,
    entropy,
    joint_mmd,
    mmd,
    multilinear,
    slope_penalty,
    wasserstein,
)

Layout = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Pull:
    """A divergence, and who works for and against it.

    Parameters
    ----------
    gap : callable
        ``(n, b, f, outputs) -> Tensor``, of the features f = F(x) and of C's outputs for them: what
        F makes small.
    against : tuple of str
        The networks that make it great instead.
    along : tuple of str
        The networks that make it small with F.
    own : callable, optional
        ``(n, b, f) -> Tensor``: what else D minimizes.
    shared : bool
        Whether F minimizes that, too.
    reads_outputs : bool
        Whether ``gap`` reads C's outputs.
    """

    gap: Callable[[SimpleNamespace, Batch, Tensor, Tensor], Tensor]
    against: tuple[str, ...] = ()
    along: tuple[str, ...] = ()
    own: Callable[[SimpleNamespace, Batch, Tensor], Tensor] | None = None
    shared: bool = False
    reads_outputs: bool = False


def pull_of(
    divergence: Divergence,
    *,
    layout: Layout,
    labeled: int,
    conditional: bool | str,
    predicted: Callable[[Tensor], Tensor],
    label_loss: Callable[[Tensor, Batch], Tensor],
) -> Pull:
    """Make the rule of a kind of divergence.

    Parameters
    ----------
    divergence : Divergence
        Of a kind that is not None.
    layout : sequence of (count, domain)
        The parts of a batch, in order.
    labeled : int
        Number of rows with labels, the first ones.
    conditional : bool or "entropy"
        Whether the domain classifier reads the multilinear map of features and predictions.
    predicted : callable
        Outputs of C to predictions: probabilities, or the outputs themselves.
    label_loss : callable
        ``(outputs of the labeled rows, b) -> Tensor``.

    Returns
    -------
    Pull
    """
    starts = list(accumulate((count for count, _ in layout), initial=0))
    n_domains = 1 + max(domain for _, domain in layout)
    rows = [
        [slice(a, a + count) for a, (count, k) in zip(starts, layout, strict=False) if k == domain]
        for domain in range(n_domains)
    ]
    pairs = list(combinations(range(n_domains), 2))

    def apart(x: Tensor) -> list[Tensor]:
        """The rows of each domain."""
        return [torch.cat([x[part] for part in parts]) for parts in rows]

    def over_pairs(distance: Callable[..., Tensor], *of: Tensor) -> Tensor:
        """Mean of a distance over all pairs of domains."""
        parts = [[pooled(rows) for rows in apart(x)] for x in of]
        found = [distance(*(x[k] for x in parts for k in pair)) for pair in pairs]
        return torch.stack(found).mean()

    def adversarial(n: SimpleNamespace, b: Batch, f: Tensor, outputs: Tensor) -> Tensor:
        """Minus the loss of the domain classifier."""
        if not conditional:
            return -F.cross_entropy(n.D(f).float(), b.domain)
        outputs = outputs.detach()  # the prediction is a condition: it is not trained to fool D
        seen = n.D(multilinear(f.float(), F.softmax(outputs, 1))).float()
        losses = F.cross_entropy(seen, b.domain, reduction="none")
        if conditional != "entropy":
            return -losses.mean()
        weight = 1.0 + torch.exp(-entropy(outputs))
        return -(weight * losses).sum() / averaged(weight.sum())

    def critics(n: SimpleNamespace, b: Batch, f: Tensor, outputs: Tensor) -> Tensor:
        """Mean over pairs of what the pair's column of D says of one domain less the other."""
        seen = apart(n.D(f).float())
        found = [wasserstein(seen[i][:, k], seen[j][:, k]) for k, (i, j) in enumerate(pairs)]
        return torch.stack(found).mean()

    def slopes(n: SimpleNamespace, b: Batch, f: Tensor) -> Tensor:
        def critic(k: int) -> Callable[[Tensor], Tensor]:
            return lambda x: plain(n.D)(x)[:, k]

        parts = apart(f)
        found = [slope_penalty(critic(k), parts[i], parts[j]) for k, (i, j) in enumerate(pairs)]
        return divergence.penalty * torch.stack(found).mean()

    def predictors(n: SimpleNamespace, b: Batch, f: Tensor, outputs: Tensor) -> Tensor:
        """How far C and D disagree on target rows; f may be behind a gradient reversal."""
        target = f[labeled:]
        return discrepancy(predicted(n.C(target).float()), predicted(n.D(target).float()))

    def second(n: SimpleNamespace, b: Batch, f: Tensor) -> Tensor:
        return label_loss(n.D(f[:labeled]).float(), b)

    widths = divergence.bandwidths
    rules = {
        "adversarial": Pull(adversarial, against=("D",), reads_outputs=bool(conditional)),
        "wasserstein": Pull(critics, against=("D",), own=slopes),
        "discrepancy": Pull(predictors, against=("C", "D"), own=second, shared=True),
        "coral": Pull(lambda n, b, f, outputs: over_pairs(coral, f)),
        "mmd": Pull(lambda n, b, f, outputs: over_pairs(lambda x, y: mmd(x, y, widths), f)),
        "joint_mmd": Pull(
            lambda n, b, f, outputs: over_pairs(
                lambda x, y, p, q: joint_mmd(x, y, p, q, widths), f, predicted(outputs)
            ),
            along=("C",),
            reads_outputs=True,
        ),
    }
    assert divergence.kind is not None
    return rules[divergence.kind]
