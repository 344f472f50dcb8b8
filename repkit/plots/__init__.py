"""Pictures, in the manner of scikit-learn's displays. matplotlib and umap load when needed."""

from .embedding import EmbeddingDisplay, to_plane
from .figure import COLOURS
from .history import HistoryDisplay
from .reconstruction import ReconstructionDisplay
from .traversal import TraversalDisplay

__all__ = [
    "COLOURS",
    "EmbeddingDisplay",
    "HistoryDisplay",
    "ReconstructionDisplay",
    "TraversalDisplay",
    "to_plane",
]
