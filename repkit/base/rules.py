"""Internal. What common parameters become: callbacks, a device, a folder, rates."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from repkit import _arguments
from repkit._arguments import shown
from repkit.engine.training import Callback


def callbacks_rule(name: str, value: Any) -> tuple[Callback, ...]:
    """One callable, several or none, as a tuple."""
    if value is None:
        return ()
    if callable(value):
        return (value,)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping | Tensor):
        value = tuple(value)
        if all(callable(one) for one in value):
            return value
    raise TypeError(
        f"{name} must be a callable, an iterable of callables or None, not {shown(value)}"
    )


def device_rule(name: str, value: Any) -> torch.device:
    """A device that can be used; "auto" is the best there is."""
    found: torch.device = _arguments.device(value, name)
    return found


def probe_change(
    name: str, change: Callable[[Tensor], Any], shape: tuple[int, ...], device: torch.device
) -> None:
    """Raise an error that names the parameter unless a batch of floats becomes one of its shape."""
    wanted = f"{name} must map a float batch (n, {', '.join(map(str, shape))}) to one of its shape"
    batch = torch.full((2, *shape), 0.5, device=device)
    try:
        found = OnDevice(change, device)(batch)
    except Exception as error:
        raise ValueError(f"{wanted}, but {shown(change)} fails: {error}") from error
    if not isinstance(found, Tensor):
        raise TypeError(f"{wanted}; {shown(change)} gives {shown(found)}")
    if found.shape != batch.shape:
        raise ValueError(f"{wanted}; {shown(change)} makes {tuple(found.shape)} of (2, ...)")


class OnDevice:
    """A change of batches of the user's own, as the training calls it: on the device, in float32.

    Parameters
    ----------
    change : callable
        Of a module with parameters or buffers, a copy is moved. What another callable holds stays
        where it is.
    device : torch.device
        Where batches are.
    """

    def __init__(self, change: Callable[..., Any], device: torch.device) -> None:
        self.device = device
        if isinstance(change, nn.Module) and device.type != "cpu":
            change = copy.deepcopy(change).to(device)
        self.change = change

    def __call__(self, *given: Any) -> Any:
        """What the change gives."""
        with torch.autocast(self.device.type, enabled=False):
            return self.change(*given)


def folder_rule(name: str, value: Any) -> Path | None:
    """A path, or None."""
    if value is None:
        return None
    return _arguments.path(value, name, "a folder, or None")


def rates_of(
    given: float | Mapping[str, float] | None, cls: type, networks: Mapping[str, nn.Module]
) -> Callable[[str], float]:
    """The learning rate of each parameter, by its full name.

    Raises
    ------
    ValueError
        If a name is not that of a network, or of a module in one.
    """
    table = dict(cls._rates)  # type: ignore[attr-defined]
    if not table:
        table[""] = next(f.default for f in fields(cls) if f.name == "learning_rate")
    if isinstance(given, Mapping):
        for name in given:
            network, _, path = name.partition(".")
            try:
                networks[network].get_submodule(path)
            except (KeyError, AttributeError) as error:
                raise ValueError(
                    f"learning_rate has a rate for {name!r}; give the name of a network, one of "
                    f"{sorted(networks)}, or of a module inside one, like "
                    f"{sorted(networks)[0] + '.0'!r}"
                ) from error
        table |= given
    elif given is not None:
        table = {"": given}

    def rate(name: str) -> float:
        while name not in table:
            name = name.rpartition(".")[0]
        return table[name]

    return rate
