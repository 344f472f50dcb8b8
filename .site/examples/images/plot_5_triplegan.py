"""Fifty labels, and many images without
=====================================

Of 1797 digits fifty have a label, and the others -1, as in scikit-learn's semi-supervised methods.
`TripleGAN` learns from both kinds and draws digits of a class that is asked for.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from repkit import SampleGridDisplay, TripleGAN
from repkit.augment import RandomAffine

X, y = load_digits().images[:, None] / 16, load_digits().target
few = np.full(len(y), -1)
few[:50] = y[:50]
shake = RandomAffine(degrees=12, zoom=0.1, stretch=0.05, shear=0.15, shift=0.08)
common = {
    "width": 64,
    "augment": shake,
    "entropy": 0.0,
    "batch_size": (32, 64),
    "max_epochs": 12,
    "random_state": 0,
}
model = TripleGAN(generator="mlp", discriminator="mlp", **common)
model.set_params(consistency__threshold=0.8).fit(X, few)
alone = TripleGAN(generator=None, **common)
alone.set_params(consistency__threshold=0.8).fit(X, few)
linear = LogisticRegression(max_iter=1000).fit(X[:50].reshape(50, -1), y[:50])
for name, right in (
    ("logistic regression on 50 labels", linear.predict(X.reshape(len(X), -1)) == y),
    ("the classifier alone, with consistency", alone.predict(X) == y),
    ("Triple-GAN", model.predict(X) == y),
):
    print(f"{name:<40}{right[50:].mean():.3f}")

# %%
# What the game adds: samples by class.

SampleGridDisplay.from_estimator(model, random_state=0)

# %%
# **What to take from it.** From fifty labels on, the consistency term does the work. If you want
# no samples, ``generator=None`` is as accurate and faster.
