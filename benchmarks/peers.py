"""What a user would pick instead: skada and pytorch-adapt, where they are installed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import torch
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
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
        head: Callable[[int, int], nn.Module] = nn.Linear,
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


def methods() -> dict[tuple[str, str], Trainer]:
    """All deep methods of the installed peers, by system and method."""
    found = {(name, "DANN"): train for name, train in available().items()}
    if find_spec("skada") and find_spec("skorch"):
        for name, make in SKADA.items():
            if name != "DANN":
                found["skada", name] = partial(_skada, make)
        found["skada, working adversary", "CDAN"] = skada_repaired_conditional
    return found


def resolve(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def _adversarial(method: str, net: nn.Module, sizes: Mapping[str, int], **options: Any) -> Any:
    from skada import deep

    if method == "CDAN":
        options["n_classes"] = sizes["n_classes"]
    return getattr(deep, method)(net, num_features=sizes["num_features"], **options)


def _plain(method: str, net: nn.Module, sizes: Mapping[str, int], **options: Any) -> Any:
    from skada import deep

    return getattr(deep, method)(net, **options)


# ``(net, sizes, **options) -> estimator``, each with skada's own weights.
SKADA: dict[str, Callable[..., Any]] = {
    "DANN": partial(_adversarial, "DANN"),
    "CDAN": partial(_adversarial, "CDAN"),
    "DeepCORAL": partial(_plain, "DeepCoral"),
    "MCC": partial(_plain, "MCC"),
    "DeepJDOT": partial(_plain, "DeepJDOT"),
}


def skada_default(X_source, y_source, X_target, **options) -> Predict:
    """Skada's DANN as it comes; its domain classifier is a softmax over one unit."""
    return _skada(SKADA["DANN"], X_source, y_source, X_target, **options)


def skada_repaired(X_source, y_source, X_target, *, n_features, **options) -> Predict:
    """Skada's DANN with a domain classifier of the caller's, reversal included."""
    torch.manual_seed(options["seed"])
    make = partial(SKADA["DANN"], domain_classifier=_working(n_features))
    return _skada(make, X_source, y_source, X_target, n_features=n_features, **options)


def skada_repaired_conditional(X_source, y_source, X_target, *, n_features, **options) -> Predict:
    """Skada's CDAN with the same domain classifier, on the products that it reads."""
    torch.manual_seed(options["seed"])
    inputs = min(n_features * (int(y_source.max()) + 1), 4096)
    make = partial(SKADA["CDAN"], domain_classifier=_working(inputs))
    return _skada(make, X_source, y_source, X_target, n_features=n_features, **options)


def _working(inputs: int) -> nn.Module:
    """A domain classifier that learns, for skada, which takes the reversal from it, too."""
    from skada.deep.modules import GradientReversalLayer

    class DomainClassifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, 1))

        def forward(self, x, sample_weight=None):
            return torch.sigmoid(self.net(GradientReversalLayer.apply(x, 1.0))).squeeze(1)

    return DomainClassifier()


def _skada(
    make,
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
    head=nn.Linear,
) -> Predict:
    torch.manual_seed(seed)
    np.random.seed(seed)
    n_classes = int(y_source.max()) + 1

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = features()
            self.head = head(n_features, n_classes)

        def forward(self, x, sample_weight=None):
            return self.head(self.features(x))

    batch_size = min(batch_size, len(X_source), len(X_target))
    per_epoch = max(len(X_source), len(X_target)) // batch_size
    net = make(
        Net(),
        {"num_features": n_features, "n_classes": n_classes},
        layer_name="features",
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


def shallow() -> dict[str, Callable[..., Any]]:
    """Skada's shallow methods by name, each ``(components) -> adapter``; none without skada."""
    if not find_spec("skada"):
        return {}
    import skada

    return {
        "CORAL": lambda n: skada.CORALAdapter(),
        "subspace alignment": lambda n: skada.SubspaceAlignmentAdapter(n_components=n),
        "transfer components": lambda n: skada.TransferComponentAnalysisAdapter(
            n_components=n, kernel="linear"
        ),
        "linear optimal transport": lambda n: skada.LinearOTMappingAdapter(reg=0.1),
        "optimal transport": lambda n: skada.OTMappingAdapter(norm="max"),
        "entropic optimal transport": lambda n: skada.EntropicOTMappingAdapter(
            reg_e=0.02, norm="max", max_iter=300
        ),
    }


def shallow_predict(adapter, X_source, y_source, X_target, X_test, C: float) -> np.ndarray:
    """What a logistic regression after the adapter predicts for the test rows."""
    import skada

    with config_context(enable_metadata_routing=True):
        base = LogisticRegression(C=C, max_iter=2000).set_fit_request(sample_weight=True)
        model = skada.make_da_pipeline(adapter, base)
        X = np.concatenate([X_source, X_target]).astype(np.float64)
        y = np.concatenate([y_source, np.full(len(X_target), -1)])
        domain = np.repeat([1, -2], [len(X_source), len(X_target)])
        model.fit(X, y, sample_domain=domain)
        target = np.full(len(X_test), -2)
        return np.asarray(model.predict(X_test.astype(np.float64), sample_domain=target))


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
    head=nn.Linear,
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
        "C": head(n_features, int(y_source.max()) + 1),
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
