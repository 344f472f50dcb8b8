"""Gas sensors that drift: six gases, measured over three years."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from repkit._arguments import choice
from repkit.datasets._fetch import Arrays, npz, read

__all__ = [
    "GAS_BATCHES",
    "load_gas_drift",
]

GAS_BATCHES = (1, 2, 3, 4, 5, 6, 8, 9)
_NAMES = ("ethanol", "ethylene", "ammonia", "acetaldehyde", "acetone", "toluene")


def load_gas_drift(batch: int) -> Bunch:
    """Load one batch of the Gas Sensor Array Drift data (Vergara et al. 2012).

    Sixteen metal-oxide sensors met six gases over 36 months, in ten batches in the order of time.
    As they age, a classifier of batch 1 fails: a logistic regression has .83 on batch 2 and
    .34 on batch 9. Of the ten, eight are here.

    Parameters
    ----------
    batch : {1, 2, 3, 4, 5, 6, 8, 9}
        Number of the batch.

    Returns
    -------
    data : Bunch
        ``data`` float32 (n, 128), 8 features of each of 16 sensors, not scaled, n = 445, 1244,
        1586, 161, 197, 2300, 294 or 470; ``target`` int64 (n,), 0 to 5, the gas; batches 3 to 5
        have no 5; ``concentration`` float32 (n,), in ppm; ``target_names``, a tuple of 6, in the
        order of the data sheet. Trust the codes, not the names: the sheet's own table of counts
        does not agree with its files.

    Raises
    ------
    ValueError
        If `batch` is not one of these.
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache, and cannot be downloaded.
    OSError
        If a file is torn, altered or of another version.
    ImportError
        If pooch, which downloads, is needed but missing: install the extra `data`.

    Notes
    -----
    Downloaded if needed, from the UCI repository, data set 270 (CC BY 4.0). Cite Vergara et al.,
    Sensors and Actuators B, 2012, and Rodriguez-Lujan et al., Chemometrics and Intelligent
    Laboratory Systems, 2014.
    """
    choice(int(batch) if isinstance(batch, np.integer) else batch, "batch", GAS_BATCHES)
    data = read("gas_drift", _parse)
    rows = data["batch"] == batch
    return Bunch(
        data=data["x"][rows],
        target=data["y"][rows].astype(np.int64),
        concentration=data["concentration"][rows],
        target_names=_NAMES,
    )


def _parse(path: Path) -> Arrays:
    if path.suffix == ".npz":
        return npz(path, ("x", "y", "concentration", "batch"))
    parts: dict[int, list[list[float]]] = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            match = re.search(r"batch(\d+)\.dat$", member)
            if match and int(match[1]) in GAS_BATCHES:
                # A line is "gas;concentration 1:value ... 128:value".
                lines = archive.read(member).decode().split("\n")
                parts[int(match[1])] = [
                    [float(v) for v in re.sub(r"\s\d+:|;", " ", line).split()]
                    for line in lines
                    if line.strip()
                ]
    table = np.concatenate([np.array(parts[batch]) for batch in GAS_BATCHES])
    return {
        "x": table[:, 2:].astype(np.float32),
        "y": (table[:, 0] - 1).astype(np.uint8),
        "concentration": table[:, 1].astype(np.float32),
        "batch": np.repeat(GAS_BATCHES, [len(parts[b]) for b in GAS_BATCHES]).astype(np.uint8),
    }
