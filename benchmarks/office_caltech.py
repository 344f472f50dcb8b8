"""Office-Caltech SURF, twelve pairs of domains, transductive: the target rows, without labels."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import numpy as np
from sklearn import config_context
from sklearn.linear_model import LogisticRegression

from benchmarks import peers
from benchmarks.pairs import Method, Pair, dann, logistic, over_pairs, peer
from benchmarks.recipes import OFFICE, OFFICE_RECIPE, OFFICE_SMOOTH
from benchmarks.runner import Case
from repkit.datasets import OFFICE_DOMAINS, load_office_caltech

TASK = "Office-Caltech SURF, 12 pairs"
TOUCHED = ("caltech->amazon", "webcam->caltech")  # whose labels the recipe's choice has seen


@cache
def shares(domain: str) -> tuple[np.ndarray, np.ndarray]:
    """Square roots of each row's shares."""
    data = load_office_caltech(domain)
    return np.sqrt(data.data / data.data.sum(1, keepdims=True)), data.target


def standardized(X: np.ndarray, by: np.ndarray) -> np.ndarray:
    return ((X - by.mean(0)) / (by.std(0) + 1e-6)).astype(np.float32)


def load(source: str, target: str) -> Pair:
    """One pair, each domain standardized by itself (no label needed).

    The accuracy is on the target rows themselves, as everywhere with this data.
    """
    (X_source, y_source), (X_target, y_target) = shares(source), shares(target)
    X_source, X_target = standardized(X_source, X_source), standardized(X_target, X_target)
    return Pair(X_source, y_source, X_target, X_target, y_target)


def load_unseen(source: str, target: str) -> Pair:
    """The same, the target standardized by the source: nothing of the target is used at all."""
    (X_source, y_source), (X_target, y_target) = shares(source), shares(target)
    X_source, X_target = standardized(X_source, X_source), standardized(X_target, X_source)
    return Pair(X_source, y_source, X_target, X_target, y_target)


def shallow() -> dict[str, Method]:
    """Skada's shallow methods, each before the same logistic regression.

    Their settings are the best of a few tried on these very labels (sizes, regularization, the
    classifier's C): the bar is set as high as it goes.
    """
    if not find_spec("skada"):
        return {}
    import skada

    adapters = {
        "CORAL": lambda: skada.CORALAdapter(),
        "subspace alignment": lambda: skada.SubspaceAlignmentAdapter(n_components=80),
        "transfer components": lambda: skada.TransferComponentAnalysisAdapter(
            n_components=80, kernel="linear"
        ),
        "linear optimal transport": lambda: skada.LinearOTMappingAdapter(reg=0.1),
        "optimal transport": lambda: skada.OTMappingAdapter(norm="max"),
        "entropic optimal transport": lambda: skada.EntropicOTMappingAdapter(
            reg_e=0.02, norm="max", max_iter=300
        ),
    }

    def method(make) -> Method:
        @config_context(enable_metadata_routing=True)
        def run(pair: Pair, seed: int) -> dict[str, float]:
            base = LogisticRegression(C=0.01, max_iter=2000).set_fit_request(sample_weight=True)
            model = skada.make_da_pipeline(make(), base)
            X = np.concatenate([pair.X_source, pair.X_target]).astype(np.float64)
            y = np.concatenate([pair.y_source, np.full(len(pair.X_target), -1)])
            domain = np.repeat([1, -2], [len(pair.X_source), len(pair.X_target)])
            model.fit(X, y, sample_domain=domain)
            target = np.full(len(pair.X_test), -2)
            found = model.predict(pair.X_test.astype(np.float64), sample_domain=target)
            return {"accuracy_last": float(np.mean(found == pair.y_test))}

        return run

    return {name: method(make) for name, make in adapters.items()}


def cases(preset: str, device: str) -> list[Case]:
    """Variants, from the source alone to the recipe; a baseline; the peers, deep and shallow."""
    variants = {
        "source only": {"lam": None},
        "joint": {},
        "alternating": {"updates": "alternating"},
        "conditional": {"conditional": True},
        "entropy, no adversary": {"lam": 0.0, "entropy": 1.0},
        "conditional + entropy": {"conditional": True, "entropy": 1.0},
        "conditional + entropy + pseudo": OFFICE_RECIPE,
        "conditional + entropy + pseudo + smoothness": OFFICE_SMOOTH,
        "source only, three times the steps": {"lam": None, "max_epochs": 30, "ema": 0.995},
    }
    methods = {
        ("DANN", name): dann({**OFFICE, **settings}, device) for name, settings in variants.items()
    }
    unseen = "source only, target standardized by the source"
    methods["DANN", unseen] = methods["DANN", "source only"]
    methods["LogisticRegression", "source only"] = logistic(0.01)
    once = {"source only"}
    for name, method in shallow().items():
        methods["skada", name] = method
        once.add(name)
    for name, train in peers.available().items():
        methods[name, "DANN, same network and steps"] = peer(train, OFFICE, device)
    return [
        Case(
            TASK,
            system,
            variant,
            over_pairs(
                OFFICE_DOMAINS,
                load_unseen if variant == unseen else load,
                method,
                left_out=TOUCHED,
            ),
            seeds=1 if variant in once and system != "DANN" else None,
        )
        for (system, variant), method in methods.items()
    ]
