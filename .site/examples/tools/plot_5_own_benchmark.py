"""Your own data set or method in a benchmark
==========================================

A file with a function ``cases`` is a benchmark: ``python -m benchmarks my_file.py`` runs each case
with several seeds, writes every row as soon as it is finished, and prints a table of means and
deviations. Rows that stand in the file of results are not run again, and are marked as *earlier*.
"""

# %%
# The file. A case has a task, a system, a variant, and a function from a seed to numbers by name.
#
# .. literalinclude:: /my_benchmark.py
#    :language: python

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

path = Path("../../my_benchmark.py").resolve()
out = Path(tempfile.mkdtemp())


def run(*options):
    """Run the command from the folder of the package's source, and show what it says."""
    command = [sys.executable, "-m", "benchmarks", str(path), "--out", str(out), *options]
    done = subprocess.run(command, cwd=path.parents[1], capture_output=True, text=True)
    print((done.stdout + done.stderr).replace(f"{path.parent}/", "").replace(f"{out}/", ""))


run("--list")
run("--seeds", "3", "--device", "cpu")

# %%
# In a terminal there is a bar that moves with the epochs of each run. Without ``--out`` the rows go
# to ``benchmarks/out``, which is not under version control.

rows = pd.read_csv(out / "my_benchmark-cpu.csv")
fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
for place, row in rows.iterrows():
    values = [float(value) for value in row["values"].split()]
    ax.scatter(values, [place] * len(values), s=30)
    ax.plot([row["mean"]] * 2, [place - 0.3, place + 0.3], color="k")
ax.set(yticks=range(len(rows)), yticklabels=rows["system"], xlabel="accuracy, each seed and mean")
ax.set_ylim(-0.6, len(rows) - 0.4)

# %%
# Each row also holds the command that makes it anew, the seconds, and the version of the file.

print(rows.iloc[0][["command", "commit", "seconds"]].to_string().replace(f"{path.parent}/", ""))
