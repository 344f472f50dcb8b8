"""`FrameNetwork`: a network that learns the clusters of frames from another view of them."""

from __future__ import annotations

import copy
import warnings
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from repkit import _arguments
from repkit._random import generator, seed_torch
from repkit.base.all_or_nothing import all_or_nothing
from repkit.base.labels import as_plain, check_count, read_labels
from repkit.engine import Batches, Engine, Noise, Phase, System, train
from repkit.engine.optim import Adam
from repkit.engine.rng import isolated_rng
from repkit.metrics._arrays import probability_matrix
from repkit.schedules import warm_cosine
from repkit.speech.frame_table import MOST_FRAMES, in_blocks, read_by_speaker
from repkit.speech.neighbors_in_time import joined
from repkit.speech.speaker_scaler import SpeakerScaler

__all__ = ["FrameNetwork"]

MOST, MOST_CONTEXT, MOST_EPOCHS = 2**14, 100, 10**5


class FrameNetwork(TransformerMixin, BaseEstimator):
    """Learn probabilities of clusters, frame by frame, from another kind of frames.

    Clusters of MFCC, as `FramePosteriors` finds them, hold mistakes; a network that has to tell
    them from log-mel frames and their neighbors makes others. Phones are told apart better by the
    mean of both than by either (such networks in ZeroSpeech 2017: Chen et al., from memory).
    Frames are brought to mean 0 and deviation 1, speaker by speaker. Two hidden layers read them,
    with noise on the input and dropout; the loss is the cross entropy with the given probabilities.

    Parameters
    ----------
    context : int, default=4
        Frames on either side that the network reads, too.
    width : int, default=512
        Units of each hidden layer.
    dropout : float, default=0.3
        Share of the units that are dropped, below 1.
    noise : float, default=0.3
        Standard deviation of the noise on the scaled frames.
    max_epochs : int, default=15
        Passes over the frames of ``fit``.
    batch_size : int, default=256
        Frames in a step.
    learning_rate : float, default=3e-3
        Of AdamW, at its height.
    device : str or torch.device, default="auto"
        Where to train and to transform. "auto" is CUDA if there is one that works, else the CPU.
    random_state : int, RandomState, Generator or None, default=None
        Seed of everything random.

    Attributes
    ----------
    scaler_ : SpeakerScaler
        What scales the frames.
    network_ : nn.Module
        The trained network, on the CPU: scaled frames with their neighbors, (n, (2 context + 1)
        D), to logits (n, k).
    history_ : DataFrame
        One row an epoch: loss_N, the cross entropy, and seconds.
    classes_ : ndarray
        The labels, where y held labels.
    n_features_in_ : int
        Columns of a frame.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.speech import FrameNetwork, FramePosteriors
    >>> rng = np.random.default_rng(0)
    >>> mfcc, logmel = ([rng.normal(size=(n, d)) for n in (80, 120)] for d in (13, 40))
    >>> who = ["ann", "bob"]
    >>> found = FramePosteriors(8, random_state=0).fit_transform(mfcc, speaker=who)
    >>> network = FrameNetwork(max_epochs=2, random_state=0).fit(logmel, found, speaker=who)
    >>> mean = [(p + q) / 2 for p, q in zip(found, network.transform(logmel, speaker=who))]
    >>> mean[1].shape
    (120, 48)
    """

    def __init__(
        self,
        context: int = 4,
        *,
        width: int = 512,
        dropout: float = 0.3,
        noise: float = 0.3,
        max_epochs: int = 15,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        device: Any = "auto",
        random_state: Any = None,
    ) -> None:
        self.context = context
        self.width = width
        self.dropout = dropout
        self.noise = noise
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.device = device
        self.random_state = random_state

    @all_or_nothing
    def fit(self, X: Any, y: Any = None, *, speaker: Any = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : list of m arrays of shape (T, n_features), or array of shape (n, n_features)
            Frames of recordings; or single frames that have no neighbors.
        y : list of m arrays of shape (T, k), or array of shape (n, k)
            Probabilities of the clusters of each frame, as `FramePosteriors.transform` gives them.
            Or labels of frames: a list of arrays of shape (T,), or an array of shape (n,).
        speaker : array-like of shape (m,) or (n,), optional
            Who speaks in each recording, labels of any kind; -1 where it is unknown. Without names,
            all are scaled alike.

        Returns
        -------
        FrameNetwork
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, X is not finite, y has other lengths, rows of y are
            no probabilities, or ``speaker`` is of another length.

        Warns
        -----
        ConvergenceWarning
            If the loss is not finite. The network is then as it was just before.
        """
        import pandas as pd

        context = _arguments.integer(self.context, "context", 0, MOST_CONTEXT)
        width = _arguments.integer(self.width, "width", 1, MOST)
        dropout = _arguments.number(self.dropout, "dropout", 0.0, 1.0 - 2.0**-20)
        noise = _arguments.number(self.noise, "noise", 0.0)
        epochs = _arguments.integer(self.max_epochs, "max_epochs", 1, MOST_EPOCHS)
        size = _arguments.integer(self.batch_size, "batch_size", 2)
        rate = _arguments.number(self.learning_rate, "learning_rate", 0.0, above=True)
        device = _arguments.device(self.device)
        rng = generator(self.random_state)
        table, codes, lengths = read_by_speaker(self, X, speaker, reset=True)
        y, classes = _targets(y, lengths)
        scaler = SpeakerScaler(0.0).fit(table, speaker=codes)
        table = scaler.transform(table, speaker=codes)
        chosen = np.sort(rng.permutation(len(table))[:MOST_FRAMES])
        x = torch.from_numpy(joined(table, lengths, context, chosen)).to(device)
        seed = int(rng.integers(2**31))
        with isolated_rng(device):
            seed_torch(seed, device)
            network = _layers(x.shape[1], width, y.shape[1], dropout)
            engine = Engine(
                System(
                    {"N": network},
                    {"N": ("N",)},
                    phases=(Phase(_Loss(noise)),),
                    noise={"z": Noise((x.shape[1],))},
                ),
                Batches(
                    {"x": x, "y": torch.from_numpy(y[chosen]).to(device)},
                    [(np.arange(len(x)), min(size, len(x)))],
                    seed=seed,
                    device=device,
                ),
                optimizer=lambda p: Adam(p, rate, weight_decay=1e-3),
                total_steps=epochs * -(-len(x) // min(size, len(x))),
                seed=seed,
                learning_rate_schedule=warm_cosine,
            )
            history = train(engine, max_epochs=epochs).history
        if "failed_step" in history[-1]:
            warnings.warn(
                f"the loss was not finite in epoch {len(history)}: the network is as it was "
                "just before; a lower learning_rate may help",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.network_ = network.requires_grad_(False).cpu()
        self.scaler_, self.history_ = scaler, pd.DataFrame(history)
        if classes is not None:
            self.classes_ = classes
        elif hasattr(self, "classes_"):  # of a fit before
            del self.classes_
        return self

    def transform(self, X: Any, *, speaker: Any = None) -> Any:
        """Give the probabilities of the clusters.

        Parameters
        ----------
        X : list of m arrays of shape (T, n_features), or array of shape (n, n_features)
            Frames of recordings, of any speakers and any length; or single frames.
        speaker : array-like of shape (m,) or (n,), optional
            Who speaks in each recording, by whose frames in X it is scaled: names of people whom
            ``fit`` has not seen will do. Without, or where it is -1, it is scaled by the mean of
            ``fit`` and the deviation within its speakers.

        Returns
        -------
        list of m ndarray of shape (T, k), or ndarray of shape (n, k)
            Float32 rows that sum to 1.

        Raises
        ------
        NotFittedError
            If the network is not fitted.
        ValueError
            If X is not finite or has another number of columns, or ``speaker`` is of another
            length.
        """
        check_is_fitted(self)
        table, codes, lengths = read_by_speaker(self, X, speaker, reset=False)
        table = self.scaler_.transform(table, speaker=codes)
        device = _arguments.device(self.device)
        network = copy.deepcopy(self.network_).to(device)

        @torch.inference_mode()
        def made(rows: np.ndarray) -> np.ndarray:
            wide = torch.from_numpy(joined(table, lengths, self.context, rows)).to(device)
            read: np.ndarray = network(wide).softmax(1).cpu().numpy()
            return read

        return in_blocks(X, lengths, made)

    def fit_transform(self, X: Any, y: Any = None, *, speaker: Any = None) -> Any:
        """Train the network, and give the probabilities of the same frames.

        Parameters
        ----------
        X : list of m arrays of shape (T, n_features), or array of shape (n, n_features)
            As in `fit`.
        y : list of m arrays of shape (T, k) or (T,), or array of shape (n, k) or (n,)
            As in `fit`.
        speaker : array-like of shape (m,) or (n,), optional
            Who speaks in each recording; both use it.

        Returns
        -------
        list of m ndarray of shape (T, k), or ndarray of shape (n, k)
            As `transform` gives it.

        Raises
        ------
        TypeError, ValueError
            As `fit` does.
        """
        return self.fit(X, y, speaker=speaker).transform(X, speaker=speaker)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns that `transform` gives.

        Parameters
        ----------
        input_features : array-like of str, optional
            Not read.

        Returns
        -------
        ndarray of str
            "cluster0", "cluster1" and so on.
        """
        check_is_fitted(self)
        n = int(self.network_[-1].out_features)  # type: ignore[arg-type]
        return np.array([f"cluster{j}" for j in range(n)], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class _Loss:
    """Cross entropy of noisy frames with the given probabilities."""

    def __init__(self, noise: float) -> None:
        self.noise = noise

    def __call__(self, networks: SimpleNamespace, batch: Any) -> dict[str, Tensor]:
        logits = networks.N(batch.x + self.noise * batch.z)
        return {"N": F.cross_entropy(logits, batch.y)}


def _layers(n_in: int, width: int, n_out: int, dropout: float) -> nn.Sequential:
    def hidden(n: int) -> list[nn.Module]:
        return [nn.Linear(n, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]

    return nn.Sequential(*hidden(n_in), *hidden(width), nn.Linear(width, n_out))


def _targets(y: Any, lengths: list[int]) -> tuple[np.ndarray, np.ndarray | None]:
    """Probabilities for all frames, one after the other, float32 (n, k); and labels, if any."""
    if y is None:
        raise ValueError(
            "y must be probabilities of clusters, or labels: this requires y to be passed, but "
            "the target y is None"
        )
    y = as_plain(y)
    if isinstance(y, list | tuple) and len(y) and np.ndim(y[0]):  # recording by recording
        given = [len(part) for part in y]
        if given != lengths:
            raise ValueError(
                "y must have an array for each recording of X, as long as that, "
                f"{len(lengths)} of {lengths[:3]} frames and so on, not {len(y)} of {given[:3]}"
            )
        y = np.concatenate([np.asarray(part) for part in y])
    if np.ndim(y) == 1 or np.shape(y)[1:] == (1,):
        labels = read_labels(np.ravel(y), sum(lengths), name="y")
        if (labels.codes < 0).any():
            raise ValueError(
                f"y must have a label for each frame; {(labels.codes < 0).sum()} have none"
            )
        return np.eye(len(labels.classes), dtype=np.float32)[labels.codes], labels.classes
    check_count(y, sum(lengths), "y")
    return probability_matrix(y, "y").astype(np.float32), None
