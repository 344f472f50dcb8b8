"""Watching a training, and stopping it
====================================

A callback is any function of a row of ``history_``. It may print, log or draw. A true answer stops
the training. There is nothing to inherit from and nothing to register.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from repkit import VAE

X = load_digits().images[:, None] / 16


class Patience:
    """Stops when the reconstructions of held-back images have not improved for a while."""

    def __init__(self, epochs, least=0.002):
        self.epochs, self.least, self.best, self.since = epochs, least, float("inf"), 0

    def __call__(self, row):
        self.since += 1
        if row["reconstruction_ratio"] < self.best - self.least:
            self.best, self.since = row["reconstruction_ratio"], 0
        return self.since >= self.epochs


rows = []  # what a logger would get
model = VAE(
    latent_dim=8, width=64, max_epochs=100, callbacks=[rows.append, Patience(5)], random_state=0
)
model.fit(X)
print(f"stopped after {model.n_iter_} of 100 epochs; a row has {', '.join(rows[0])}")

# %%
# For TensorBoard the callback is one line, ``lambda row: [writer.add_scalar(k, v, row["epoch"]) for
# k, v in row.items()] and None``, and others are alike.

ax = model.history_.plot("epoch", "reconstruction_ratio", figsize=(7, 3.4))
ax.set_ylabel("reconstruction ratio, held back")
plt.tight_layout()
