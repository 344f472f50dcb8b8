"""How metrics grow with the rows: memory and time from n rows to four times as many.

A process for each size. "MB" is how far its memory rose, at its highest, above what it had with
some rows, everything imported and the inputs made; "exponent of time" is the logarithm to the base
4 of the ratio of the times. All but `mig` compare pairs of rows, so that their time may grow with
the square of the rows; memory may not.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys

from benchmarks.runner import Case

ROWS = 20_000  # ten times what the benchmarks give them, about
METRICS = {
    "kNN": "knn_probe(X, y, X, y, n_neighbors=5, device=device)",
    "ABX": "abx_error(X, y, s, device=device)",
    "EER": "speaker_eer(X, s, device=device)",
    "MIG": "mig(X, factors, max_samples=None)",
    "SND": "soft_neighborhood_density(X, device=device)",
}

CHILD = """
import json, re, sys, time, warnings
import numpy as np, torch
from repkit.metrics import *
call, n, device = sys.argv[1], int(sys.argv[2]), sys.argv[3]
warnings.simplefilter("ignore")
torch.set_num_threads(1)
rng = np.random.default_rng(0)
def highest():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1e3
def made(n):
    y, s = rng.integers(0, 50, n), rng.integers(0, 100, n)
    X = rng.normal(size=(n, 32)).astype(np.float32)
    return {"X": X, "y": y, "s": s, "factors": np.stack([y, s], 1), "device": device}
some, given = made(2000), made(n)
for k in ("y", "s"):
    some[k] = some[k] % 10
eval(call, globals(), some)
before, start = highest(), time.process_time()
eval(call, globals(), given)
print(json.dumps([highest() - before, time.process_time() - start]))
"""


def grown(metric: str, device: str) -> dict[str, float]:
    """Memory of both sizes, and the exponent."""
    sizes, found = (ROWS // 4, ROWS), []
    for n in sizes:
        command = [sys.executable, "-c", CHILD, METRICS[metric], str(n), device]
        found.append(json.loads(subprocess.check_output(command, text=True).splitlines()[-1]))
    (few_mb, few_s), (mb, s) = found
    return {
        f"MB, {sizes[0]} rows": few_mb,
        f"MB, {sizes[1]} rows": mb,
        "exponent of time": math.log(s / few_s, 4),
    }


def cases(device: str) -> list[Case]:
    """One for each metric."""
    return [
        Case("metrics", name, "rows of 32 numbers", lambda seed, m=name: grown(m, device))
        for name in METRICS
    ]
