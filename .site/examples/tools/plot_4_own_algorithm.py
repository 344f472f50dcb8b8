"""Your own algorithm in 25 lines
==============================

A `System <repkit.engine.System>` is networks, groups that share an optimizer, and phases that
return one loss for each group. The `Engine <repkit.engine.Engine>` differentiates each loss by the
parameters of its own group: there is nothing to detach and nothing to freeze. Here it runs a
least-squares GAN (Mao et al. 2017). :doc:`/design` has the picture.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import make_moons
from torch import nn

from repkit.engine import Batches, Engine, Noise, Phase, System, train


def mlp(n_in, n_out):
    """A small network."""
    hidden = [nn.Linear(n_in, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2)]
    return nn.Sequential(*hidden, nn.Linear(64, n_out))


def lsgan(networks, batch):
    """Give equation 2 of the paper: one loss for each group."""
    real, fake = networks.D(batch.x), networks.D(networks.G(batch.z))
    return {"D": ((real - 1) ** 2 + fake**2).mean(), "G": ((fake - 1) ** 2).mean()}


torch.manual_seed(0)
networks, groups = {"G": mlp(4, 2), "D": mlp(2, 1)}, {"G": ("G",), "D": ("D",)}
system = System(networks, groups, phases=(Phase(lsgan),), noise={"z": Noise((4,))})
x = torch.tensor(make_moons(2000, noise=0.05, random_state=0)[0], dtype=torch.float32)
batches = Batches({"x": x}, [(np.arange(2000), 128)], seed=0, device=x.device, steps_per_epoch=100)
engine = Engine(
    system,
    batches,
    optimizer=lambda parameters: torch.optim.Adam(parameters, lr=2e-3, betas=(0.0, 0.9)),
    total_steps=1000,
    seed=0,
    ema=0.95,
)

# %%
# A callback looks at the averaged generator while it learns.

snapshots, noise = {}, torch.randn(600, 4)


def look(row):
    """Keep what the generator draws after these epochs."""
    if row["epoch"] in (1, 3, 10):
        with torch.no_grad():
            snapshots[row["epoch"]] = engine.averaged["G"](noise).numpy()


train(engine, max_epochs=10, callbacks=[look])
fig, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharex=True, sharey=True, layout="constrained")
for ax, (epoch, drawn) in zip(axes, snapshots.items(), strict=True):
    ax.scatter(*x.T, s=3, color="0.8", label="data")
    ax.scatter(*drawn.T, s=5, color="C3", label="drawn")
    ax.set_title(f"{int(epoch) * 100} steps")
axes[0].legend()

# %%
# Alternating updates are several phases, and ``every=`` and ``times=`` of a phase give critic
# schedules.
