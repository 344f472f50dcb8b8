"""Sharper samples: VAE-GAN beside a VAE
=====================================

A VAE compares pixels and blurs what it is unsure of. `VAEGAN` compares the hidden features of a
discriminator instead. The price is a step that costs twice as much.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from repkit import VAE, VAEGAN, InterpolationDisplay, ReconstructionDisplay, SampleGridDisplay

X = load_digits().images[:, None] / 16
X_train, X_test = X[:1400], X[1400:]
common = {"latent_dim": 16, "width": 128, "random_state": 0}
models = {
    "VAE": VAE(max_epochs=30, **common).fit(X_train),
    "VAE-GAN": VAEGAN(max_epochs=20, **common).fit(X_train),
}

# %%
# Reconstructions of images that were held back.

ReconstructionDisplay.from_estimators(models, X_test, random_state=0)

# %%
# Samples.

for name, model in models.items():
    display = SampleGridDisplay(model.sample(20, random_state=0)).plot()
    display.figure_.suptitle(name)
plt.show()

# %%
# From one digit to another along a straight line of codes.

InterpolationDisplay.from_estimator(models["VAE-GAN"], X_test[:4], X_test[4:8])
