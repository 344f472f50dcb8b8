"""Internal. Whether this process was started as one of several; known without torch."""

from __future__ import annotations

import multiprocessing
import os

# What a launcher says of a process and its group, by which the processes find each other.
NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def asked_alone() -> bool:
    """Whether the environment has every process fit for itself."""
    return os.environ.get("REPKIT_RANKS") == "0"


def launched() -> bool:
    """Whether torchrun, or another launcher, started this process as one of several.

    A worker that such a process has started itself, such as a loader of data, is none of them.
    """
    if multiprocessing.parent_process() is not None or not all(map(os.environ.get, NEEDED)):
        return False
    return os.environ["WORLD_SIZE"].isdecimal() and int(os.environ["WORLD_SIZE"]) > 1
