"""What every estimator shares: validation, seeds, device, precision, training, persistence."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import torch
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from repkit.base.parameters import check_choice, rate_of
from repkit.base.saving import Saved, take_weights
from repkit.engine.batches import BatchSource, mix, to_device, to_float
from repkit.engine.checkpoint import Checkpoints
from repkit.engine.engine import Engine, OptimizerFactory
from repkit.engine.rng import isolated_rng
from repkit.engine.system import System
from repkit.engine.training import Training, train, weights

if TYPE_CHECKING:
    import pandas as pd

# Parameters that do not change what is learned, so that a run may be resumed with others.
NEUTRAL = {"checkpoint", "callbacks", "verbose", "device", "random_state"}
ROWS = 1024  # of one forward pass outside training, at most
BLOCK = 64


class Estimator(Saved):
    """Base of the estimators. Subclasses store their parameters in ``__init__``, nothing else.

    Attributes
    ----------
    networks_ : dict of str to nn.Module
        The trained networks, in evaluation mode.
    weights_ : dict
        Their weights at the end of the ``"last"`` epoch and, with ``select``, the ``"selected"``.
    history_ : DataFrame
        One row an epoch: epoch, step, a column for every term, seconds.
    n_iter_ : int
        Epochs trained.
    input_shape_ : tuple of int
        Shape of one sample.
    device_ : torch.device
        Where it was trained; after unpickling or loading, the CPU.
    """

    # Of the subclasses' common parameters.
    device: str
    precision: str
    random_state: Any
    checkpoint: str | os.PathLike[str] | None
    warm_start: bool
    max_epochs: int
    compile: bool
    callbacks: Any
    verbose: int

    networks_: dict[str, nn.Module]
    weights_: dict[str, dict[str, dict[str, Tensor]]]
    history_: pd.DataFrame
    input_shape_: tuple[int, ...]
    device_: torch.device

    # ---------------------------------------------------------------- input

    def _check_X(self, X: Any, *, reset: bool) -> np.ndarray:
        """Validated samples ``(n, ...)``: float32, float64 or uint8; a memory map stays one."""
        if not reset:
            check_is_fitted(self)
        if isinstance(X, Tensor):
            X = X.detach().cpu().numpy()
        given = X
        images = getattr(X, "ndim", 2) > 2
        kinds = [np.float64, np.float32, np.uint8] if images else [np.float64, np.float32]
        X = validate_data(
            self, X, dtype=kinds, allow_nd=True, reset=reset, ensure_min_samples=2 if reset else 1
        )
        if X.ndim > 4:
            raise ValueError(
                f"X has {X.ndim} dimensions; give (n, features), (n, height, width) or "
                "(n, channels, height, width)"
            )
        if 0 in X.shape:
            raise ValueError(f"X has an empty dimension: its shape is {X.shape}")
        if isinstance(given, np.memmap) and given.dtype == X.dtype:
            X = given
        if reset:
            self.input_shape_ = X.shape[1:]
        elif X.shape[1:] != self.input_shape_:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but {type(self).__name__} was fitted on "
                f"samples of shape {self.input_shape_}"
            )
        return X

    # ---------------------------------------------------------------- where and how

    def _resolve_device(self) -> torch.device:
        if self.device == "auto":
            if torch.cuda.is_available():
                return torch.device("cuda")
            return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"device={self.device!r} is not available: {error}") from error
        return device

    def _resolve_precision(self, device: torch.device, networks: dict[str, nn.Module]) -> str:
        """bf16 where it is quick and was measured to cost no accuracy: convolutions."""
        check_choice(self, precision=("auto", "fp32", "bf16"))
        if self.precision != "auto":
            return self.precision
        convolutions = any(
            isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d)
            for network in networks.values()
            for m in network.modules()
        )
        return "bf16" if convolutions and has_fast_bf16(device) else "fp32"

    def _seed(self) -> int:
        """From ``random_state``; None is a new one, without touching numpy's global generator."""
        if self.random_state is None:
            return int(np.random.SeedSequence().generate_state(1)[0])
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    # ---------------------------------------------------------------- training

    @contextmanager
    def _training(
        self, data: Any, part: int = 0
    ) -> Iterator[tuple[torch.device, int, Checkpoints | None]]:
        """Device, seed and checkpoints of a fit; the caller's random state is left alone.

        Without a fixed ``random_state`` the seed of a run in ``checkpoint`` is taken over. A fit of
        several trainings numbers them: each ``part`` has a seed and a folder of its own.
        """
        device = self._resolve_device()
        seed, checkpoints = self._seed(), None
        if part:
            seed = mix(seed, 100 + part) % 2**32
        if self.checkpoint is not None:
            folder = Path(self.checkpoint, f"part-{part}") if part else self.checkpoint
            checkpoints = Checkpoints(folder, self._fingerprint(data))
            state = checkpoints.load()
            if state is not None:
                seed = state["seed"]
            checkpoints.extra["seed"] = seed
        with isolated_rng(device):
            yield device, seed, checkpoints

    def _start(self, seed: int) -> dict[str, nn.Module]:
        """New networks from the seed; with ``warm_start``, the weights of the fit before."""
        torch.manual_seed(mix(seed, 0))
        networks = self._networks()
        if self.warm_start:
            take_weights(networks, getattr(self, "networks_", {}))
        return networks

    def _engine_of(
        self,
        system: System,
        batches: BatchSource,
        seed: int,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory],
        ema: float = 0.0,
    ) -> Engine:
        """An engine of the length, precision and schedule that the parameters say."""
        return Engine(
            system,
            batches,
            optimizer=optimizer,
            total_steps=self.max_epochs * batches.steps_per_epoch,
            seed=seed,
            precision=self._resolve_precision(batches.device, dict(system.networks)),
            ema=ema,
            learning_rate_schedule=rate_of(self),
            compile=self.compile,
        )

    def _fingerprint(self, data: Any) -> str:
        params = {
            k: describe(v) for k, v in self.get_params(deep=False).items() if k not in NEUTRAL
        }
        if isinstance(self.random_state, int | np.integer):
            params["random_state"] = int(self.random_state)
        start = self.weights_ if self.warm_start and hasattr(self, "weights_") else None
        start = describe_weights(start)
        return str(joblib.hash((type(self).__name__, sorted(params.items()), data, start)))

    def _train(
        self,
        engine: Engine,
        *,
        checkpoints: Checkpoints | None,
        evaluate: Callable[[], dict[str, float]],
        select: str | None = None,
    ) -> Training:
        """Train, and set ``history_``, ``n_iter_`` and the weights that predict."""
        result = train(
            engine,
            max_epochs=self.max_epochs,
            checkpoints=checkpoints,
            callbacks=self.callbacks or (),
            evaluate=evaluate,
            select=select,
            verbose=self.verbose,
        )
        import pandas as pd

        self.history_ = pd.DataFrame(result.history)
        self.n_iter_ = sum("failed_step" not in row for row in result.history)
        self.weights_ = {"last": weights(engine)}
        if result.best is not None:
            self.weights_["selected"] = result.best
            self.selected_epoch_ = result.best_epoch
        self.networks_ = dict(engine.system.networks)
        engine.release()
        return result

    # ---------------------------------------------------------------- use

    def _where(self) -> torch.device:
        """Where the networks are: a user may move them after the fit."""
        network = next(iter(self.networks_.values()))
        return next(network.parameters(), torch.empty(0)).device

    @torch.no_grad()
    def _apply(
        self, function: Callable[[Tensor, np.ndarray], Tensor], X: np.ndarray, rows: np.ndarray
    ) -> np.ndarray:
        """``function`` over the rows of X, and a value for each, in bounded memory."""
        device = self._where()
        parts = []
        for start in range(0, len(X), ROWS):
            # Whole multiples of BLOCK rows: matrix kernels for odd sizes round differently, and a
            # row's result should not depend on how many others come with it.
            stop = min(start + ROWS, len(X))
            part = np.minimum(
                np.arange(start, start + -(-(stop - start) // BLOCK) * BLOCK), stop - 1
            )
            x = to_float(torch.as_tensor(to_device(np.array(X[part]), device)))
            out = function(x, rows[part])[: stop - start]
            parts.append(out.float().cpu().numpy())
        return np.concatenate(parts)

    @staticmethod
    def _like(out: np.ndarray, X: np.ndarray) -> np.ndarray:
        """The output in the input's precision: float64 for float64, else float32."""
        return out.astype(np.float64 if X.dtype == np.float64 else np.float32, copy=False)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def describe(value: Any) -> Any:
    """What stands for a parameter in a fingerprint: code by its name, a module by its weights."""
    if isinstance(value, nn.Module):
        return repr(value), describe_weights(value.state_dict())
    if callable(value):
        return getattr(value, "__module__", ""), getattr(value, "__qualname__", repr(type(value)))
    return value


def describe_weights(state: Any) -> Any:
    """A state dict, of any depth, with arrays in the place of tensors."""
    if isinstance(state, Tensor):
        return state.detach().cpu().numpy()
    return {k: describe_weights(v) for k, v in state.items()} if state else None


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return False
