"""Codes of a table in a pipeline, and a grid search
=================================================

Thirty measurements of 569 tumors, a few of which have a label at the start. A `VAE` learns codes
from all rows. It is a transformer like any other, so that a grid search can choose how many numbers
it gives, together with the classifier behind it.
"""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from repkit import VAE

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
pipeline = Pipeline(
    [
        ("scale", StandardScaler()),
        ("codes", VAE(width=64, likelihood="gaussian", max_epochs=20, random_state=0)),
        ("classify", LogisticRegression(max_iter=1000)),
    ]
)
grid = {"codes__latent_dim": [2, 5, 10], "codes__beta": [0.1, 1.0]}
search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
print(search.best_params_)

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
# With ``set_output`` the codes come with names, in a table whose rows keep their index.

codes = search.best_estimator_[:-1].set_output(transform="pandas").transform(X)
print(codes.head(3).round(2).to_string())
