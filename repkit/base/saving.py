"""Model files and pickles of fitted estimators."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

import repkit
from repkit.base import model_file
from repkit.engine.engine import copy_state

if TYPE_CHECKING:
    import pandas as pd


class Saved(BaseEstimator):
    """The part of an estimator that is about keeping it."""

    _fitted: ClassVar[tuple[str, ...]] = ()  # attributes that a model file holds
    _code: ClassVar[tuple[str, ...]] = ()  # parameters that build networks

    networks_: dict[str, nn.Module]
    weights_: dict[str, dict[str, dict[str, Tensor]]]
    history_: pd.DataFrame
    input_shape_: tuple[int, ...]
    device_: torch.device

    def _networks(self) -> dict[str, nn.Module]:
        """New networks for the parameters and the fitted shapes."""
        raise NotImplementedError

    def _probe(self, X: np.ndarray) -> None:
        """Use the model on a row of zeros; raises if the fitted attributes do not go together."""
        raise NotImplementedError

    def use(self, which: str) -> Self:
        """Predict with the weights of the ``"last"`` epoch or of the ``"selected"`` one.

        Raises
        ------
        ValueError
            If there are no such weights: ``"selected"`` needs the parameter ``select``.
        """
        check_is_fitted(self)
        if which not in self.weights_:
            raise ValueError(f"which must be one of {list(self.weights_)}, not {which!r}")
        for name, network in self.networks_.items():
            network.load_state_dict(self.weights_[which][name])
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to one safetensors file: weights, and a JSON header.

        Parameters that are code (modules, callables) are not written; `repkit.load` takes them as
        keywords.
        """
        check_is_fitted(self)
        params, code = {}, []
        for name, value in self.get_params(deep=False).items():
            try:
                json.dumps(value, default=model_file.encode)
                params[name] = value
            except TypeError:
                code.append(name)
        header = {
            "class": type(self).__name__,
            "versions": {"repkit": repkit.__version__, "torch": str(torch.__version__)},
            "params": params,
            "code": code,
            "fitted": {k: getattr(self, k) for k in self._fitted if hasattr(self, k)},
            "history": self.history_.to_dict("records"),
        }
        tensors = {
            f"{which}/{network}/{key}": value
            for which, networks in self.weights_.items()
            for network, state in networks.items()
            for key, value in state.items()
        }
        model_file.save(Path(path), header, tensors)

    def _from_file(
        self, fitted: dict[str, Any], history: list[dict[str, Any]], tensors: dict[str, Tensor]
    ) -> None:
        """Become what was saved; the networks' sizes are compared before memory is taken."""
        import pandas as pd

        try:
            unknown = set(fitted) - set(self._fitted)
            if unknown:
                raise ValueError(f"unknown fitted attributes {sorted(unknown)}")
            for name, value in fitted.items():
                setattr(self, name, tuple(value) if name == "input_shape_" else value)
            self.history_ = pd.DataFrame(history)
            self.weights_ = {}
            for path, tensor in tensors.items():
                which, part, key = path.split("/")
                self.weights_.setdefault(which, {}).setdefault(part, {})[key] = tensor
            for which in self.weights_:
                self.networks_ = self._filled(self.weights_[which])
            self.device_ = torch.device("cpu")
            self.use("selected" if "selected" in self.weights_ else "last")
            # A first prediction: what is wrong with the classes or the shape shows here.
            check_is_fitted(self)
            self._probe(np.zeros((1, *self.input_shape_), dtype=np.float32))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise model_file.ModelFileError(
                f"the file does not hold the {type(self).__name__} that its header describes: "
                f"{error}"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {**super().__getstate__()}
        if "networks_" in state:
            # On the CPU, so that it opens on a machine without the device; as tensors, since torch
            # pickles no module with spectral normalization.
            networks = {k: m.state_dict() for k, m in state["networks_"].items()}
            state["networks_"] = model_file.on_cpu(networks)
            state["weights_"] = model_file.on_cpu(state["weights_"])
            state["device_"] = torch.device("cpu")
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "networks_" in state:
            self.networks_ = self._filled(state["networks_"])

    def _filled(self, states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, nn.Module]:
        """New networks with the given tensors, in evaluation mode."""
        with torch.device("meta"):
            networks = self._networks()
        for name, network in networks.items():
            check_weights(network, states[name])
            network.load_state_dict(copy_state(states[name]), assign=True)
        return {k: m.eval() for k, m in networks.items()}


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
