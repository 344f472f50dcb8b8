"""A regression for another sensor
===============================

A device has four sensors. The first one is the most precise, and in a second device it is off by a
constant, where nobody measured the true values. `DANNRegressor` learns from the first device, and
turns away from what tells the devices apart.
"""

import matplotlib.pyplot as plt
import numpy as np

from repkit import DANNRegressor

rng = np.random.default_rng(0)
level = rng.uniform(0, 1, 600)  # what is to be predicted
domain = np.repeat([1, -2], 300)  # 1: the first device. -2: the new one
readings = np.stack([np.sin(3 * level), level**2, np.cos(2 * level), level], axis=1)
readings += rng.normal(size=readings.shape) * [0.02, 0.1, 0.1, 0.1]
readings[domain < 0, 0] += 0.5
y = np.where(domain > 0, level, np.nan)  # unknown for the new device

settings = {"max_epochs": 30, "steps_per_epoch": 20, "learning_rate": 3e-3, "random_state": 0}
models = {
    "source only": DANNRegressor(width=32, lam=0.0, **settings),
    "mean discrepancy": DANNRegressor(width=32, divergence="mmd", lam=10.0, **settings),
    "domain-adversarial": DANNRegressor(width=32, **settings),
}
for model in models.values():
    model.fit(readings, y, sample_domain=domain)

# %%
# True against predicted values of the new device.

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
# **What to take from it.** Where all sensors are off by a constant, standardize each device by
# itself; that is free. Here the adversary did what a human would do who knew which sensor to
# distrust. The named scores of ``history_`` are of classes: choose a regression by scorers of your
# own.
