"""repkit: representation learning and domain adaptation as scikit-learn"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repkit.bigan.estimator import BiGAN
    from repkit.dann.estimator import DANN, NoTargetWarning
    from repkit.infogan.estimator import InfoGAN
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
    from repkit.speech.estimator import SpeechAutoencoder
    from repkit.triplegan.estimator import TripleGAN
    from repkit.vae.estimator import VAE
    from repkit.vaegan.estimator import VAEGAN

__version__ = "0.1.0"

# Where each public name lives; it is imported on first use.
_HOMES = {
    "InfoGAN": "infogan",
    "SpeechAutoencoder": "speech",
    "TripleGAN": "triplegan",
    "VAE": "vae",
    "VAEGAN": "vaegan",
    "BiGAN": "bigan",
    "DANN": "dann",
    "NoTargetWarning": "dann",
    "load": "loading",
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
