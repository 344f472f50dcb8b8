"""Disentanglement: does each code of a representation stand for one factor of the data?

Six published scores with the constants of Locatello et al. (ICML 2019), each a function of codes
(n, d) and true factors (n, k), and one call for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from repkit._arguments import function, shown
from repkit._random import check_seed
from repkit.metrics.disentanglement._beta_vae import beta_vae_score
from repkit.metrics.disentanglement._dci import dci
from repkit.metrics.disentanglement._factor_vae import factor_vae_score
from repkit.metrics.disentanglement._mig import mig
from repkit.metrics.disentanglement._modularity import modularity_explicitness
from repkit.metrics.disentanglement._sap import sap

__all__ = [
    "beta_vae_score",
    "dci",
    "disentanglement_scores",
    "factor_vae_score",
    "mig",
    "modularity_explicitness",
    "sap",
]

_SCORES = ("mig", "dci", "sap", "factor_vae", "beta_vae", "modularity_explicitness")


def disentanglement_scores(
    codes: Any,
    factors: Any,
    *,
    scores: Sequence[str] = _SCORES,
    model: Any = "gradient_boosting",
    encode: Callable[[np.ndarray], Any] | None = None,
    random_state: Any = 0,
) -> dict[str, float]:
    """Compute several disentanglement scores with their published constants.

    At full size (15 000 rows, 10 codes, the 5 factors of dSprites) DCI takes some minutes with its
    published `model`. All others take about 3 seconds together on one core.

    Parameters
    ----------
    codes : array of shape (n, d)
        Representation, at least two columns. 15 000 rows give the published sizes.
    factors : array of shape (n, k)
        True factors as whole numbers, at least two columns.
    scores : sequence of str, default=all
        Which scores to compute: "mig", "dci", "sap", "factor_vae", "beta_vae" and
        "modularity_explicitness".
    model : {"gradient_boosting", "random_forest"} or classifier, default="gradient_boosting"
        Classifier of :func:`dci`. "random_forest" takes 5 to 10 seconds.
    encode : callable, optional
        Maps factors (m, k) to the codes (m, d) of samples that have them, for
        :func:`factor_vae_score` and :func:`beta_vae_score`.
    random_state : int, RandomState, Generator or None, default=0
        Draws rows and batches. Given an int, each score equals that computed alone.

    Returns
    -------
    values : dict of str to float
        All that the functions return. Names from :func:`dci` start with ``dci_``.

    Raises
    ------
    ValueError
        If a name is unknown, or a score refuses the codes or factors.
    """
    several = isinstance(scores, list | tuple | set | frozenset | np.ndarray) and len(scores)
    if not several or any(not isinstance(s, str) or s not in _SCORES for s in scores):
        raise ValueError(
            f"scores must be a sequence of names among {list(_SCORES)}, not {shown(scores)}"
        )
    function(encode, "encode", "factors -> codes")
    check_seed(random_state)
    functions: dict[str, Callable[..., dict[str, float]]] = {
        "mig": mig,
        "dci": partial(dci, model=model),
        "sap": sap,
        "factor_vae": partial(factor_vae_score, encode=encode),
        "beta_vae": partial(beta_vae_score, encode=encode),
        "modularity_explicitness": modularity_explicitness,
    }
    values: dict[str, float] = {}
    for name in scores:
        found = functions[name](codes, factors, random_state=random_state)
        prefix = "dci_" if name == "dci" else ""
        values |= {prefix + key: value for key, value in found.items()}
    return values
