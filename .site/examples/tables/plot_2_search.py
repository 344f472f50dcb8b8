"""Codes of a table in a pipeline, and a grid search
=================================================

Thirty measurements of 569 tumors. A :class:`~repkit.VAE` turns them into a few numbers. It is a
transformer like any other, so that a grid search can choose how many, together with the classifier
behind it.
"""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from repkit import VAE

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
pipeline = Pipeline(
    [
        ("scale", StandardScaler()),
        ("codes", VAE(width=64, likelihood="gaussian", max_epochs=10, random_state=0)),
        ("classify", LogisticRegression(max_iter=1000)),
    ]
)
pipeline.set_output(transform="pandas")
grid = {"codes__latent_dim": [2, 5, 10], "codes__beta": [0.1, 1.0]}
search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
print(search.best_params_, f"{search.best_score_:.3f}")
plain = Pipeline([pipeline.steps[0], pipeline.steps[2]])
print(f"all thirty columns, without codes: {cross_val_score(plain, X, y, cv=3).mean():.3f}")

# %%
results = pd.DataFrame(search.cv_results_)
table = results.pivot(
    index="param_codes__latent_dim", columns="param_codes__beta", values="mean_test_score"
)
ax = table.plot(marker="o", figsize=(6, 3.5))
ax.set(xlabel="latent_dim", ylabel="accuracy, three folds", xticks=[2, 5, 10])
ax.legend(title="beta")
plt.tight_layout()

# %%
# Codes buy fewer numbers, not accuracy. With ``set_output`` they come with names, in a table whose
# rows keep their index.

codes = search.best_estimator_[:-1].transform(X)
print(codes.head(3).round(2).to_string())
