"""Draw what the large model makes of six people whom it has never heard.

``REPKIT_DATA=... python .site/unheard.py MODEL`` reads a model that was saved after
``recipes.speech("words-large")`` was fitted to the training speakers of Arabic Speech Commands (37
minutes on one core; seed 0 here), fits an `AcousticWordEmbedding` to its vectors (7 minutes), and
writes ``.site/_static/unheard.png``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.frozen import FrozenEstimator
from umap import UMAP

import repkit
from repkit.datasets import load_arabic_commands
from repkit.speech import SpeakerScaler
from repkit.words import AcousticWordEmbedding

HERE = Path(__file__).parent
WORDS, COLORS = 10, 64  # so that colors can be told apart, and so that the file is small


def plane(vectors: np.ndarray) -> np.ndarray:
    found: np.ndarray = UMAP(metric="cosine", random_state=0).fit_transform(vectors)
    return found


def main(path: str) -> None:
    """Points of all vectors, by word and by speaker."""
    model = repkit.load(path)
    train, test = load_arabic_commands("train"), load_arabic_commands("test")
    p, s = model.transform_phonetic(test.data), model.transform_speaker(test.data)
    scaler = SpeakerScaler().fit(model.transform_phonetic(train.data), speaker=train.speaker)
    words = AcousticWordEmbedding(FrozenEstimator(model), random_state=0)
    words.fit(train.data, speaker=train.speaker)
    points = {
        "phonetic vectors": plane(p),
        "scaled by speaker": plane(scaler.transform(p, speaker=test.speaker)),
        "word embedding": plane(words.transform(test.data, speaker=test.speaker)),
        "speaker vectors": plane(s),
    }
    few = np.flatnonzero(test.word < WORDS)
    fig, axes = plt.subplots(2, 4, figsize=(13, 6), layout="constrained")
    for column, (name, xy) in zip(axes.T, points.items(), strict=True):
        column[0].scatter(*xy.T, s=2, color="0.85")
        column[0].scatter(*xy[few].T, c=test.word[few], cmap="tab10", s=7)
        column[0].set_title(f"{name}\nby word ({WORDS} of 40)", fontsize=10)
        column[1].scatter(
            *xy.T, c=np.unique(test.speaker, return_inverse=True)[1], cmap="Set1", s=5
        )
        column[1].set_title("by speaker", fontsize=10)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
    target = HERE / "_static" / "unheard.png"
    fig.savefig(target, dpi=110)
    Image.open(target).convert("RGB").quantize(COLORS).save(target, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
