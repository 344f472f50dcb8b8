"""Internal. Checks of single arguments: an error names the argument, the value and what is allowed.

A value of a wrong type raises a TypeError, one that is out of range a ValueError. scikit-learn's
`check_scalar` takes True for an integer and lets NaN pass, and the data sets and the engine do
without scikit-learn.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

MOST = 10**9  # of any integer without a bound of its own
MOST_BYTES = 2**62
FAR = 1000  # the greatest integer that is allowed is not told from here on, unless it is passed


class Misused(ValueError):
    """A callback cannot do what it was made for: a training ends by it, before time is lost."""


def shown(value: Any) -> str:
    """Show a value in an error: short, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # of a foreign object
        text = f"an object of {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:97]}..."


def integer(value: Any, name: str, low: int = 1, high: int = MOST, *, otherwise: str = "") -> int:
    """Give an integer of a range, Python's or numpy's, as an int.

    Parameters
    ----------
    value : object
        What was given.
    name : str
        Of the argument, for errors.
    low, high : int
        The least and the greatest that is allowed.
    otherwise : str
        What else is allowed, for errors: ", or None".

    Returns
    -------
    int

    Raises
    ------
    TypeError, ValueError
        If it is no integer, or out of range.
    """
    wanted = f"an integer from {low} to {high}"
    whole = not isinstance(value, bool | np.bool_) and isinstance(value, Integral)
    if high >= FAR and not (whole and int(value) > high):
        wanted = f"an integer of at least {low}"  # the other end is not what matters here
    if not whole:
        raise TypeError(f"{name} must be {wanted}{otherwise}, not {shown(value)}")
    if not low <= int(value) <= high:
        raise ValueError(f"{name} must be {wanted}{otherwise}, not {shown(value)}")
    return int(value)


def number(
    value: Any,
    name: str,
    low: float = 0.0,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
    otherwise: str = "",
) -> float:
    """Give a finite number of a range as a float.

    Parameters
    ----------
    value : object
        What was given.
    name : str
        Of the argument, for errors.
    low, high : float
        The least and the greatest that is allowed.
    above, below : bool
        Whether ``low`` or ``high`` itself is out.
    otherwise : str
        What else is allowed, for errors: ", or None".

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If it is no real number, or out of range.
    """
    if type(value) is float and low < value < high:  # as in every step of a training
        return value
    least = f"above {low:g}" if above else f"of at least {low:g}"
    wanted = "a finite number" if low == -math.inf else f"a number {least}"
    passed = isinstance(value, int | float | np.integer | np.floating) and value > high
    if high < FAR or (passed and high != math.inf):
        wanted += f" and {'below' if below else 'at most'} {high:g}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be {wanted}{otherwise}, not {shown(value)}")
    try:
        found = float(value)
    except OverflowError:  # of an int beyond floats
        found = math.inf
    inside = (low < found if above else low <= found) and (found < high if below else found <= high)
    if not (inside and math.isfinite(found)):
        raise ValueError(f"{name} must be {wanted}{otherwise}, not {shown(value)}")
    return found


def choice(value: Any, name: str, allowed: Sequence[Any]) -> Any:
    """Give one of several values; strings and truth values may be numpy's.

    Parameters
    ----------
    value : object
        What was given.
    name : str
        Of the argument, for errors.
    allowed : sequence
        The values.

    Returns
    -------
    object
        Of those that are allowed.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    if isinstance(value, np.bool_):
        value = bool(value)
    elif isinstance(value, np.str_):
        value = str(value)
    for known in allowed:
        if value is known or (type(value) is type(known) and value == known):
            return known
    raise ValueError(f"{name} must be one of {list(allowed)}, not {shown(value)}")


def mapping(value: Any, name: str, wanted: str) -> Mapping[Any, Any]:
    """Give a mapping.

    Raises
    ------
    TypeError
        If it is none. ``wanted`` says there what it maps to what.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict of {wanted}, not {shown(value)}")
    return value


def function(value: Any, name: str, takes: str, *, optional: bool = True) -> Any:
    """Give a callable, or None.

    Raises
    ------
    TypeError
        If it is neither. ``takes`` says there what it maps to what.
    """
    if not callable(value) and not (value is None and optional):
        otherwise = " or None" if optional else ""
        raise TypeError(f"{name} must be a function {takes}{otherwise}, not {shown(value)}")
    return value


def device(value: Any, name: str = "device") -> Any:
    """Give a torch device that can be used; "auto" is CUDA if it works, else the CPU.

    Of several processes that ``torchrun`` starts on a machine, each has the card of its LOCAL_RANK.
    An Apple GPU has to be asked for: nobody has tried one yet.

    Raises
    ------
    ValueError
        If it is no device, or one that is not there.
    """
    import torch

    if isinstance(value, str) and value == "auto":
        return _best(os.environ.get("LOCAL_RANK", ""))
    problem = ""
    if isinstance(value, str | torch.device | Integral) and not isinstance(value, bool | np.bool_):
        try:
            found = torch.device(value)  # type: ignore[arg-type]
            torch.empty(0, device=found)
        except Exception as error:  # of each backend another
            problem = f": {(str(error).splitlines() or [type(error).__name__])[0]}"
        else:
            if found.type != "meta":
                return found
            problem = ": its tensors hold no numbers"
    raise ValueError(
        f"{name} must be 'auto', 'cpu' or another torch device that is there, not "
        f"{shown(value)}{problem}"
    )


@cache
def _best(rank: str) -> Any:
    """The GPU of a process of this rank, if it runs a kernel, else the CPU."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    name = f"cuda:{int(rank) % torch.cuda.device_count()}" if rank.isdecimal() else "cuda"
    try:
        torch.ones(1, device=name).add_(1.0).cpu()
    except RuntimeError as error:  # of a card for which this torch has no kernels, say
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        warnings.warn(
            f"device='auto' takes the CPU, since {name!r} does not work: {reason}", stacklevel=2
        )
        return torch.device("cpu")
    return torch.device(name)


def path(value: Any, name: str, what: str = "a file") -> Path:
    """Give a path, which need not exist.

    Raises
    ------
    TypeError, ValueError
        If it is none, empty, or has a null character.
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be the path of {what}, not {shown(value)}")
    text = os.fspath(value)
    if not isinstance(text, str) or not text or "\0" in text:
        raise ValueError(f"{name} must be the path of {what}, not {shown(value)}")
    found = Path(text)
    if any(len(os.fsencode(part)) > 255 for part in found.parts):
        raise ValueError(f"{name} must be the path of {what}, not so long a name: {shown(value)}")
    return found


@contextmanager
def named(name: str, wanted: str) -> Iterator[None]:
    """Let errors of code that does not know an argument's name tell it, and what it ``wanted``.

    Raises
    ------
    TypeError, ValueError, OSError
        As raised inside, if it names the argument; else another with its text.
    """
    try:
        yield
    except (TypeError, ValueError, OSError) as error:
        text = str(error)
        # NotFittedError is one, and of no argument
        foreign = type(error).__module__.startswith("sklearn.")
        if foreign or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
            raise
        # without the numbers of an array, which may be many
        lines = [x.strip() for x in text.splitlines() if not re.match(r"\s*(array=|\[|\d)", x)]
        message = f"{name} must be {wanted}: {' '.join(lines)[:500]}"
        if type(error).__module__.startswith("repkit."):  # a class that says more
            error.args = (message,)
            raise
        plain = next(k for k in (TypeError, ValueError, OSError) if isinstance(error, k))
        raise (type(error) if plain is OSError else plain)(message) from error
