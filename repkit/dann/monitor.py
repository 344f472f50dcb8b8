"""Internal. What is watched while a `DANN` trains, and what is said about it at the end."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from repkit._arguments import shown
from repkit.dann.rows import Domains
from repkit.engine.batches import to_device
from repkit.engine.rng import Kind, generator_of
from repkit.metrics import (
    batch_nuclear_norm,
    information_maximization,
    logit_matrix_norm,
    prediction_entropy,
    soft_neighborhood_density,
)

if TYPE_CHECKING:
    import pandas as pd


# How far predicted shares on the target may be from those of the source before a warning. Of 28
# pairs of domains (gas sensors, PACS, Office-Caltech, small digits), DANN with nothing set lost on
# five of the seven beyond NEAR, 6.6 points in the mean; on the others it lost nothing in the mean.
FAR = 0.4
NEAR = 0.2  # where a divergence pulls the shares together
SOON = 4  # epochs; before, it is too early to say
ROWS = 512  # of each side, a sample that is drawn once
PAIRED_ROWS = 256  # of them, for the score that compares all pairs


class ShareWarning(UserWarning):
    """Predicted shares of the classes on target rows are far from the shares among source rows."""


class GuardWarning(UserWarning):
    """The weights in use after a fit are those of the twin without adaptation."""


class Monitor:
    """The label-free columns of an epoch's row.

    Parameters
    ----------
    look : callable
        ``(x, places) -> (features, outputs of C, domain logits)`` of the networks as they are; None
        for domain logits if there is no domain classifier.
    take : callable
        ``rows -> x``: samples on the device, as the networks see them.
    domains : Domains
        Of the rows of X.
    device : torch.device
        Where the networks are.
    seed : int
        Of the sample of rows that is looked at.
    shares : ndarray of shape (classes,), optional
        Shares of the classes among the labeled rows. Without them, there are no classes.
    score : callable, optional
        ``() -> float``: what a scorer says of the model as it is.
    """

    def __init__(
        self,
        look: Callable[[Tensor, np.ndarray], tuple[Tensor, Tensor, Tensor | None]],
        take: Callable[[np.ndarray], Tensor],
        domains: Domains,
        *,
        device: torch.device,
        seed: int,
        shares: np.ndarray | None = None,
        score: Callable[[], float] | None = None,
    ) -> None:
        rng = generator_of(seed, Kind.MONITOR)
        source, target = (rng.permutation(rows)[:ROWS] for rows in (domains.source, domains.target))
        rows = np.concatenate([source, target])
        self.look, self.shares, self.score = look, shares, score
        self.n_source = len(source)
        self.places = domains.rows[rows]
        self.chance = float(np.bincount(self.places).max() / len(rows))
        self.x = take(rows)
        self.domain = to_device(self.places, device)

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        """Look at the networks; scores are greater the better."""
        _, logits, found = self.look(self.x, self.places)
        row: dict[str, float] = {}
        if found is not None:
            row["domain_accuracy"] = float((found.argmax(1) == self.domain).float().mean())
            row["domain_chance"] = self.chance
        if self.shares is not None:
            proba = torch.softmax(logits[self.n_source :], 1)
            row["entropy"] = -prediction_entropy(proba)
            row["infomax"] = information_maximization(proba)
            row["bnm"] = batch_nuclear_norm(proba)
            row["mano"] = logit_matrix_norm(proba)
            few = proba[:PAIRED_ROWS]
            row["snd"] = soft_neighborhood_density(few, device=few.device)
            predicted = proba.mean(0).double().cpu().numpy()
            row["share_distance"] = float(0.5 * np.abs(predicted - self.shares).sum())
            row["share_chance"] = self._share_chance(len(proba))
        if self.score is not None:
            row["score"] = float(self.score())
        return row

    def _share_chance(self, n: int) -> float:
        """The distance that samples of ``n`` target rows would have from equal shares."""
        assert self.shares is not None
        return float(np.sqrt(self.shares * (1 - self.shares) / (2 * np.pi * n)).sum())


def judge_adversary(history: pd.DataFrame) -> None:
    """Warn of a domain classifier that learned nothing, or that nothing could fool."""
    if "failed_step" in history or len(history) < SOON:
        return
    late = history.tail(len(history) // 4)
    adversarial = "domain_loss" in history
    loss = history["domain_loss" if adversarial else "divergence"]
    if (loss - loss.iloc[0]).abs().max() < 1e-6:
        who = (
            "the domain classifier is dead: its loss stayed at"
            if adversarial
            else "the divergence is dead: it stayed at"
        )
        warnings.warn(
            f"{who} {loss.iloc[0]:.4g}; a network passes no gradient, look at heads__domain and "
            "backbone",
            ConvergenceWarning,
            stacklevel=6,
        )
    elif adversarial and (late["domain_accuracy"] > 0.99).all() and (late["lam"] > 0).all():
        warnings.warn(
            "the adversary has collapsed: the domain classifier tells the domains apart without "
            "fail, so the features are not adapted; raise lam, lower learning_rate, or give the "
            "domain classifier less",
            ConvergenceWarning,
            stacklevel=6,
        )


def judge_shares(history: pd.DataFrame, epoch: int, aligned: bool) -> None:
    """Warn where predicted shares of the classes on target rows part far from the source's.

    With ``aligned``, a divergence has pulled both sides together, which harms where shares differ.
    """
    row = history.iloc[epoch - 1]
    aligned = aligned and len(history) >= SOON
    far = max(NEAR if aligned else FAR, 2 * row["share_chance"])
    if "failed_step" in history or not row["share_distance"] > far:
        return
    harm = (
        "; where shares differ, aligning the domains harms: select__guard=True keeps a twin "
        "without adaptation where that is safer, and divergence=None with entropy or consistency "
        "aligns nothing"
        if aligned
        else ""
    )
    warnings.warn(
        f"the shares of the classes predicted for target rows part from those of the source rows "
        f"by {row['share_distance']:.2f} (half the sum of differences; above {far:.2g} is far): "
        "either the target has other shares, or lacks classes, and entropy__prior='estimate' may "
        f"help, or the features are not adapted; look at the predictions{harm}",
        ShareWarning,
        stacklevel=6,
    )


def tell_of_guard(adapted: str) -> None:
    """Warn that a fit gives the twin without adaptation, and not the weights of this name."""
    warnings.warn(
        "the target rows do not speak for the adapted weights, so those of the twin without "
        f"adaptation are in use (select__guard=True); use({adapted!r}) gives the adapted ones",
        GuardWarning,
        stacklevel=6,
    )


def scored(select: Callable[..., Any], model: Any, X: Any, y: Any, sample_domain: Any) -> float:
    """What a scorer says; an error names the parameter that it was given as."""
    wanted = "select must map (estimator, X, y, sample_domain) to a number"
    try:
        found = select(model, X, y, sample_domain=sample_domain)
    except Exception as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{wanted}, but {shown(select)} fails: {error}") from error
    if isinstance(found, bool | str) or not hasattr(found, "__float__"):
        raise TypeError(f"{wanted}; {shown(select)} gives {shown(found)}")
    return float(found)
