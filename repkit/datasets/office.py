"""Office-Caltech10: ten kinds of objects in four picture collections, as SURF bags of words."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from repkit._arguments import choice
from repkit.datasets._fetch import Arrays, as_uint8, npz, read

__all__ = [
    "OFFICE_DOMAINS",
    "load_office_caltech",
]

OFFICE_DOMAINS = ("amazon", "caltech", "dslr", "webcam")


def load_office_caltech(domain: str) -> Bunch:
    """Load one domain of Office-Caltech10, 800-bin SURF histograms (Gong et al., CVPR 2012).

    Parameters
    ----------
    domain : {"amazon", "caltech", "dslr", "webcam"}
        Collection of pictures.

    Returns
    -------
    data : Bunch
        ``data`` float32 (n, 800) of whole counts, n = 958, 1123, 157 or 295; ``target`` int64
        (n,), 0 to 9. There is no official split. Rows are usually divided by their sums, and
        columns then standardized within each domain.

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
    Downloaded if needed, from a copy of the authors' release on GitHub, at one commit.
    """
    choice(domain, "domain", OFFICE_DOMAINS)
    data = read(f"office_caltech/{domain}", partial(_parse, domain=domain))
    return Bunch(data=data["x"].astype(np.float32), target=data["y"].astype(np.int64))


def _parse(path: Path, domain: str) -> Arrays:
    if path.suffix == ".npz":
        packed = npz(path, (f"x_{domain}", f"y_{domain}"))
        return {"x": packed[f"x_{domain}"], "y": packed[f"y_{domain}"]}
    from scipy.io import loadmat

    mat = loadmat(path, variable_names=["fts", "labels"])
    return {"x": as_uint8(mat["fts"]), "y": as_uint8(mat["labels"].ravel().astype(int) - 1)}
