"""Choosing among models without a label
=====================================

Seven models were fitted, and no target row has a label. Which one to use? `EnsVScorer
<repkit.metrics.EnsVScorer>` asks which candidate agrees most with the mean of all predictions. It
lost least in a benchmark of 42 candidates on seven tasks; see :doc:`/choosing`.
"""

import matplotlib.pyplot as plt
import numpy as np

from repkit import DANN, AdaptationSearch
from repkit.datasets import make_domains
from repkit.metrics import EnsVScorer, EntropyScorer, InfoMaxScorer

data = make_domains(random_state=0)
target = data.sample_domain < 0
y = np.where(target, -1, data.y)
common = {"max_epochs": 15, "steps_per_epoch": 20, "random_state": 0}
candidates = [
    DANN(lam=lam, learning_rate=rate, **common) for lam in (0.0, 1.0, 3.0) for rate in (3e-3, 1e-2)
]
candidates.append(DANN(lam=0.0, entropy=3.0, learning_rate=1e-2, **common))
for model in candidates:
    model.fit(data.X, y, sample_domain=data.sample_domain)

# %%
# Each scorer sees both domains and no label of the target. The accuracy is computed for this
# picture alone.

accuracy = np.array([model.score(data.X[target], data.y[target]) for model in candidates])
scores = {
    "EnsV": EnsVScorer().scores(candidates, data.X, sample_domain=data.sample_domain),
    "infomax": np.array(
        [InfoMaxScorer()(m, data.X, sample_domain=data.sample_domain) for m in candidates]
    ),
    "entropy": np.array(
        [EntropyScorer()(m, data.X, sample_domain=data.sample_domain) for m in candidates]
    ),
}
fig, axes = plt.subplots(1, 3, figsize=(10, 3.6), sharey=True, layout="constrained")
for ax, (name, score) in zip(axes, scores.items(), strict=True):
    pick = int(score.argmax())
    ax.scatter(score, accuracy, color="0.6")
    ax.scatter(score[pick], accuracy[pick], color="C3", s=80, label="the pick")
    ax.axhline(accuracy.max(), color="0.8", zorder=0)
    ax.set(title=f"{name}: picks {accuracy[pick]:.0%}", xlabel="score, greater is better")
axes[0].set_ylabel("accuracy on the target")
axes[0].legend()

# %%
# `AdaptationSearch <repkit.AdaptationSearch>` makes the candidates itself: several ways of
# adapting, and none. It keeps the one without adaptation unless another agrees with the ensemble by
# a margin more.

search = AdaptationSearch(DANN(learning_rate=3e-3, **common))
search.fit(data.X, y, sample_domain=data.sample_domain)
print(search.results_[["agreement", "differs", "chosen"]].round(2))

# %%
# Here that is the outcome: no candidate is ahead by so much. The adversaries, which solve this
# task, agree with few of the others, and no target row says that they are right.
#
# **What to take from it.** A pick is better than a guess, and none is sure. Two moons have two
# classes of equal size, which is what infomax hopes for; where shares are uneven it gives up 25
# points and more, and a candidate that gives every row to one class pleases the entropy. Over seven
# tasks EnsV lost least. Always keep a candidate without adaptation among the others.
