"""What is watched of the codes of an `InfoGAN` while it trains."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from repkit.engine.batches import mix, to_device
from repkit.infogan.algorithm import Codes
from repkit.losses import information

if TYPE_CHECKING:
    import pandas as pd

    from repkit.infogan.codes import Coded

ROWS = 512  # generated samples, always of the same codes
IGNORED = 0.1  # of what can be known of a code: less is nothing


class CodeMonitor:
    """The columns of an epoch's row that are about the codes.

    Parameters
    ----------
    model : Coded
        Its networks as they are at the time of a call.
    X : ndarray
        Held-back data.
    seed : int
    """

    def __init__(self, model: Coded, X: np.ndarray, seed: int) -> None:
        self.model, self.codes = model, model._codes()
        self.x = torch.as_tensor(to_device(X, model.device_))
        latents = model._latents(ROWS, np.random.default_rng(mix(seed, 5)))
        self.latents = torch.from_numpy(latents).to(model.device_)

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        n, codes = self.model.networks_, self.codes
        logits, means, _ = codes.split(n["Q"](n["B"](n["G"](self.latents))))
        drawn, values, _ = codes.split(self.latents[:, codes.noise_dim :])
        real, _, _ = codes.split(n["Q"](n["B"](self.model._scaler(self.x.device)(self.x))))
        row = {}
        for k, (q, code) in enumerate(zip(logits, drawn, strict=True)):
            most = math.log(code.shape[1])
            nll = -(code * torch.log_softmax(q.float(), 1)).sum(1).mean()
            row[f"information_category{k}"] = most - nll.item()
            hit = q.argmax(1) == code.argmax(1)
            row[f"accuracy_category{k}"] = hit.float().mean().item()
            used = torch.softmax(real[k].float(), 1).mean(0)
            row[f"usage_category{k}"] = -torch.special.xlogy(used, used).sum().item() / most
        error = (values - means.float()).square().mean(0)
        for k, e in enumerate(error.tolist()):
            # With the variance that fits best; the entropy of the prior on [-1, 1] is log 2.
            bound = math.log(2.0) - 0.5 * math.log(2.0 * math.pi * math.e * max(e, 1e-12))
            row[f"information_continuous{k}"] = bound
            row[f"accuracy_continuous{k}"] = 1.0 - 3.0 * e  # the prior's variance is 1/3
        row["score"] = -sum(information(q).item() for q in real) if real else -float(error.mean())
        return row


def judge_codes(history: pd.DataFrame, codes: Codes) -> None:
    """Warn of codes that cannot be read off the samples: G ignores them."""
    if "failed_step" in history:
        return
    last = history.iloc[-1]
    ignored = [
        f"category{k}"
        for k, size in enumerate(codes.categorical)
        if last[f"information_category{k}"] < IGNORED * math.log(size)
    ]
    ignored += [
        f"continuous{k}"
        for k in range(codes.continuous)
        if last[f"accuracy_continuous{k}"] < IGNORED
    ]
    if ignored:
        warnings.warn(
            f"the generator ignores {', '.join(ignored)}: what it makes does not tell them. Train "
            "longer (max_epochs), or raise lam_categorical or lam_continuous.",
            ConvergenceWarning,
            stacklevel=3,
        )
