"""Internal. Adaptation of a trained model to target rows alone, without a source.

SHOT (Liang et al. 2020): C, the source's hypothesis, stays; F minimizes

    mean H(p) - H(mean p) + beta CE(p, guess)          (equations 3, 4 and 7),

where p is the prediction for target rows, and guess is the class whose centroid is the nearest to
the features (equations 5 and 6), for all rows anew at the start of every epoch.

DIRT-T (Shu et al. 2018): F and C minimize

    mean H(p) + V + KL(p_before || p)                  (equation 11, divided by lambda),

where V is the virtual adversarial term, and p_before the prediction of the networks as they were
at the start of the epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.engine.batches import Batch, to_float
from repkit.engine.modes import evaluating
from repkit.engine.system import Phase, System
from repkit.losses import entropy, information, virtual_adversarial
from repkit.nets import set_rows

View = Callable[[Tensor], Tensor] | None
Layout = Sequence[tuple[int, int]]


def shot(
    networks: Mapping[str, nn.Module],
    *,
    everything: Callable[[], tuple[Tensor, Tensor]],
    guess: Tensor,
    beta: float,
    layout: Layout,
    augment: View = None,
) -> System:
    """Make the system of SHOT.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        F and C.
    everything : callable
        ``() -> (features, probabilities)`` of all target rows, in evaluation mode.
    guess : int64 Tensor of shape (n,)
        Where the class of each row is written; batches have their rows of it.
    beta : float
        Weight of the pseudo-labels.
    layout : sequence of (count, domain)
        The one part of a batch, and its domain.
    augment : callable, optional
        What the rows of a batch go through.

    Returns
    -------
    System
        With the group F.
    """

    def loss(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        x = to_float(b.x)
        set_rows(networks["F"], layout)
        outputs = n.C(n.F(x if augment is None else augment(x))).float()
        certain, pseudo = information(outputs), F.cross_entropy(outputs, b.guess)
        total = certain + beta * pseudo
        return {"F": total, "information_loss": certain, "pseudo_loss": pseudo}

    def refresh(n: SimpleNamespace, step: int) -> None:
        guess.copy_(nearest_centroids(*everything()))

    return System(networks, {"F": ("F",)}, (Phase(loss),), refresh=refresh)


@torch.no_grad()
def nearest_centroids(f: Tensor, p: Tensor) -> Tensor:
    """The class of each row whose centroid has the nearest direction.

    Centroids are first weighted by the predictions, then taken over the rows nearest to the first
    ones. A class that no row is predicted to be of has none.

    Parameters
    ----------
    f : Tensor of shape (n, d)
        Features.
    p : Tensor of shape (n, classes)
        Predicted probabilities.

    Returns
    -------
    Tensor of shape (n,)
        Classes.
    """
    # As in the authors' code, a column of ones: rows of small features have a direction, too.
    f = F.normalize(torch.cat([f.float(), f.new_ones(len(f), 1).float()], 1), dim=1)
    absent = torch.bincount(p.argmax(1), minlength=p.shape[1]) == 0
    weight = p.float()
    for _ in range(2):
        centroids = weight.T @ f / weight.sum(0).clamp_min(1e-8)[:, None]
        similar = f @ F.normalize(centroids, dim=1).T
        found = similar.masked_fill(absent, -2.0).argmax(1)
        weight = F.one_hot(found, p.shape[1]).float()
    return found


def dirt_t(
    networks: Mapping[str, nn.Module],
    *,
    smoothness: float,
    layout: Layout,
    augment: View = None,
) -> System:
    """Make the system of DIRT-T.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        F and C.
    smoothness : float
        Radius of the virtual adversarial term; 0 leaves it out.
    layout : sequence of (count, domain)
        The one part of a batch, and its domain.
    augment : callable, optional
        What the rows of a batch go through.

    Returns
    -------
    System
        With the group "net".
    """
    before = SimpleNamespace(**{k: copy.deepcopy(m).eval() for k, m in networks.items()})

    def loss(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        x = to_float(b.x)
        set_rows(networks["F"], layout)
        outputs = n.C(n.F(x if augment is None else augment(x))).float()
        with torch.no_grad():
            p = F.softmax(before.C(before.F(x)).float(), 1)
        certain = entropy(outputs).mean()
        kept = F.kl_div(F.log_softmax(outputs, 1), p, reduction="batchmean")
        total, logs = certain + kept, {"entropy_loss": certain, "distance": kept}
        if smoothness:
            with evaluating(n.F, n.C):
                logs["smoothness_loss"] = virtual_adversarial(lambda x: n.C(n.F(x)), x, smoothness)
            total = total + logs["smoothness_loss"]
        return {"net": total, **logs}

    def refresh(n: SimpleNamespace, step: int) -> None:
        set_rows(before.F, layout)
        for name, network in networks.items():
            getattr(before, name).to(next(network.parameters()).device)
            getattr(before, name).load_state_dict(network.state_dict())

    return System(networks, {"net": ("F", "C")}, (Phase(loss),), refresh=refresh)
