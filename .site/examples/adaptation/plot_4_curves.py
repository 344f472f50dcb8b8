"""Reading the training curves of an adversary
===========================================

Four real trainings: an adversary in balance, a dead one, one that has won, and one that made the
classes collapse. ``history_`` holds what tells them apart, and no target label is needed for it.
The page :doc:`/curves` says what to do about each.
"""

import numpy as np

from repkit.datasets import make_domains

data = make_domains(random_state=0)
target = data.sample_domain < 0
y = np.where(target, -1, data.y)
common = {"max_epochs": 30, "steps_per_epoch": 20, "learning_rate": 3e-3, "random_state": 0}
