"""`load`: a fitted estimator from the file that its ``save`` wrote."""

from __future__ import annotations

import inspect
import os
from dataclasses import fields
from importlib import import_module
from typing import Any

from repkit._arguments import path as path_of
from repkit.base.estimator import Estimator
from repkit.base.model_file import ModelFileError
from repkit.base.model_file import load as read
from repkit.base.parameters import into_parts, with_new_names
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
def load(path: str | os.PathLike[str], **code: Any) -> Estimator:
    """Open a model file. Nothing in it is run.

    Parameters
    ----------
    path : path
        What `save` wrote.
    **code
        The parameters that are code (a backbone of your own, say), which a file cannot hold. Those
        that built networks must be given again; the others only matter for another `fit`.

    Returns
    -------
    estimator
        Fitted, on the CPU.

    Raises
    ------
    FileNotFoundError
    ModelFileError
        If the file is damaged, foreign, of an unknown class or format, or its weights do not fit
        the networks that its header describes.
    """
    header, tensors = read(path_of(path, "path"))
    name = header.get("class")
    if not isinstance(name, str) or name not in HOMES:
        raise ModelFileError(
            f"{str(path)!r} holds a {name!r}; this version of repkit knows {sorted(HOMES)}"
        )
    cls: type[Estimator] = getattr(import_module(f"repkit.{HOMES[name]}"), name)
    known = set(inspect.signature(cls).parameters)
    try:
        params, fitted, omitted = header["params"], header["fitted"], header["code"]
        params = with_new_names(params, sorted(known), name)
        outer = {key.partition("__")[0] for key in params}  # those of parts by their part
        unknown = ({*outer, *omitted} | set(code)) - known
    except (AttributeError, KeyError, TypeError) as error:
        raise ModelFileError(f"{str(path)!r} has an incomplete repkit header") from error
    if unknown:
        raise ModelFileError(f"{name} has no parameters {sorted(unknown)}")
    missing = [k for k in omitted if k in code_parameters(cls) and k not in code]
    if missing:
        raise ModelFileError(
            f"{str(path)!r} was saved with code of its own for {missing}, which the file does not "
            f"hold: call load(path, {missing[0]}=...) with the same"
        )
    try:
        defaults = {f.name: f.default for f in fields(cls)}
        params = into_parts(cls, read_parameters(cls, params), defaults)
    except (TypeError, ValueError) as error:
        raise ModelFileError(
            f"{str(path)!r} has parameters that {name} does not: {error}"
        ) from error
    estimator = cls(**{**params, **code})
    estimator._from_file(fitted, header.get("history", []), tensors)
    return estimator
