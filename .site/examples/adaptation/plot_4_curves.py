"""Reading the training curves of an adversary
===========================================

Four real trainings: an adversary in balance, a dead one, one that has won, and one that broke down.
``history_`` holds what tells them apart, and no target label is needed for it. The page
:doc:`/curves` says what to do about each.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from repkit import DANN
from repkit.dann import Heads
from repkit.datasets import make_domains

data = make_domains(random_state=0)
target = data.sample_domain < 0
y = np.where(target, -1, data.y)
apart = data.X + 4.0 * target[:, None]  # domains that lie far from each other


def silent(shape_in, n_domains):
    """Give a domain classifier whose hidden units are all zero, for any input."""
    hidden = nn.Linear(*shape_in, 32)
    nn.init.constant_(hidden.bias, -100.0)
    return nn.Sequential(hidden, nn.ReLU(), nn.Linear(32, n_domains, bias=False))


# %%
# What makes each of them: the defaults; a domain classifier that passes no gradient; domains far
# apart with a weight that is too small; and a weight and a rate that are much too large.

trainings = {
    "healthy": (data.X, {}),
    "dead": (data.X, {"heads": Heads(domain=silent)}),
    "winning": (apart, {"lam": 0.05}),
    "collapsed": (data.X, {"lam": 100.0, "learning_rate": 3e-2}),
}
common = {"max_epochs": 30, "steps_per_epoch": 20, "learning_rate": 3e-3, "random_state": 0}
histories, scores = {}, {}
for name, (X, settings) in trainings.items():
    model = DANN(**{**common, **settings})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(X, y, sample_domain=data.sample_domain)
    histories[name], scores[name] = model.history_, model.score(X[target], data.y[target])
    for warning in told:
        if issubclass(warning.category, ConvergenceWarning):
            print(f"{name}: {str(warning.message).partition(';')[0]}")

# %%
# Above, how often the domain classifier is right, and chance. Below, its loss and that of the
# labels. The true accuracy on the target stands in the titles, for comparison; the curves do not
# know it.

fig, axes = plt.subplots(2, 4, figsize=(11, 5), sharex=True, sharey="row", layout="constrained")
for (top, bottom), (name, history) in zip(axes.T, histories.items(), strict=True):
    top.plot(history["epoch"], history["domain_accuracy"], color="C1", label="domain_accuracy")
    top.plot(history["epoch"], history["domain_chance"], color="0.5", ls="--", label="chance")
    bottom.plot(history["epoch"], history["domain_loss"], color="C1", label="domain_loss")
    bottom.plot(history["epoch"], history["label_loss"], color="C0", label="label_loss")
    top.set_title(f"{name}\n(target: {scores[name]:.0%} right)")
    bottom.set_xlabel("epoch")
axes[0, 0].set_ylim(0.4, 1.05)
axes[1, 0].set_ylim(-0.05, 1.5)
axes[0, 3].legend(loc="upper right", fontsize="small")
axes[1, 3].legend(loc="upper right", fontsize="small")

# %%
# **What to take from it.** At chance are three of the four: accuracy alone tells the healthy one
# from neither the dead nor the collapsed one. Their losses do: that of a healthy adversary moves
# to the end.
