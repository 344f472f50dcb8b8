"""From files to features by the command line
==========================================

No Python needed: two tables in, an adapted model, a figure and features out. What stands here was
run when the page was built.
"""

import os
import shlex
import subprocess
import sys
import tempfile

import matplotlib.pyplot as plt

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
# Two embedded tables, for want of your own. The second one has labels too, to test on; ``fit`` does
# not read those of a target.

run("repkit data get moons:source --out source.csv")
run("repkit data get moons:target --out target.csv")
run(
    "repkit fit dann source.csv --target target.csv --label y --out moons.safetensors "
    "--set max_epochs=30 --set steps_per_epoch=20 --set learning_rate=3e-3 --set random_state=0"
)

# %%
# In a terminal there is a bar with the loss, the rate and the time that is left.

run("repkit evaluate moons.safetensors target.csv --label y")
run("repkit extract moons.safetensors target.csv --out features.parquet")
run("repkit info moons.safetensors")

# %%
run("repkit plot moons.safetensors --kind history --out history.png")
fig, ax = plt.subplots(figsize=(9, 5), layout="constrained")
ax.imshow(plt.imread(os.path.join(folder, "history.png")))
ax.set_axis_off()
