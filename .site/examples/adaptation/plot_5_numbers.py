"""A regression for another sensor
===============================

A second sensor drifts: its readings are shifted and scaled, and nobody measured the true values
there. `DANNRegressor` learns from the first sensor's values and brings the features of both
together.
"""

import matplotlib.pyplot as plt
import numpy as np

from repkit import DANNRegressor

rng = np.random.default_rng(0)
level = rng.uniform(0, 1, 600)  # what is to be predicted
domain = np.repeat([1, -2], 300)  # 1: the old sensor. -2: the new one
readings = np.stack([np.sin(3 * level), level**2, np.cos(2 * level), level], axis=1)
readings += 0.03 * rng.normal(size=readings.shape)
readings[domain < 0] = readings[domain < 0] * [1.3, 0.8, 1.2, 0.9] + [0.25, 0.1, -0.3, 0.15]
y = np.where(domain > 0, level, np.nan)  # unknown for the new sensor

settings = {"max_epochs": 30, "steps_per_epoch": 20, "width": 32, "random_state": 0}
models = {
    "source only": DANNRegressor(lam=0.0, **settings),
    "covariances aligned": DANNRegressor(divergence="coral", lam=30.0, **settings),
    "domain-adversarial": DANNRegressor(**settings),
}
for model in models.values():
    model.fit(readings, y, sample_domain=domain)

# %%
# True against predicted values of the new sensor.

fig, axes = plt.subplots(1, 3, figsize=(10, 3.6), sharex=True, sharey=True, layout="constrained")
new = domain < 0
for ax, (name, model) in zip(axes, models.items(), strict=True):
    found = model.predict(readings[new])
    error = np.abs(found - level[new]).mean()
    ax.scatter(level[new], found, s=8)
    ax.plot([0, 1], [0, 1], color="0.5", lw=1)
    ax.set(title=f"{name}\nmean error {error:.3f}", xlabel="true")
axes[0].set_ylabel("predicted")

# %%
# **What to take from it.** First standardize each sensor by itself; that is free, and here it would
# do most of the work. The named scores of ``history_`` are of classes, so a regression is chosen
# with scorers of your own.
