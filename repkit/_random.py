"""Internal. Generators from any kind of ``random_state``, and torch's, lent for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeAlias

import numpy as np

from repkit._arguments import shown

Seed: TypeAlias = int | np.random.Generator | np.random.RandomState | None


SEEDS = 2**32  # an int is below: what scikit-learn takes


def check_seed(random_state: Any, name: str = "random_state") -> None:
    """Raise a ValueError that names the argument unless it is of the kind `Seed`."""
    if random_state is None or random_state is np.random:
        return
    if isinstance(random_state, np.random.Generator | np.random.RandomState):
        return
    whole = isinstance(random_state, int | np.integer) and not isinstance(random_state, bool)
    if not whole or not 0 <= int(random_state) < SEEDS:
        raise ValueError(
            f"{name} must be an integer from 0 to 2**32 - 1, a numpy RandomState or Generator, or "
            f"None, not {shown(random_state)}"
        )


def generator(random_state: Seed) -> np.random.Generator:
    """Give a Generator; None seeds it from the system."""
    check_seed(random_state)
    random_state = _global_is_one(random_state)
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, size=4, dtype=np.uint32))
    return np.random.default_rng(random_state)


def legacy_generator(random_state: Seed) -> np.random.RandomState:
    """Give a RandomState, the kind that scikit-learn takes; None seeds it from the system."""
    check_seed(random_state)
    random_state = _global_is_one(random_state)
    if isinstance(random_state, np.random.RandomState):
        return random_state
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.integers(2**32, size=4, dtype=np.uint32))
    return np.random.RandomState(random_state)


def _global_is_one(random_state: Any) -> Any:
    """The module ``numpy.random`` stands for its own RandomState, as in scikit-learn."""
    return np.random.mtrand._rand if random_state is np.random else random_state


def seed_torch(seed: int, device: Any) -> None:
    """Seed torch's global generators of the CPU and of one device, and of no other.

    ``torch.manual_seed`` seeds all that there are, now or as soon as they are first used.
    """
    import torch

    torch.default_generator.manual_seed(seed)
    if device.type not in ("cpu", "meta"):
        module = torch.get_device_module(device)
        with module.device(device) if hasattr(module, "device") else nullcontext():
            module.manual_seed(seed)


@contextmanager
def lent_generators(device: Any) -> Iterator[None]:
    """Leave torch's global generators of the CPU and of a device as they were."""
    import torch

    own, other = torch.default_generator.get_state(), None
    if device.type not in ("cpu", "meta"):
        module = torch.get_device_module(device)
        where = () if device.type == "mps" else (device,)  # there is but one
        other = module.get_rng_state(*where)
    try:
        yield
    finally:
        torch.default_generator.set_state(own)
        if other is not None:
            module.set_rng_state(other, *where)
