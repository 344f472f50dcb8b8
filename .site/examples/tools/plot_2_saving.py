"""Saving, going on after a kill, and loading
==========================================

A model file is safetensors with a JSON header: loading it runs no code. A checkpoint folder lets a
training that was broken off go on where it stopped, to the same bits on a CPU.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from repkit import VAE, load

X = load_digits().images[:, None] / 16
folder = Path(tempfile.mkdtemp())
settings = {"latent_dim": 8, "width": 64, "random_state": 0, "max_epochs": 12}


class Killed(Exception):
    """Stands for a power cut."""


def power_cut(row):
    """End the training after five epochs."""
    if row["epoch"] == 5:
        raise Killed


try:
    VAE(checkpoint=folder / "run", callbacks=power_cut, **settings).fit(X)
except Killed:
    print("killed; there is", *sorted(p.name for p in (folder / "run").iterdir()))

# %%
# The same lines go on from the last finished epoch. The result is that of a training which nothing
# disturbed.

resumed = VAE(checkpoint=folder / "run", **settings).fit(X)
undisturbed = VAE(**settings).fit(X)
print("equal to the bit:", bool((resumed.transform(X) == undisturbed.transform(X)).all()))

fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
whole, parts = undisturbed.history_, resumed.history_
column = next(name for name in whole if name.startswith("loss"))
ax.plot(whole["epoch"], whole[column], lw=6, alpha=0.3, label="undisturbed")
ax.plot(parts["epoch"], parts[column], marker="o", label="killed, then resumed")
ax.axvline(5, color="0.5", ls=":")
ax.set(xlabel="epoch", ylabel=column)
ax.legend()

# %%
# Save and load.

resumed.save(folder / "digits.safetensors")
again = load(folder / "digits.safetensors")
print(type(again).__name__, np.array_equal(again.transform(X), resumed.transform(X)))
