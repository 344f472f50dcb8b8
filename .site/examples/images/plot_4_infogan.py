"""Clusters, and knobs to turn: InfoGAN
====================================

No label is used. ``categorical`` asks for ten groups, ``continuous`` for two factors, and the
generator is made to use them so that they can be read back from what it draws.
"""

import warnings

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from repkit import InfoGAN, TraversalDisplay
from repkit.augment import RandomAffine
from repkit.infogan import Categorical

X, y = load_digits().images[:, None] / 16, load_digits().target
model = InfoGAN(
    latent_dim=16,
    width=256,
    categorical=Categorical((10,), invariance=2.0),
    augment=RandomAffine(degrees=12, zoom=0.1, stretch=0.05, shear=0.15, shift=0.08),
    updates="joint",
    ema=0.99,
    learning_rate=1e-3,
    batch_size=64,
    steps_per_epoch=50,
    max_epochs=10,
    random_state=0,
)
with warnings.catch_warnings():  # a factor that so short a training leaves unused is warned about
    warnings.simplefilter("ignore", ConvergenceWarning)
    model.fit(X)

# %%
# One row for each category: what it draws. In the others one code is turned from end to end.

TraversalDisplay.from_estimator(model, random_state=0)

# %%
# Which digit is which category? `match_labels` pairs them by the most agreement. That is for
# looking only, since it reads the labels.

digit = model.match_labels(y)
right = digit[model.predict(X)] == y
print(f"{right.mean():.0%} of the digits lie in the category of their own")

# %%
# **What to take from it.** Runs differ. Train several times and keep the one with the greatest
# ``score`` of ``history_``: ``n_init=3`` does so, without a label.
