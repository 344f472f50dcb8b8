"""An encoder that a generator inverts: BiGAN
==========================================

The discriminator of :class:`~repkit.BiGAN` sees pairs of an image and a code, from the encoder or
from the generator, and both learn to be taken for the other. That alone compares no pixels, and takes
hours; ``data_cycle``, which does compare them, ties the two within minutes.
"""

from sklearn.datasets import load_digits

from repkit import BiGAN, HistoryDisplay, ReconstructionDisplay
from repkit.augment import RandomAffine
from repkit.metrics import reconstruction_ratio

X = load_digits().images[:, None] / 16
X_train, X_test = X[:1400], X[1400:]
model = BiGAN(
    latent_dim=50,
    width=256,
    augment=RandomAffine(degrees=6, zoom=0.05, stretch=0.0, shear=0.0, shift=1 / 16),
    steps_per_epoch=50,
    max_epochs=8,
    random_state=0,
)
model.fit(X_train)

# %%
# The reconstruction ratio says whether encoder and generator know each other: 0 is perfect, and 1
# means that what comes back has nothing to do with what went in.

back = model.reconstruct(X_test)
print(f"reconstruction ratio: {reconstruction_ratio(X_test, back):.2f}")
ReconstructionDisplay.from_estimator(model, X_test, X_train, random_state=0)

# %%
# How the training went. In balance, D calls about as many fakes as real ones real. See
# :doc:`/curves`.

HistoryDisplay.from_estimator(model)

# %%
# **What to take from it.** For features of small images alone, an auto-encoder of the same size is
# better and faster; see :doc:`/which`.
