"""Pictures, in the manner of scikit-learn's displays. matplotlib and umap load when needed."""

from .curves import ErrorCurveDisplay
from .embedding import EmbeddingDisplay, to_plane
from .figure import COLORS
from .history import HistoryDisplay
from .interpolation import InterpolationDisplay
from .reconstruction import ReconstructionDisplay
from .samples import SampleGridDisplay
from .speech import SpectrogramDisplay, SpeechVectorsDisplay
from .traversal import TraversalDisplay

__all__ = [
    "COLORS",
    "EmbeddingDisplay",
    "ErrorCurveDisplay",
    "HistoryDisplay",
    "InterpolationDisplay",
    "ReconstructionDisplay",
    "SampleGridDisplay",
    "SpectrogramDisplay",
    "SpeechVectorsDisplay",
    "TraversalDisplay",
    "to_plane",
]
