"""Hard shifts: photographed meters, pictures in four styles, sensors that drift."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from repkit.datasets._fetch import Arrays, as_uint8, read

__all__ = [
    "GAS_BATCHES",
    "METER_KINDS",
    "PACS_DOMAINS",
    "load_gas_drift",
    "load_meter_digits",
    "load_pacs_deep",
]

PACS_DOMAINS = ("art_painting", "cartoon", "photo", "sketch")
GAS_BATCHES = (1, 2, 3, 4, 5, 6, 8, 9)
METER_KINDS = ("gasmeter", "lcd", "powermeter", "watermeter")


def load_pacs_deep(domain: str) -> Bunch:
    """Load one domain of PACS (Li et al., ICCV 2017) as features of a frozen network.

    The pictures went through an EfficientNet-Lite2 that was trained on ImageNet; the features are
    the mean over its last feature map, in 256 steps.

    Parameters
    ----------
    domain : {"art_painting", "cartoon", "photo", "sketch"}
        Style of the pictures.

    Returns
    -------
    data : Bunch
        ``data`` float32 (n, 1280), at least 0, n = 2048, 2344, 1670 or 3929; ``target`` int64
        (n,), 0 to 6; ``target_names``, a tuple of 7. There is no split: in unsupervised adaptation
        all pictures of a domain are source, or target.

    Raises
    ------
    ValueError
        If `domain` is unknown.
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache.
    OSError
        If a file is torn, altered or of another version.
    """
    if domain not in PACS_DOMAINS:
        raise ValueError(f"domain must be one of {', '.join(PACS_DOMAINS)}, not {domain!r}")
    data = read("pacs_deep", _parse_pacs)
    rows = data["domain"] == PACS_DOMAINS.index(domain)
    return Bunch(
        data=data["x"][rows] * data["step"],
        target=data["y"][rows].astype(np.int64),
        target_names=tuple(data["names"].tolist()),
    )


def _parse_pacs(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as packed:
        if tuple(packed["domains"].tolist()) != PACS_DOMAINS:
            raise ValueError("its domains are others")
        return {
            "x": as_uint8(packed["x"]),
            "step": packed["step"].astype(np.float32),
            "y": as_uint8(packed["y"]),
            "domain": as_uint8(packed["domain"]),
            "names": packed["names"],
        }


def load_gas_drift(batch: int) -> Bunch:
    """Load one batch of gas sensor readings (Vergara et al. 2012), of eight over 36 months.

    The sensors age, so that a classifier of the first batch fails on later ones. Batches 7 and 10
    of the original are left out.

    Parameters
    ----------
    batch : {1, 2, 3, 4, 5, 6, 8, 9}
        Number of the batch, in the order of time.

    Returns
    -------
    data : Bunch
        ``data`` float32 (n, 128), 8 features of each of 16 sensors, not scaled, n = 445, 1244,
        1586, 161, 197, 2300, 294 or 470; ``target`` int64 (n,), 0 to 5, of which batches 3 to 5
        lack 5; ``concentration`` float32 (n,), ppm; ``target_names``, a tuple of 6 gases.

    Raises
    ------
    ValueError
        If `batch` is unknown.
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache.
    OSError
        If a file is torn, altered or of another version.
    """
    if batch not in GAS_BATCHES:
        raise ValueError(f"batch must be one of {GAS_BATCHES}, not {batch!r}")
    data = read("gas_drift", _parse_gas)
    rows = data["batch"] == batch
    return Bunch(
        data=data["x"][rows],
        target=data["y"][rows].astype(np.int64),
        concentration=data["concentration"][rows],
        target_names=tuple(data["names"].tolist()),
    )


def _parse_gas(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as packed:
        return {
            "x": packed["x"].astype(np.float32),
            "y": as_uint8(packed["y"]),
            "batch": as_uint8(packed["batch"]),
            "concentration": packed["concentration"].astype(np.float32),
            "names": packed["names"],
        }


def load_meter_digits(kind: str = "all") -> Bunch:
    """Load photographed digits of the counters of meters, of twelve meters of four kinds.

    Parameters
    ----------
    kind : {"all", "gasmeter", "lcd", "powermeter", "watermeter"}, default="all"
        Kind of meter: wheels of gas, power or water meters, or liquid-crystal displays.

    Returns
    -------
    data : Bunch
        ``data`` uint8 (n, 3, 32, 32), n = 6124 or 716, 470, 3781 or 1157; ``target`` int64 (n,), 0
        to 9; ``meter`` int64 (n,), the place in ``meter_names``, a tuple of 12; ``kind`` int64
        (n,), the place in ``METER_KINDS``. Pictures of one meter look alike: split by meter. Keep
        "powermeter_unknown" and "Heliowatt" on one side, for they share pictures.

    Raises
    ------
    ValueError
        If `kind` is unknown.
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache.
    OSError
        If a file is torn, altered or of another version.
    """
    if kind != "all" and kind not in METER_KINDS:
        raise ValueError(f"kind must be 'all' or one of {', '.join(METER_KINDS)}, not {kind!r}")
    data = read("meter_digits", _parse_meters)
    kinds = data["meter_kind"][data["meter"]]
    rows = np.ones(len(kinds), bool) if kind == "all" else kinds == METER_KINDS.index(kind)
    return Bunch(
        data=np.ascontiguousarray(data["x"][rows].transpose(0, 3, 1, 2)),
        target=data["y"][rows].astype(np.int64),
        meter=data["meter"][rows].astype(np.int64),
        kind=kinds[rows].astype(np.int64),
        meter_names=tuple(data["meter_names"].tolist()),
    )


def _parse_meters(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as packed:
        if tuple(packed["kinds"].tolist()) != METER_KINDS:
            raise ValueError("its kinds of meters are others")
        names = ("x", "y", "meter", "meter_kind", "meter_names")
        return {name: packed[name] for name in names}
