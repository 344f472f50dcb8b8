"""From files to features by the command line
==========================================

No Python needed: two tables in, an adapted model and features out. What stands here was run when
the page was built.
"""

import os
import shlex
import subprocess
import sys
import tempfile

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.decomposition import PCA

from repkit.datasets import make_domains

folder = tempfile.mkdtemp()
environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def run(command):
    """Run a command as a shell would, and show what it says."""
    print(f"$ {command}")
    words = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    said = (done.stdout + done.stderr).splitlines()
    print("\n".join(said if len(said) < 14 else [*said[:4], "...", *said[-3:]]))


# %%
# Two tables; files of your own take their place. ``fit`` never reads the labels of a target.

data = make_domains(random_state=0)
table = pd.DataFrame(data.X, columns=["a", "b"]).assign(y=data.y)
for name, rows in (("source", data.sample_domain > 0), ("target", data.sample_domain < 0)):
    table[rows].to_csv(os.path.join(folder, f"{name}.csv"), index=False)

# %%
# In a terminal there is a bar with the loss, the rate and the time that is left.

run(
    "repkit fit dann source.csv --target target.csv --label y --out moons.safetensors "
    "--set max_epochs=30 --set steps_per_epoch=20 --set learning_rate=3e-3 --set random_state=0"
)
run("repkit evaluate moons.safetensors target.csv --label y")
run("repkit extract moons.safetensors target.csv --out features.parquet")
run("repkit info moons.safetensors")

# %%
# The features are a table that any program reads. Their two largest principal components:

features = pd.read_parquet(os.path.join(folder, "features.parquet")).drop(columns="index")
points = PCA(2).fit_transform(features)
fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.scatter(*points.T, c=data.y[data.sample_domain < 0], cmap="coolwarm", s=10)
ax.set_title(f"{features.shape[1]} features of the target, by true class")
