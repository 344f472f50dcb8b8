"""What a user would pick instead: DANN of skada and of pytorch-adapt, where they are installed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol

import numpy as np
import torch
from torch import nn

Predict = Callable[[np.ndarray], np.ndarray]


class Trainer(Protocol):
    """Trains on labeled source and unlabeled target rows; gives ``X -> class indices``."""

    def __call__(
        self,
        X_source: np.ndarray,
        y_source: np.ndarray,
        X_target: np.ndarray,
        *,
        features: Callable[[], nn.Module],
        n_features: int,
        steps: int,
        batch_size: int,
        learning_rate: float,
        seed: int,
        device: str,
    ) -> Predict: ...


def available() -> dict[str, Trainer]:
    """The installed peers by name."""
    found: dict[str, Trainer] = {}
    if find_spec("skada") and find_spec("skorch"):
        found["skada"] = skada_default
        found["skada, working adversary"] = skada_repaired
    if find_spec("pytorch_adapt"):
        found["pytorch-adapt"] = pytorch_adapt
    return found


def resolve(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def skada_default(X_source, y_source, X_target, **options) -> Predict:
    """Skada's DANN as it comes; its domain classifier is a softmax over one unit."""
    return _skada(X_source, y_source, X_target, None, **options)


def skada_repaired(X_source, y_source, X_target, *, n_features, **options) -> Predict:
    """Skada's DANN with a domain classifier of the caller's, reversal included."""
    from skada.deep.modules import GradientReversalLayer

    class DomainClassifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(n_features, 128), nn.ReLU(), nn.Linear(128, 1))

        def forward(self, x, sample_weight=None):
            return torch.sigmoid(self.net(GradientReversalLayer.apply(x, 1.0))).squeeze(1)

    torch.manual_seed(options["seed"])
    return _skada(
        X_source, y_source, X_target, DomainClassifier(), n_features=n_features, **options
    )


def _skada(
    X_source,
    y_source,
    X_target,
    domain_classifier,
    *,
    features,
    n_features,
    steps,
    batch_size,
    learning_rate,
    seed,
    device,
) -> Predict:
    from skada.deep import DANN

    torch.manual_seed(seed)
    np.random.seed(seed)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = features()
            self.head = nn.Linear(n_features, int(y_source.max()) + 1)

        def forward(self, x, sample_weight=None):
            return self.head(self.features(x))

    per_epoch = max(len(X_source), len(X_target)) // batch_size
    net = DANN(
        Net(),
        layer_name="features",
        domain_classifier=domain_classifier,
        num_features=n_features,
        optimizer=torch.optim.Adam,
        lr=learning_rate,
        max_epochs=max(1, round(steps / per_epoch)),
        batch_size=batch_size,
        train_split=None,
        device=resolve(device),
        verbose=0,
    )
    X = np.concatenate([X_source, X_target])
    y = np.concatenate([y_source, np.full(len(X_target), -1)])
    domain = np.repeat([1, -2], [len(X_source), len(X_target)])
    net.fit(X, y, sample_domain=domain)
    return lambda rows: np.asarray(net.predict(rows, sample_domain=np.full(len(rows), -2)))


def pytorch_adapt(
    X_source,
    y_source,
    X_target,
    *,
    features,
    n_features,
    steps,
    batch_size,
    learning_rate,
    seed,
    device,
) -> Predict:
    """pytorch-adapt's DANN adapter over its own data sets and a DataLoader."""
    logging.getLogger("pytorch-adapt").setLevel(logging.ERROR)
    from pytorch_adapt.adapters import DANN
    from pytorch_adapt.containers import Models, Optimizers
    from pytorch_adapt.datasets import (
        CombinedSourceAndTargetDataset,
        SourceDataset,
        TargetDataset,
    )

    torch.manual_seed(seed)
    np.random.seed(seed)
    device = resolve(device)
    models = {
        "G": features(),
        "C": nn.Linear(n_features, int(y_source.max()) + 1),
        "D": nn.Sequential(nn.Linear(n_features, 128), nn.ReLU(), nn.Linear(128, 1), nn.Flatten(0)),
    }
    for model in models.values():
        model.to(device)
    adapter = DANN(
        models=Models(models),
        optimizers=Optimizers((torch.optim.Adam, {"lr": learning_rate})),
    )

    class Rows(torch.utils.data.Dataset):
        def __init__(self, X, y=None) -> None:
            self.X, self.y = torch.from_numpy(X), y

        def __len__(self) -> int:
            return len(self.X)

        def __getitem__(self, k):
            return self.X[k] if self.y is None else (self.X[k], int(self.y[k]))

    rows = CombinedSourceAndTargetDataset(
        SourceDataset(Rows(X_source, y_source)), TargetDataset(Rows(X_target))
    )
    loader = torch.utils.data.DataLoader(rows, batch_size, shuffle=True, drop_last=True)
    done = 0
    while done < steps:
        for batch in loader:
            batch = {k: v.to(device) for k, v in batch.items() if isinstance(v, torch.Tensor)}
            adapter.training_step(batch)
            done += 1
            if done == steps:
                break

    @torch.no_grad()
    def predict(X: np.ndarray) -> np.ndarray:
        G, C = models["G"].eval(), models["C"].eval()
        return C(G(torch.from_numpy(X).to(device))).argmax(1).cpu().numpy()

    return predict
