"""Internal. Fitted attributes to a model file and back; weights into new networks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from repkit._version import __version__
from repkit.base import model_file
from repkit.base.named_code import is_name, name_of, named
from repkit.base.parameters import Part
from repkit.engine.flat import recurrent

WHICH = ("last", "selected", "source", "adapted")  # weights; see `Kept._preferred`
Weights = dict[str, dict[str, dict[str, Tensor]]]  # by epoch ("last"), network and name


def write(
    path: Path,
    name: str,
    params: Mapping[str, Any],
    fitted: Mapping[str, Any],
    history: list[dict[str, Any]],
    weights: Weights,
) -> None:
    """Write a model file.

    Parameters that are code are named in the header, not written, but for the makers of networks
    that repkit has itself.
    """
    plain, code = {}, []
    for key, value in params.items():
        value = _held(value)
        if _is_code(value):
            code.append(key)
        else:
            plain[key] = value
    header = {
        "class": name,
        "versions": {"repkit": __version__, "torch": str(torch.__version__)},
        "params": plain,
        "code": code,
        "fitted": dict(fitted),
        "history": history,
    }
    tensors = {
        f"{which}/{network}/{key}": value
        for which, networks in weights.items()
        for network, state in networks.items()
        for key, value in state.items()
    }
    model_file.save(path, header, tensors)


def _held(value: Any) -> Any:
    """What a header can hold in the place of a part, or of a maker of networks of repkit's."""
    if isinstance(value, Part):
        params = {k: _held(v) for k, v in value.get_params().items()}
        return {"part": type(value).__name__, "params": params}
    return name_of(value) or value if callable(value) else value


def _is_code(held: Any) -> bool:
    try:
        json.dumps(held, default=model_file.encode)
    except TypeError:
        return True
    return False


def has_code(model: Any) -> bool:
    """Whether parameters from which networks are built hold code that is not repkit's."""
    return any(_is_code(_held(getattr(model, name))) for name in code_parameters(type(model)))


def read_parameters(cls: type, params: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a header's parameters into those of the class: tuples, parts, makers of networks.

    Raises
    ------
    ValueError
        If there is a part where the class has none, or one of another kind; or a maker that is
        none of repkit's.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}
    found: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, dict) and set(value) == {"part", "params"}:
            kind = fields[name].metadata.get("part") if name in fields else None
            if kind is None or kind.__name__ != value["part"]:
                raise ValueError(f"parameter {name} holds a part {value['part']!r}")
            if not isinstance(value["params"], dict):
                raise ValueError(f"parameter {name} holds a part without parameters")
            found[name] = kind(**{k: _read(v) for k, v in value["params"].items()})
        else:
            found[name] = _read(value)
    return found


def _read(value: Any) -> Any:
    if is_name(value):
        return named(value)
    return tuple(value) if isinstance(value, list) else value


def read_weights(tensors: Mapping[str, Tensor]) -> Weights:
    """Sort a file's tensors by epoch, network and name; raise a ValueError for others."""
    weights: Weights = {}
    for path, tensor in tensors.items():
        which, _, rest = path.partition("/")
        network, _, key = rest.partition("/")
        if which not in WHICH or not key or "/" in key:
            allowed = ", ".join(f"'{known}/network/name'" for known in WHICH)
            raise ValueError(f"it has a tensor {path!r}; the names of tensors are {allowed}")
        weights.setdefault(which, {}).setdefault(network, {})[key] = tensor
    if "last" not in weights:
        raise ValueError("there are no weights of the last epoch")
    return weights


def code_parameters(cls: type) -> tuple[str, ...]:
    """Parameters that may hold code from which networks are built."""
    names = []
    for f in dataclasses.fields(cls):
        inner = f.metadata.get("part")
        within = dataclasses.fields(inner) if inner is not None else ()
        if any("network" in g.metadata for g in (f, *within)):
            names.append(f.name)
    return tuple(names)


def put_weights(
    networks: Mapping[str, nn.Module], states: Mapping[str, Mapping[str, Tensor]]
) -> dict[str, nn.Module]:
    """Make the networks hold these very tensors, and put them into evaluation mode.

    Raises
    ------
    KeyError, ValueError
        If a network has no state, or one of other names, shapes or types.
    """
    for name, network in networks.items():
        check_weights(network, states[name])
        network.load_state_dict(dict(states[name]), assign=True)
    for layer in recurrent(networks.values()):
        layer.flatten_parameters()  # nothing but on a GPU
    return {name: network.eval() for name, network in networks.items()}


def check_weights(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Raise a ValueError unless the state has the network's tensors, of its shapes and types."""
    wanted = {k: (v.shape, v.dtype) for k, v in network.state_dict().items()}
    found = {k: (v.shape, v.dtype) for k, v in state.items()}
    wrong = [k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k)]
    if wrong:
        k = min(wrong)
        raise ValueError(f"{k} is {found.get(k, 'missing')}, not {wanted.get(k, 'wanted')}")


def take_weights(networks: Mapping[str, nn.Module], old: Mapping[str, nn.Module]) -> None:
    """Copy the weights of the fit before into new networks.

    Raises
    ------
    ValueError
        If they are not of the same form.
    """
    for name in networks.keys() & old.keys():
        try:
            networks[name].load_state_dict(old[name].state_dict())
        except RuntimeError as error:
            raise ValueError(
                "warm_start=True needs data of the same shape and classes, and the same "
                f"networks, as the fit before: {name} does not match"
            ) from error


def states_of(networks: Mapping[str, nn.Module]) -> dict[str, dict[str, Tensor]]:
    """The tensors of networks: those very ones, not copies."""
    return {name: dict(network.state_dict()) for name, network in networks.items()}


def laid_out(x: Tensor) -> Tensor:
    """The tensor, its channels last in memory if it is of a convolution over images.

    Its strides are those of training for a single channel too, which `contiguous` leaves as they
    are: by them some processors choose another kernel, of other last digits. One that was
    unpickled in inference mode is copied, so that it can be trained again.
    """
    x = x.clone() if x.is_inference() else x
    return x.to(memory_format=torch.channels_last) if x.ndim == 4 else x
