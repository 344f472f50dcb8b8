"""Global random state: lent to a fit, given back to the caller."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed the global generators of torch, numpy and python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def isolated_rng(device: torch.device) -> Iterator[None]:
    """Leave the caller's global generators (torch on CPU and device, numpy, python) as they were.

    Module constructors and dropout draw from them; they are seeded inside.
    """
    devices = [device] if device.type == "cuda" else []
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=devices, device_type="cuda"):
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
