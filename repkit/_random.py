"""Internal. Numpy's generators from any kind of ``random_state``, never numpy's global one."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

Seed: TypeAlias = int | np.random.Generator | np.random.RandomState | None


def generator(random_state: Seed) -> np.random.Generator:
    """Give a Generator; None seeds it from the system."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, size=4, dtype=np.uint32))
    return np.random.default_rng(random_state)


def legacy_generator(random_state: Seed) -> np.random.RandomState:
    """Give a RandomState, the kind that scikit-learn takes; None seeds it from the system."""
    if isinstance(random_state, np.random.RandomState):
        return random_state
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.integers(2**32, size=4, dtype=np.uint32))
    return np.random.RandomState(random_state)
