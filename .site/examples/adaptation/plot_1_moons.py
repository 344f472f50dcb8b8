"""A classifier for a domain without labels
========================================

Two moons have labels. Two more, turned by 35 degrees, have none. A network that learns from the
first pair alone draws its boundary through the second one. `DANN` sees the turned points too, but
not their labels, and learns features in which the two domains look alike.
"""

# %%
# The domains are told by ``sample_domain``: at least 0 for a source, below 0 for a target. What
# ``y`` holds at target rows is never read, so it can stay -1.

import matplotlib.pyplot as plt
import numpy as np

from repkit import DANN
from repkit.datasets import make_domains

data = make_domains(random_state=0)
target = data.sample_domain < 0
y = np.where(target, -1, data.y)
settings = {"max_epochs": 30, "steps_per_epoch": 20, "learning_rate": 3e-3, "random_state": 0}
models = {
    "source only": DANN(lam=0.0, **settings),
    "domain-adversarial": DANN(**settings),
}
for model in models.values():
    model.fit(data.X, y, sample_domain=data.sample_domain)

# %%
# The background is the class that is predicted there. The target's true classes are used for
# nothing but these pictures and the accuracy above them.

fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained")
low, high = data.X.min(0) - 0.5, data.X.max(0) + 0.5
grid = np.stack(np.meshgrid(*np.linspace(low, high, 150).T), axis=-1)
for ax, (name, model) in zip(axes, models.items(), strict=True):
    classes = model.predict(grid.reshape(-1, 2)).reshape(grid.shape[:2])
    ax.contourf(*grid.transpose(2, 0, 1), classes, levels=1, colors=["#cfe2f3", "#fbe0cc"])
    ax.scatter(*data.X[~target].T, s=8, color="0.6", label="source")
    ax.scatter(*data.X[target].T, s=12, c=data.y[target], cmap="coolwarm", label="target")
    score = model.score(data.X[target], data.y[target])
    ax.set_title(f"{name}: {score:.0%} of the target right")
axes[0].legend(loc="lower left")

# %%
# **What to take from it.** Compare with ``lam=0.0`` on your own data. Where augmentation or
# standardizing each domain by itself closes the gap, an adversary has nothing left to gain.
