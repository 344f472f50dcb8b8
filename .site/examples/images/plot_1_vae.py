"""Short codes of images: VAE
==========================

A variational auto-encoder turns each of scikit-learn's digits into 16 numbers, and numbers back
into digits. It trains in seconds, and it is the first thing to try.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from repkit import VAE, ReconstructionDisplay, SampleGridDisplay

X, y = load_digits().images[:, None] / 16, load_digits().target  # (1797, 1, 8, 8)
X_train, X_test, y_train, y_test = X[:1400], X[1400:], y[:1400], y[1400:]
model = VAE(latent_dim=16, width=128, max_epochs=25, random_state=0).fit(X_train)
codes = model.transform(X_train)
error = np.abs(model.reconstruct(X_test) - X_test).mean()
print(codes.shape, f"mean error of a pixel from 0 to 1, digits held back: {error:.3f}")

# %%
# Digits that were not seen in training, what comes back from their codes, and the training image
# that is nearest to each, which shows that codes are more than memory.

ReconstructionDisplay.from_estimator(model, X_test, X_train, random_state=0)

# %%
# New digits from codes drawn at random.

SampleGridDisplay(model.sample(40, random_state=0)).plot()

# %%
# The codes as features: a linear classifier on 16 numbers instead of 64 pixels. Whether this beats
# pixels or PCA is a matter of the data. On digits it does not; it is fewer numbers.

for name, train, test in (
    ("64 pixels", X_train.reshape(1400, -1), X_test.reshape(len(X_test), -1)),
    ("16 codes", codes, model.transform(X_test)),
):
    accuracy = LogisticRegression(max_iter=2000).fit(train, y_train).score(test, y_test)
    print(f"{name}: {accuracy:.3f}")
