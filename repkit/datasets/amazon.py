"""Amazon product reviews from four domains, positive and negative."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, load_npz
from sklearn.datasets import load_svmlight_file
from sklearn.utils import Bunch

from repkit._arguments import choice
from repkit.datasets._fetch import Arrays, as_uint8, fetch, read

__all__ = [
    "AMAZON_DOMAINS",
    "load_amazon_reviews",
]

AMAZON_DOMAINS = ("books", "dvd", "electronics", "kitchen")
_N_FEATURES = 5000


def load_amazon_reviews(domain: str) -> Bunch:
    """Load one domain of the Amazon reviews (Blitzer et al. 2007) as bags of words.

    The 5000 most frequent unigrams and bigrams over all domains (Chen et al. 2012), as used for
    table 1 of Ganin et al., JMLR 2016.

    Parameters
    ----------
    domain : {"books", "dvd", "electronics", "kitchen"}
        Kind of product.

    Returns
    -------
    data : Bunch
        ``x_train`` CSR matrix float32 (2000, 5000) of whole counts; ``y_train`` int64 (2000,),
        1 = positive, 0 = negative, 1000 of each; ``x_test`` and ``y_test`` of 4465 (books),
        3586 (dvd), 5681 (electronics) or 5945 (kitchen) rows.

    Raises
    ------
    ValueError
        If `domain` is unknown.
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache, and cannot be downloaded.
    OSError
        If a file is torn, altered or of another version.
    ImportError
        If pooch, which downloads, is needed but missing: install the extra `data`.

    Notes
    -----
    Downloaded if needed, from the repository of the paper's authors (GRAAL), at one commit.
    """
    choice(domain, "domain", AMAZON_DOMAINS)
    bunch = Bunch()
    for part in ("train", "test"):
        name = f"{domain}_{part}"
        data = read(f"amazon_reviews/{name}", partial(_parse, name=name))
        counts = (data["data"].astype(np.float32), data["indices"], data["indptr"])
        bunch[f"x_{part}"] = csr_matrix(counts, shape=(len(data["y"]), _N_FEATURES))
        bunch[f"y_{part}"] = data["y"].astype(np.int64)
    return bunch


def _parse(path: Path, name: str) -> Arrays:
    if path.suffix == ".npz":
        counts = csr_matrix(load_npz(path))
        with np.load(fetch("amazon_reviews/labels"), allow_pickle=False) as labels:
            y = labels[name]
    else:
        # Columns count from 0; n_features keeps those that no row of this file uses.
        counts, signs = load_svmlight_file(str(path), n_features=_N_FEATURES, zero_based=True)
        if not np.isin(signs, (-1, 1)).all():
            raise ValueError("labels other than -1 and 1")
        y = signs > 0
    counts.sort_indices()
    return {
        "data": as_uint8(counts.data),
        "indices": counts.indices.astype(np.int32),
        "indptr": counts.indptr.astype(np.int32),
        "y": as_uint8(y),
    }
