"""Internal. Random numbers: a seed for each use, and the global generators lent to a fit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, unique
from typing import Any

import numpy as np
import torch

from repkit._random import check_seed, legacy_generator, lent_generators, seed_torch


@unique
class Kind(IntEnum):
    """What random numbers are drawn for: each use has a stream of its own."""

    WEIGHTS = 0  # of new networks
    ROW_ORDER = 1  # by stream and turn
    NOISE = 2  # by step
    GLOBAL = 3  # torch's, numpy's and Python's generators (dropout, augmentation), by step
    HELD_BACK = 4  # rows that are not trained on
    MONITOR = 5  # what an epoch's scores are taken over
    STATISTICS = 6  # latent rows from which running statistics are taken anew
    TRAINING = 7  # the seed of each of several trainings in one fit
    UTTERANCE_ORDER = 8  # by turn
    PIECES = 9  # of utterances, by step
    CLUSTERS = 10  # by head
    PRIOR = 11  # target rows from which shares are estimated
    ADAPTATION = 12  # of a model after its fit
    GUARD = 13  # target rows by which an adapted model is judged


def seed_of(seed: int, kind: Kind, *numbers: int) -> int:
    """One 63-bit seed for a use, and for numbers that tell its draws apart.

    Parameters
    ----------
    seed : int
        Of the fit; at least 0.
    kind : Kind
        The use.
    *numbers : int
        A step, a turn, a place; at least 0.

    Returns
    -------
    int
        From ``numpy.random.SeedSequence(seed, spawn_key=(kind, *numbers))``.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(int(kind), *numbers))
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def generator_of(seed: int, kind: Kind, *numbers: int) -> np.random.Generator:
    """A numpy generator for a use; see `seed_of`."""
    return np.random.default_rng(seed_of(seed, kind, *numbers))


def drawn_seed(random_state: Any) -> int:
    """A seed from what a user gives as ``random_state``.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        A generator is asked for a number and so moves on. None: a new seed, without touching
        numpy's global generator.

    Returns
    -------
    int
        From 0 to 2**31 - 2.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    most = np.iinfo(np.int32).max
    check_seed(random_state)
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0]) % most
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(most))
    return int(legacy_generator(random_state).randint(most))


def seed_everything(seed: int, device: torch.device) -> None:
    """Seed the global generators of torch (on CPU and device), numpy and Python."""
    seed_torch(seed, device)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def isolated_rng(device: torch.device) -> Iterator[None]:
    """Leave the caller's global generators (torch on CPU and device, numpy, Python) as they were.

    Module constructors and dropout draw from them; they are seeded inside.
    """
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with lent_generators(device):
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
