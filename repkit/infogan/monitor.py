"""Internal. What is watched of the codes while an `InfoGAN` trains."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from repkit.infogan.algorithm import Codes
from repkit.losses import information

if TYPE_CHECKING:
    import pandas as pd

ROWS = 512  # generated samples, always of the same codes
IGNORED = 0.1  # of what can be known of a code: less is nothing


@torch.no_grad()
def watch_codes(
    networks: Mapping[str, nn.Module], codes: Codes, inputs: Tensor, x: Tensor
) -> dict[str, float]:
    """The columns of an epoch's row that are about the codes.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        G, B and Q, in evaluation mode.
    codes : Codes
        What they are.
    inputs : Tensor of shape (n, codes.input_dim)
        What G makes samples of.
    x : Tensor of shape (m, ...)
        Held-back data, as the networks see them.

    Returns
    -------
    dict of str to float
        ``information_``, ``accuracy_`` and ``usage_`` of the codes, and their ``score``.
    """
    G, B, Q = (networks[name] for name in "GBQ")
    logits, means, _ = codes.split(Q(B(G(inputs))))
    drawn, values, _ = codes.split(inputs[:, codes.latent_dim :])
    real, _, _ = codes.split(Q(B(x)))
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
        for k, size in enumerate(codes.sizes)
        if last[f"information_category{k}"] < IGNORED * math.log(size)
    ]
    ignored += [
        f"continuous{k}"
        for k in range(codes.n_continuous)
        if last[f"accuracy_continuous{k}"] < IGNORED
    ]
    if ignored:
        warnings.warn(
            f"the generator ignores {', '.join(ignored)}: what it makes does not tell them; train "
            "longer (max_epochs), or raise categorical__weight or continuous__weight",
            ConvergenceWarning,
            stacklevel=6,
        )
