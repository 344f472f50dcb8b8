"""Plots, in the manner of scikit-learn's displays.

They need the extra `plots`: matplotlib, and umap-learn for embeddings, which load when needed.
"""

from repkit.plots.curves import ErrorCurveDisplay
from repkit.plots.embedding import EmbeddingDisplay, to_plane
from repkit.plots.figure import COLORS
from repkit.plots.history import HistoryDisplay
from repkit.plots.interpolation import InterpolationDisplay
from repkit.plots.reconstruction import ReconstructionDisplay
from repkit.plots.samples import SampleGridDisplay
from repkit.plots.speech import SpectrogramDisplay, SpeechVectorsDisplay
from repkit.plots.traversal import TraversalDisplay

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
