"""Two tables with words, numbers and gaps
=======================================

Customers of a shop in the north have a label: did they come back? The south has none, and other
prices. Columns of words and missing numbers go through scikit-learn's own transformers, and `DANN`
stands at the end of the pipeline.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from repkit import DANN

rng = np.random.default_rng(0)
n = 800
south = np.arange(n) >= n // 2
loyal = rng.normal(size=n)
table = pd.DataFrame(
    {
        "spent": np.exp(0.6 * loyal + 0.3 * rng.normal(size=n) + 1.2 * south),
        "visits": np.round(np.exp(0.5 * loyal + 1.0 + 0.3 * rng.normal(size=n))),
        "age": 40 + 8 * loyal + 10 * south + 5 * rng.normal(size=n),
        "paid by": rng.choice(["card", "cash", "phone"], n),
    }
)
table["spent"] = np.log(table["spent"])
table.loc[rng.random(n) < 0.1, "age"] = np.nan  # not everybody said it
y = np.where(loyal + 0.3 * rng.normal(size=n) > 0, "came back", "left")
region = np.where(south, "south", "north")
print(table.head(3).to_string())

# %%
# ``sample_domain`` reaches the last step by scikit-learn's metadata routing. Regions may have
# names; ``source`` says which of them has the labels.

columns = make_column_transformer(
    (make_pipeline(SimpleImputer(), StandardScaler()), ["spent", "visits", "age"]),
    (OneHotEncoder(sparse_output=False), ["paid by"]),
)


def fit(lam):
    """A pipeline from the table to a label."""
    settings = {"max_epochs": 20, "steps_per_epoch": 20, "width": 32, "random_state": 0}
    network = DANN(lam=lam, learning_rate=3e-3, **settings)
    network.set_fit_request(sample_domain=True, source=True)
    with sklearn.config_context(enable_metadata_routing=True):
        return make_pipeline(columns, network).fit(table, y, sample_domain=region, source="north")


found = {"source only": fit(0.0), "adapted": fit("ramp")}
accuracy = {
    name: [(model.predict(table[rows]) == y[rows]).mean() for rows in (~south, south)]
    for name, model in found.items()
}
frame = pd.DataFrame(accuracy, index=["north", "south"]).T
print(frame.round(3).to_string())

# %%
ax = frame.plot.bar(rot=0, figsize=(6, 3.5), color=["0.7", "C0"])
ax.set(ylabel="accuracy", ylim=(0.5, 1), title="The south was never labeled")
plt.tight_layout()

# %%
# The same from files and without Python: ``repkit fit dann north.csv --target south.csv --label
# y --out model.safetensors``, for tables of numbers.
