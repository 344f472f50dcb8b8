"""What plots need is named when it is missing."""

import sys

import numpy as np
import pandas as pd
import pytest

from repkit.plots import EmbeddingDisplay, ErrorCurveDisplay, HistoryDisplay, to_plane

HISTORY = pd.DataFrame({"epoch": [1], "label_loss": [2.0]})
ERRORS = pd.DataFrame({"labels": [1], "system": ["a"], "mean": [0.1], "std": [0.0]})


@pytest.mark.parametrize(
    "display",
    [
        HistoryDisplay(HISTORY),
        ErrorCurveDisplay(ERRORS),
        EmbeddingDisplay(np.zeros((2, 2)), [0, 1]),
    ],
)
def test_plots_name_their_extra(monkeypatch, display):
    for name in ("matplotlib", "matplotlib.pyplot", "matplotlib.ticker"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"^plots need matplotlib: .*'repkit\[plots\]'$"):
        display.plot()


def test_embeddings_name_their_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r"^plots need umap-learn: .*'repkit\[plots\]'$"):
        to_plane(np.zeros((5, 3)), seed=0)
