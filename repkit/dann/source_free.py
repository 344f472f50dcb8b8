"""Internal. The method of a fitted `DANN` that adapts it to target rows alone."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from repkit import nets
from repkit.base import saving
from repkit.base.estimator import Problem
from repkit.base.parameters import (
    MOST_EPOCHS,
    MOST_RATE,
    check_parameters,
    choice,
    integer,
    number,
)
from repkit.base.rules import OnDevice
from repkit.base.surroundings import in_settled
from repkit.dann.refinement import dirt_t, shot
from repkit.engine.batches import Batches
from repkit.engine.modes import evaluating
from repkit.engine.rng import Kind, isolated_rng, seed_of
from repkit.engine.training import train

if TYPE_CHECKING:
    import pandas as pd

    from repkit.dann.base import DomainAdaptation as Base
else:
    Base = object  # a mixin: it stands beside the estimator's classes, not on them

# What the arguments of `adapt` may be, as of parameters.
RULES = {
    "method": choice("shot", "dirt_t", default="shot"),
    "max_epochs": integer(1, MOST_EPOCHS, default=15),
    "learning_rate": number(0.0, MOST_RATE, default=None, optional=True),
    "beta": number(default=0.3),
}


class SourceFree(Base):
    """The part of an estimator of classes that adapts it after the fit."""

    classes_: np.ndarray
    adaptation_: pd.DataFrame
    entropy: Any

    @in_settled
    def adapt(
        self,
        X: Any,
        *,
        method: str = "shot",
        sample_domain: Any = None,
        max_epochs: int = 15,
        learning_rate: float | None = None,
        beta: float = 0.3,
    ) -> Self:
        """Adapt the fitted model to target rows alone, without the rows of the source.

        It goes on from the weights in use, with the optimizer, the augmentation and the other
        parameters of `fit`. The adapted weights are then in use, as ``weights_["adapted"]``; what
        was before is kept, and ``use("last")`` goes back to it.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Target rows of the shape that ``fit`` saw, at least 2.
        method : {"shot", "dirt_t"}, default="shot"
            "shot" trains the features for certain and evenly spread predictions, and for the class
            whose centroid is the nearest (Liang et al. 2020); the label predictor stays. It is for
            targets that have all classes in like shares. "dirt_t" trains both for certain and
            smooth predictions that stay near those of the epoch before (Shu et al. 2018); the
            radius of smoothness is ``entropy__smoothness`` of the fit.
        sample_domain : array-like of shape (n,), optional
            The domain of each row, one of ``domains_``; it matters with ``domain_norm="separate"``
            alone, where all rows must be of one. By default, the first target.
        max_epochs : int, default=15
            Length of the training, in epochs over X.
        learning_rate : float, optional
            Learning rate. By default, that of the fit.
        beta : float, default=0.3
            Weight of the pseudo-labels of "shot".

        Returns
        -------
        estimator
            Itself, adapted.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        ValueError, TypeError
            If an argument is out of its range, or X is of another shape.

        Warns
        -----
        ConvergenceWarning
            If a loss is not finite. The last good weights are then in use.
        """
        check_is_fitted(self)
        given: dict[str, Any] = {"method": method, "max_epochs": max_epochs, "beta": beta}
        given["learning_rate"] = learning_rate
        given = {k: RULES[k].metadata["rule"](k, v) for k, v in given.items()}
        own = check_parameters(self._built)
        X = own._check_X(X, reset=False)
        if X.shape[0] < 2:
            raise ValueError(f"X must have at least 2 rows, not {X.shape[0]}")
        places = np.unique(own._places(sample_domain, X.shape[0]))
        if len(places) > 1:
            raise ValueError(
                f"sample_domain must be one domain in a call of adapt, not {len(places)}; adapt to "
                "one after the other"
            )
        own.max_epochs, own.compile = given["max_epochs"], False
        if given["learning_rate"] is not None:
            own.learning_rate = given["learning_rate"]
        else:
            own.learning_rate = own._rates_without_d()
        device = self._where()
        with isolated_rng(device):
            failure, history, states = own._adapted(X, int(places[0]), given, device)
        import pandas as pd

        self.adaptation_ = pd.DataFrame(history)
        self.weights_["adapted"] = {**saving.states_of(self.networks_), **states}
        self.use("adapted")
        if failure:
            warnings.warn(failure, ConvergenceWarning, stacklevel=3)
        return self

    def _adapted(
        self, X: Any, place: int, given: dict[str, Any], device: torch.device
    ) -> tuple[str | None, list[dict[str, Any]], dict[str, dict[str, Tensor]]]:
        """What went wrong, the rows of the history, and the weights; on a copy of the estimator."""
        seed, n, n_classes = seed_of(self.seed_, Kind.ADAPTATION), X.shape[0], len(self.classes_)
        networks = {k: copy.deepcopy(self.networks_[k]) for k in "FC"}
        layout = [(min(self.batch_size, n), place)]
        augment = self.augment if self.strong_augment is None else self.strong_augment
        if augment is not None:
            augment = OnDevice(augment, device)
        guess = torch.zeros(n, dtype=torch.int64, device=device)

        def both(x: Tensor, rows: np.ndarray) -> Tensor:
            """Features and predictions, side by side."""
            nets.set_rows(networks["F"], [(len(x), place)])
            f = networks["F"](x).float()
            return torch.cat([f, torch.softmax(networks["C"](f).float(), 1)], 1)

        def everything() -> tuple[Tensor, Tensor]:
            """Those of all rows, by the networks as they are."""
            with evaluating(*networks.values()):
                found = torch.from_numpy(self._apply(both, X, np.zeros(n))).to(device)
            return found[:, :-n_classes], found[:, -n_classes:]

        if given["method"] == "shot":
            system = shot(
                networks,
                everything=everything,
                guess=guess,
                beta=given["beta"],
                layout=layout,
                augment=augment,
            )
        else:
            smoothness = self.entropy.smoothness
            system = dirt_t(networks, smoothness=smoothness, layout=layout, augment=augment)
        batches = Batches(
            {"x": self._stored(X, device), "guess": guess},
            [(np.arange(n), layout[0][0])],
            seed=seed,
            device=device,
        )
        engine = self._engine(Problem(system, batches), seed)
        result = train(engine, max_epochs=self.max_epochs, verbose=self.verbose)
        engine.release()
        return result.failure, result.history, saving.states_of(engine.averaged or networks)
