"""PACS: seven kinds of things as photographs, paintings, cartoons and sketches."""

from __future__ import annotations

from functools import partial

import numpy as np
from sklearn.utils import Bunch

from repkit._arguments import choice
from repkit.datasets._fetch import npz, read

__all__ = [
    "PACS_DOMAINS",
    "load_pacs_deep",
]

PACS_DOMAINS = ("art_painting", "cartoon", "photo", "sketch")


def load_pacs_deep(domain: str) -> Bunch:
    """Load one domain of PACS (Li et al., ICCV 2017) as features of a network that is not tuned.

    The features are the mean over the last feature map, 1280 channels, of an EfficientNet-Lite2
    that was trained on ImageNet and never saw PACS. A logistic regression of one domain reads
    .26 to .96 of another, and .87 to .98 of its own.

    Parameters
    ----------
    domain : {"art_painting", "cartoon", "photo", "sketch"}
        Style of the pictures.

    Returns
    -------
    data : Bunch
        ``data`` float32 (n, 1280), at least 0, n = 2048, 2344, 1670 or 3929; ``target`` int64
        (n,), 0 to 6; ``target_names``, a tuple of 7: dog, elephant, giraffe, guitar, horse, house,
        person. There is no split: all pictures of a domain are source, or target.

    Raises
    ------
    ValueError
        If `domain` is unknown.
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache; it is published nowhere.
    OSError
        If a file is torn, altered or of another version.

    Notes
    -----
    No license of the pictures is stated. The features are rounded to 256 steps.
    """
    choice(domain, "domain", PACS_DOMAINS)
    keys = ("x", "step", "y", "domain", "domains", "names")
    data = read("pacs_deep", partial(npz, keys=keys))
    rows = data["domain"] == data["domains"].tolist().index(domain)
    return Bunch(
        data=data["x"][rows] * np.float32(data["step"]),
        target=data["y"][rows].astype(np.int64),
        target_names=tuple(data["names"].tolist()),
    )
