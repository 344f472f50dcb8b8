"""repkit: representation learning and domain adaptation as scikit-learn estimators."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from repkit._importing import uncollected
from repkit._version import __version__ as __version__

if TYPE_CHECKING:
    from repkit.base.parts import Consistency, Discriminator, Optimizer
    from repkit.bigan import BiGAN
    from repkit.callbacks import EarlyStopping, Probe
    from repkit.dann import DANN, AdaptationSearch, DANNRegressor, NoTargetWarning
    from repkit.hub import from_pretrained, push_to_hub
    from repkit.infogan import InfoGAN
    from repkit.loading import load
    from repkit.plots import (
        EmbeddingDisplay,
        ErrorCurveDisplay,
        HistoryDisplay,
        InterpolationDisplay,
        ReconstructionDisplay,
        SampleGridDisplay,
        SpectrogramDisplay,
        SpeechVectorsDisplay,
        TraversalDisplay,
    )
    from repkit.speech import SpeechAutoencoder
    from repkit.triplegan import TripleGAN
    from repkit.vae import VAE
    from repkit.vaegan import VAEGAN

# Where each public name lives; it is imported on first use.
_HOMES = {
    "InfoGAN": "infogan",
    "SpeechAutoencoder": "speech",
    "TripleGAN": "triplegan",
    "VAE": "vae",
    "VAEGAN": "vaegan",
    "BiGAN": "bigan",
    "AdaptationSearch": "dann",
    "Consistency": "base.parts",
    "DANN": "dann",
    "DANNRegressor": "dann",
    "Discriminator": "base.parts",
    "EarlyStopping": "callbacks",
    "NoTargetWarning": "dann",
    "Optimizer": "base.parts",
    "Probe": "callbacks",
    "from_pretrained": "hub",
    "load": "loading",
    "push_to_hub": "hub",
    "EmbeddingDisplay": "plots",
    "ErrorCurveDisplay": "plots",
    "HistoryDisplay": "plots",
    "InterpolationDisplay": "plots",
    "ReconstructionDisplay": "plots",
    "SampleGridDisplay": "plots",
    "SpectrogramDisplay": "plots",
    "SpeechVectorsDisplay": "plots",
    "TraversalDisplay": "plots",
}
__all__ = [
    "DANN",
    "VAE",
    "VAEGAN",
    "AdaptationSearch",
    "BiGAN",
    "Consistency",
    "DANNRegressor",
    "Discriminator",
    "EarlyStopping",
    "EmbeddingDisplay",
    "ErrorCurveDisplay",
    "HistoryDisplay",
    "InfoGAN",
    "InterpolationDisplay",
    "NoTargetWarning",
    "Optimizer",
    "Probe",
    "ReconstructionDisplay",
    "SampleGridDisplay",
    "SpectrogramDisplay",
    "SpeechAutoencoder",
    "SpeechVectorsDisplay",
    "TraversalDisplay",
    "TripleGAN",
    "from_pretrained",
    "load",
    "push_to_hub",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        with uncollected():
            return getattr(import_module(f"repkit.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'repkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
