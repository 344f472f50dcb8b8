"""repkit: representation learning and domain adaptation as scikit-learn estimators."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repkit.estimators.bigan import BiGAN
    from repkit.estimators.dann import DANN, NoTargetWarning
    from repkit.estimators.infogan import InfoGAN
    from repkit.estimators.loading import load
    from repkit.estimators.speech import SpeechAutoencoder
    from repkit.estimators.triplegan import TripleGAN
    from repkit.estimators.vae import VAE
    from repkit.estimators.vaegan import VAEGAN
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

__version__ = "0.1.0"

# Where each public name lives; it is imported on first use.
_HOMES = {
    "InfoGAN": "estimators.infogan",
    "SpeechAutoencoder": "estimators.speech",
    "TripleGAN": "estimators.triplegan",
    "VAE": "estimators.vae",
    "VAEGAN": "estimators.vaegan",
    "BiGAN": "estimators.bigan",
    "DANN": "estimators.dann",
    "NoTargetWarning": "estimators.dann",
    "load": "estimators.loading",
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
    "BiGAN",
    "EmbeddingDisplay",
    "ErrorCurveDisplay",
    "HistoryDisplay",
    "InfoGAN",
    "InterpolationDisplay",
    "NoTargetWarning",
    "ReconstructionDisplay",
    "SampleGridDisplay",
    "SpectrogramDisplay",
    "SpeechAutoencoder",
    "SpeechVectorsDisplay",
    "TraversalDisplay",
    "TripleGAN",
    "load",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"repkit.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'repkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
