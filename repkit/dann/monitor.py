"""What is watched while a `DANN` trains, and what is said about it at the end."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from repkit.dann.rows import Domains
from repkit.engine.batches import mix, to_device, to_float
from repkit.metrics import (
    information_maximization,
    prediction_entropy,
    soft_neighborhood_density,
)

if TYPE_CHECKING:
    import pandas as pd

    from repkit.dann.estimator import DANN

SCORES = ("entropy", "infomax", "snd")  # columns of history_, greater is better
ROWS = 512  # of each side, a sample that is drawn once
PAIRED_ROWS = 256  # of them, for the score that compares all pairs


class Monitor:
    """The label-free columns of an epoch's row.

    Parameters
    ----------
    model : DANN
        Its networks as they are at the time of a call.
    X : ndarray
    codes : ndarray of int
        Class indices; -1 where the label must not be read.
    domains : Domains
    held_back : ndarray of int
        Source rows for a scorer; none: all source rows.
    seed : int
    """

    def __init__(
        self,
        model: DANN,
        X: np.ndarray,
        codes: np.ndarray,
        domains: Domains,
        held_back: np.ndarray,
        seed: int,
    ) -> None:
        rng = np.random.default_rng(mix(seed, 3))
        source, target = (rng.permutation(rows)[:ROWS] for rows in (domains.source, domains.target))
        rows = np.concatenate([source, target])
        self.model = model
        self.n_source = len(source)
        self.places = domains.rows[rows]
        self.chance = float(np.bincount(self.places).max() / len(rows))
        self.x = torch.as_tensor(to_device(np.array(X[rows]), model.device_))
        self.domain = torch.as_tensor(to_device(self.places, model.device_))
        if callable(model.select):
            scored = np.concatenate(
                [held_back if len(held_back) else domains.source, domains.target]
            )
            # A target row carries the first class, whatever its label: scorers do not read it.
            labels = model.classes_[np.maximum(codes[scored], 0)]
            labels[np.isin(scored, domains.target)] = model.classes_[0]
            self.scored = X[scored], labels, domains.ids[domains.rows[scored]]

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        model = self.model
        features = model._features(to_float(self.x), self.places)
        logits = model.networks_["C"](features).float()
        found = model._domain_logits(features, logits).argmax(1)
        proba = torch.softmax(logits[self.n_source :], 1)
        row = {
            "domain_accuracy": float((found == self.domain).float().mean()),
            "domain_chance": self.chance,
            "entropy": -prediction_entropy(proba),
            "infomax": information_maximization(proba),
            "snd": soft_neighborhood_density(proba[:PAIRED_ROWS]),
        }
        if callable(model.select):
            X, y, sample_domain = self.scored
            row["score"] = float(model.select(model, X, y, sample_domain=sample_domain))
        return row


def judge_adversary(history: pd.DataFrame) -> None:
    """Warn of a domain classifier that learned nothing, or that nothing could fool."""
    if "failed_step" in history or len(history) < 4:
        return
    late = history.tail(len(history) // 4)
    loss = history["domain_loss"]
    if (loss - loss.iloc[0]).abs().max() < 1e-6:
        warnings.warn(
            f"the domain classifier is dead: its loss stayed at {loss.iloc[0]:.4g}. Its network "
            "passes no gradient; look at domain_head.",
            ConvergenceWarning,
            stacklevel=3,
        )
    elif (late["domain_accuracy"] > 0.99).all() and (late["lam"] > 0).all():
        warnings.warn(
            "the adversary has collapsed: the domain classifier tells the domains apart without "
            "fail, so the features are not adapted. Raise lam, lower learning_rate, or give the "
            "domain classifier less.",
            ConvergenceWarning,
            stacklevel=3,
        )
