"""`load`: a fitted estimator from the file that its ``save`` wrote."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

from repkit._arguments import path as path_of
from repkit._importing import uncollected
from repkit.base.contents import check_entries
from repkit.base.earlier import with_names_of_now
from repkit.base.estimator import Estimator
from repkit.base.model_file import BEFORE, ModelFileError
from repkit.base.model_file import load as read
from repkit.base.parameters import Part, into_parts, with_new_names
from repkit.base.rules import device_rule
from repkit.base.saving import code_parameters, read_parameters
from repkit.base.surroundings import in_settled

__all__ = ["load"]

# The folder of each class. A file brings in its own class and no other.
HOMES = {
    "DANN": "dann",
    "DANNRegressor": "dann",
    "VAE": "vae",
    "VAEGAN": "vaegan",
    "BiGAN": "bigan",
    "InfoGAN": "infogan",
    "SpeechAutoencoder": "speech",
    "TripleGAN": "triplegan",
}


@in_settled
def load(path: str | os.PathLike[str], *, device: Any = "cpu", **code: Any) -> Estimator:
    """Open a model file. Nothing in it is run.

    Parameters
    ----------
    path : path
        What `save` wrote.
    device : str or torch.device, default="cpu"
        Where the networks shall be. "auto" is CUDA if there is one that works, else the CPU. The
        estimator's parameter of that name, which counts in `fit`, stays as it was saved.
    **code
        The parameters that are code (a backbone of your own, say), which a file cannot hold. Those
        that built networks must be given again; the others only matter for another `fit`. Of the
        networks in `repkit.nets` and `repkit.recipes` a file holds the names.

    Returns
    -------
    estimator
        Fitted.

    Raises
    ------
    FileNotFoundError
    ModelFileError
        If the file is damaged, foreign, of an unknown class or format, or its weights do not fit
        the networks that its header describes.
    TypeError
        If a keyword is a parameter that the file itself holds: set that on the estimator.
    ValueError
        If the device is not available.

    Warns
    -----
    UserWarning
        If an earlier version of repkit wrote the file, which has no digest: damage to it could not
        be seen.
    """
    device = device_rule("device", device)
    header, tensors = read(path_of(path, "path"))
    try:
        check_entries(header)
        if header["format"] == BEFORE:
            header = with_names_of_now(header)
        cls = _class_of(header["class"])
        params = _parameters_of(cls, header, code)
    except ModelFileError as error:
        raise ModelFileError(f"{str(path)!r} {error}") from error
    except Exception as error:  # whatever a hostile header provokes
        raise ModelFileError(f"{str(path)!r} has an incomplete repkit header: {error}") from error
    for name in sorted(set(code) - set(header["code"])):
        if name not in inspect.signature(cls).parameters:
            raise TypeError(f"{cls.__name__} has no parameter {name!r}")
        if _is_code(params.get(name)):
            continue  # a maker of repkit's, of which older files held no name
        raise TypeError(
            f"{name} is held by {str(path)!r} itself; call set_params({name}=...) on the estimator "
            "that load gives"
        )
    try:
        estimator = cls(**{**params, **code})
        with uncollected():  # what networks need is imported
            estimator._from_file(header["fitted"], header["history"], tensors)
    except Exception as error:  # whatever networks raise of what does not go together
        raise ModelFileError(
            f"{str(path)!r} does not hold the {cls.__name__} that its header describes: {error}"
        ) from error
    if device.type != "cpu":
        estimator._move(device)
    return estimator


def _is_code(value: Any) -> bool:
    inner = value.get_params().values() if isinstance(value, Part) else ()
    return callable(value) or any(map(callable, inner))


def _class_of(name: str) -> type[Estimator]:
    if name not in HOMES:
        raise ModelFileError(f"holds a {name!r}; this version of repkit knows {sorted(HOMES)}")
    with uncollected():
        cls: type[Estimator] = getattr(import_module(f"repkit.{HOMES[name]}"), name)
    return cls


def _parameters_of(
    cls: type[Estimator], header: Mapping[str, Any], code: Mapping[str, Any]
) -> dict[str, Any]:
    """Parameters of the class from a header and the code that was given beside it."""
    name, known = cls.__name__, set(inspect.signature(cls).parameters)
    params, omitted = with_new_names(header["params"], sorted(known), name), header["code"]
    outer = {key.partition("__")[0] for key in params}  # those of parts by their part
    if unknown := {*outer, *omitted} - known:
        raise ModelFileError(f"has parameters that {name} does not: {sorted(unknown)}")
    missing = [k for k in omitted if k in code_parameters(cls) and k not in code]
    if missing:
        raise ModelFileError(
            f"was saved with code of its own for {missing}, which the file does not hold: call "
            f"load(path, {missing[0]}=...) with the same"
        )
    try:
        defaults = {f.name: f.default for f in fields(cls)}
        return into_parts(cls, read_parameters(cls, params), defaults)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"has parameters that {name} does not: {error}") from error
