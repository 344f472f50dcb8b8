"""Internal. How many threads a step is worth."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

SMALL = 1e8  # multiplications of a forward pass: below, a step takes some 20 ms on one thread


def multiplications(networks: Mapping[str, nn.Module], rows: int, pixels: int) -> float:
    """About how many a forward pass of all networks takes.

    Parameters
    ----------
    networks : mapping of str to nn.Module
        What is trained.
    rows : int
        Of a batch.
    pixels : int
        Of a sample, 1 of a table. A convolution is taken to see a sixteenth of them.
    """
    total = 0.0
    for network in networks.values():
        for module in network.modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, torch.Tensor) and weight.ndim > 1:
                places = max(pixels / 16, 1) if weight.ndim > 2 else 1
                total += weight.numel() * places
    return rows * total


@contextmanager
def suited_threads(work: float) -> Iterator[None]:
    """One thread for small steps, unless waiting threads sleep; the caller's number after.

    Where OpenMP lets threads wait in a spin, as is its habit, two threads of a small step cost more
    than they give as soon as anything else runs on the machine.
    """
    sleeping = os.environ.get("OMP_WAIT_POLICY", "").lower() == "passive"
    before = torch.get_num_threads()
    if sleeping or work >= SMALL or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
