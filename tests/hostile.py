"""What tables of bad input share: how a case must end, and what it must leave as it was."""

import os
import random
import re
import resource
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch

INTENDED = (TypeError, ValueError, OSError)  # NotFittedError is a ValueError
SECONDS = 1.0  # of processor time, for one case
MEGABYTES = 400  # beyond what the process had before the table


class Case(NamedTuple):
    """A call that must be refused by an error that has one of the names."""

    label: str
    names: tuple[str, ...]
    call: Callable[[], Any]


def surroundings():
    """What belongs to the caller and must not change."""
    return {
        "default type": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "device": str(torch.empty(0).device),
        "torch's generator": torch.get_rng_state().numpy().tobytes(),
        "numpy's generator": np.random.get_state()[1].tobytes(),
        "Python's generator": random.getstate(),
        "threads": torch.get_num_threads(),
        "warnings": list(warnings.filters),
        "numpy's errors": np.geterr(),
        "folder": os.getcwd(),
        "files": sorted(os.listdir()),
    }


def fault_of(case: Case) -> str | None:
    """What is wrong with the end of a case, if anything."""
    before, started = surroundings(), time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)  # numpy's own
            case.call()
    except INTENDED as error:
        text = str(error)
        if not any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in case.names):
            return f"{case.label} is not named: {type(error).__name__}: {text[:160]}"
    except Exception as error:
        return f"{case.label} ends in {type(error).__name__}: {str(error)[:160]}"
    else:
        return f"{case.label} is accepted"
    if (spent := time.process_time() - started) > SECONDS:
        return f"{case.label} takes {spent:.1f} s"
    changed = [k for k, v in surroundings().items() if v != before[k]]
    return f"{case.label} changes {changed}" if changed else None


def faults(cases: Iterable[Case]) -> tuple[int, list[str]]:
    """How many cases there were, and what is wrong with them."""
    count, found = 0, []
    before = peak()
    for case in cases:
        count += 1
        if fault := fault_of(case):
            found.append(fault)
    if peak() - before > MEGABYTES:
        found.append(f"{peak() - before:.0f} MB were asked for")
    return count, found


def peak() -> float:
    """The most memory that the process had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def shown(value: Any) -> str:
    """A value in a label: short, on one line."""
    return re.sub(r" at 0x\w+|\s+", " ", repr(value))[:40]


class Anything:
    """An object that is nothing."""
