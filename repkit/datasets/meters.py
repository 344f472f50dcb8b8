"""Digits of meters: photographed counters of electricity, water and gas, and displays."""

from __future__ import annotations

from functools import partial

import numpy as np
from sklearn.utils import Bunch

from repkit._arguments import choice
from repkit.datasets._fetch import npz, read

__all__ = [
    "METER_KINDS",
    "load_meter_digits",
]

METER_KINDS = ("gasmeter", "lcd", "powermeter", "watermeter")


def load_meter_digits(kind: str | None = None) -> Bunch:
    """Load photographed digits of twelve meters of four kinds.

    Digits differ in type, color, contrast and light. Wheels may stand a little between two digits,
    and displays are made of strokes. Many pictures of one meter come from one camera and look
    alike, so split by meter, and keep "Heliowatt" and "powermeter_unknown" on one side: some of
    their pictures are nearly the same.

    Parameters
    ----------
    kind : {"gasmeter", "lcd", "powermeter", "watermeter"}, optional
        Kind of meter. By default all of them.

    Returns
    -------
    data : Bunch
        ``data`` uint8 (n, 3, 32, 32), n = 6124, or 716, 470, 3781 and 1157 of the kinds;
        ``target`` int64 (n,), 0 to 9; ``tenths`` int64 (n,), where the wheel stands in tenths of
        a step, of which ``target`` is the nearest digit; ``meter`` int64 (n,), places in
        ``meter_names``, a tuple of 12; ``meter_kinds``, the kind of each of the 12.

    Raises
    ------
    ValueError
        If `kind` is unknown.
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache; it is published nowhere.
    OSError
        If a file is torn, altered or of another version.

    Notes
    -----
    Cropped from photographs that users sent to a repository on GitHub,
    haverland/Tenth-of-step-of-a-meter-digit (Apache 2.0). Crops were brought to 32 x 20 pixels, and
    6 columns of the edge repeated left and right. To join them with MNIST, add a border of two
    pixels there and repeat its channel.
    """
    choice(kind, "kind", (None, *METER_KINDS))
    keys = ("x", "y", "tenths", "meter", "meter_kind", "meter_names", "kinds")
    data = read("meter_digits", partial(npz, keys=keys))
    kinds = data["kinds"][data["meter_kind"]]
    rows = np.flatnonzero((kind is None) | (kinds[data["meter"]] == kind))
    return Bunch(
        data=np.ascontiguousarray(data["x"][rows].transpose(0, 3, 1, 2)),
        target=data["y"][rows].astype(np.int64),
        tenths=data["tenths"][rows].astype(np.int64),
        meter=data["meter"][rows].astype(np.int64),
        meter_names=tuple(data["meter_names"].tolist()),
        meter_kinds=tuple(kinds.tolist()),
    )
