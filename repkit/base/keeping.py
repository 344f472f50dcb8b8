"""Internal. The part of an estimator that is about keeping it: weights, pickles, model files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from repkit._arguments import choice
from repkit._arguments import path as path_of
from repkit._random import seed_torch
from repkit.base import model_file, saving
from repkit.base.contents import check_fitted
from repkit.base.parameters import check_parameters
from repkit.base.sizes import sizes_alone
from repkit.base.surroundings import in_settled
from repkit.engine.rng import Kind, drawn_seed, isolated_rng, seed_of

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator as Base
else:
    Base = object  # a mixin: it stands beside BaseEstimator, not on it


class Kept(Base):
    """Weights of a fitted estimator, in memory, in pickles and in model files."""

    _fitted: ClassVar[tuple[str, ...]]
    _live: ClassVar[tuple[str, ...]]

    networks_: dict[str, nn.Module]
    weights_: saving.Weights
    used_weights_: str
    history_: pd.DataFrame
    n_iter_: int
    seed_: int
    input_shape_: tuple[int, ...]
    device_: torch.device
    fitted_params_: dict[str, Any]
    if TYPE_CHECKING:  # parameters, which are declared where their fields are
        device: Any
        random_state: Any

    # ---------------------------------------------------------------- what a subclass has

    def _networks(self) -> dict[str, nn.Module]:
        """New networks for the parameters and what `_read` learned."""
        raise NotImplementedError

    def _probe(self, X: np.ndarray) -> None:
        """Use the model on a row of zeros; raises if the fitted attributes do not go together."""
        raise NotImplementedError

    # ---------------------------------------------------------------- weights in use

    def _new_networks(self) -> dict[str, nn.Module]:
        """Networks as the seed makes them; on a copy with checked parameters."""
        seed_torch(seed_of(self.seed_, Kind.WEIGHTS), torch.device("cpu"))
        return self._networks()

    def _tell(self, history: list[dict[str, Any]]) -> None:
        import pandas as pd

        self.history_ = pd.DataFrame(history)
        # Of a file, every row has the column, with NaN where nothing failed.
        self.n_iter_ = sum(bool(pd.isna(row.get("failed_step"))) for row in history)

    def use(self, which: str) -> Self:
        """Choose the weights that predict.

        Parameters
        ----------
        which : {"last", "selected", "source", "adapted"}
            Which of ``weights_``: of the last epoch, of the one that ``select`` chose, of the twin
            without adaptation, or those that `adapt` made.

        Returns
        -------
        estimator
            Itself.

        Raises
        ------
        ValueError
            If there are no such weights: ``"selected"`` needs the parameter ``select``,
            ``"source"`` needs ``select__guard``, and ``"adapted"`` the method ``adapt``, of
            estimators that have them.
        """
        check_is_fitted(self, "weights_")
        which = choice(which, "which", list(self.weights_))
        device = self._where()
        states = {
            name: {k: v.to(device) for k, v in state.items()}
            for name, state in self.weights_[which].items()
        }
        self.networks_ = saving.put_weights(self.networks_, states)
        self.used_weights_ = which
        return self

    def _where(self) -> torch.device:
        """Where the networks are: a user may move them after the fit."""
        network = next(iter(self.networks_.values()))
        return next(network.parameters(), torch.empty(0)).device

    # ---------------------------------------------------------------- files and pickles

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to one safetensors file: weights, and a JSON header.

        Parameters that are code (modules, callables) are not written; `repkit.load` takes them as
        keywords.

        Parameters
        ----------
        path : path
            The file; one that is there is replaced.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        """
        check_is_fitted(self, "weights_")
        target = path_of(path, "path")
        if target.is_dir():
            raise IsADirectoryError(f"path must be the path of a file; {str(path)!r} is a folder")
        if not target.parent.is_dir():
            raise FileNotFoundError(
                f"path must lie in a folder that exists; {str(target.parent)!r} is none"
            )
        saving.write(
            target,
            type(self).__name__,
            {**self.get_params(deep=False), **self.fitted_params_},
            {k: getattr(self, k) for k in self._kept() if hasattr(self, k)},
            self.history_.to_dict("records"),
            self.weights_,
        )

    @classmethod
    def _kept(cls) -> tuple[str, ...]:
        """Fitted attributes that a model file's header holds."""
        return (*cls._fitted, "n_iter_", "selected_epoch_", "seed_", "precision_")

    def _from_file(
        self, fitted: dict[str, Any], history: list[dict[str, Any]], tensors: dict[str, Tensor]
    ) -> None:
        """Become what was saved; the networks' sizes are compared before memory is taken.

        Raises whatever is wrong with it.
        """
        check_fitted(fitted, self._kept())
        self._tell(history)
        if self.n_iter_ != fitted["n_iter_"]:
            raise ValueError(
                f"its n_iter_ is {fitted['n_iter_']}, but its history has {self.n_iter_} epochs"
            )
        for name, value in fitted.items():
            setattr(self, name, tuple(value) if name == "input_shape_" else value)
        drawn_seed(self.random_state)
        if self.device != "auto":
            torch.device(self.device)  # it need not be here
        self.fitted_params_ = {
            k: v for k, v in self.get_params(deep=False).items() if k not in self._live
        }
        self.weights_ = saving.read_weights(tensors)
        if ("selected" in self.weights_) != hasattr(self, "selected_epoch_"):
            raise ValueError("it must have a selected epoch and its weights, or neither of them")
        if "adapted" in self.weights_ and not hasattr(self, "adapt"):
            raise ValueError("it has adapted weights, but its class has no adapt")
        if ("source" in self.weights_) != hasattr(self, "guarded_"):
            raise ValueError("it must have guarded_ and the weights of a twin, or neither of them")
        if fitted.get("selected_epoch_", 0) > self.n_iter_:
            raise ValueError(
                f"its selected_epoch_ is {fitted['selected_epoch_']}, of {self.n_iter_} epochs"
            )
        self.device_ = torch.device("cpu")
        preferred = self._preferred()
        for which in sorted(self.weights_, key=lambda which: which == preferred):  # in use: last
            self._rebuild(which)
        # A first prediction: what is wrong with the classes or the shape shows here.
        check_is_fitted(self)
        self._probe(self._rows(np.zeros((1, *self.input_shape_), dtype=np.float32)))

    def _rows(self, X: np.ndarray) -> Any:
        """Rows in the form that ``fit`` saw: columns with names are not used without."""
        import pandas as pd

        names = getattr(self, "feature_names_in_", None)
        return X if names is None else pd.DataFrame(X, columns=names)

    def _preferred(self) -> str:
        """The weights that a model from a file uses: those that came last."""
        there = [which for which in saving.WHICH if which in self.weights_]
        if not getattr(self, "guarded_", False) and "source" in there:
            there.remove("source")
        return there[-1]

    def _move(self, device: torch.device) -> None:
        """Have networks and weights on a device."""
        for network in self.networks_.values():
            network.to(device)
        self.weights_ = {
            which: {
                name: {k: v.to(device) for k, v in state.items()} for name, state in states.items()
            }
            for which, states in self.weights_.items()
        }
        self.networks_ = saving.put_weights(self.networks_, self.weights_[self.used_weights_])
        self.device_ = device

    @property
    def _built(self) -> Self:
        """A copy with the parameters of the fit, whatever has been set for the next."""
        own = object.__new__(type(self))
        own.__dict__.update({**vars(self), **getattr(self, "fitted_params_", {})})
        return own

    @in_settled
    def _rebuild(self, which: str, *, trusted: bool = False) -> None:
        """New networks that hold one of the weights."""
        built = self._built
        built.device = "cpu"  # the one of the fit may not be here
        foreign = saving.has_code(built)
        built = check_parameters(built)
        if not (trusted and foreign):
            # Sizes first: a number in a file could ask for any amount of memory. Of our own
            # networks they are all there is, since whatever else they hold is in the weights.
            with sizes_alone():
                networks = built._networks()
            self._check_sizes(networks, which)
        if foreign:
            with isolated_rng(torch.device("cpu")):
                # From the seed of then: a network may have constants beside its weights.
                networks = built._new_networks()
        # In the layout of the fit: kernels round by it, and files keep none.
        self.weights_[which] = {
            name: {k: saving.laid_out(v) for k, v in state.items()}
            for name, state in self.weights_[which].items()
        }
        self.networks_ = saving.put_weights(networks, self.weights_[which])
        self.used_weights_ = which

    def _check_sizes(self, networks: Mapping[str, nn.Module], which: str) -> None:
        weights = self.weights_[which]
        if networks.keys() != weights.keys():
            raise ValueError(
                f"there are weights of {sorted(weights)}, but the networks are {sorted(networks)}"
            )
        for name, network in networks.items():
            saving.check_weights(network, weights[name])

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {**super().__getstate__()}
        if "networks_" in state:
            # On the CPU, so that it opens on a machine without the device; as tensors, since torch
            # pickles no module with spectral normalization.
            used = {state["used_weights_"]: saving.states_of(state.pop("networks_"))}
            state["weights_"] = model_file.on_cpu({**state["weights_"], **used})
            state["device_"] = torch.device("cpu")
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "weights_" in state:
            self._rebuild(self.used_weights_, trusted=True)
