"""`load`: a fitted estimator from the file that its ``save`` wrote."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

from repkit.base.estimator import Estimator
from repkit.base.model_file import ModelFileError
from repkit.base.model_file import load as read
from repkit.base.saving import code_parameters, read_parameters
from repkit.bigan.estimator import BiGAN
from repkit.dann.estimator import DANN
from repkit.infogan.estimator import InfoGAN
from repkit.speech.estimator import SpeechAutoencoder
from repkit.triplegan.estimator import TripleGAN
from repkit.vae.estimator import VAE
from repkit.vaegan.estimator import VAEGAN

CLASSES: dict[str, type[Estimator]] = {
    cls.__name__: cls for cls in (BiGAN, DANN, InfoGAN, SpeechAutoencoder, TripleGAN, VAE, VAEGAN)
}


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
    header, tensors = read(Path(path))
    name = header.get("class")
    if not isinstance(name, str) or name not in CLASSES:
        raise ModelFileError(
            f"{str(path)!r} holds a {name!r}; this version of repkit knows {sorted(CLASSES)}"
        )
    known = set(inspect.signature(CLASSES[name]).parameters)
    try:
        params, fitted, omitted = header["params"], header["fitted"], header["code"]
        unknown = ({*params.keys(), *omitted} | set(code)) - known
    except (AttributeError, KeyError, TypeError) as error:
        raise ModelFileError(f"{str(path)!r} has an incomplete repkit header") from error
    if unknown:
        raise ModelFileError(f"{name} has no parameters {sorted(unknown)}")
    missing = [k for k in omitted if k in code_parameters(CLASSES[name]) and k not in code]
    if missing:
        raise ModelFileError(
            f"{str(path)!r} was saved with code of its own for {missing}, which the file does not "
            f"hold: call load(path, {missing[0]}=...) with the same"
        )
    try:
        params = read_parameters(CLASSES[name], params)
    except (TypeError, ValueError) as error:
        raise ModelFileError(
            f"{str(path)!r} has parameters that {name} does not: {error}"
        ) from error
    estimator = CLASSES[name](**{**params, **code})
    estimator._from_file(fitted, header.get("history", []), tensors)
    return estimator
