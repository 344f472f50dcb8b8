"""The benchmark of processes that train together: messages as sent, and the model's sum."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAME = "DANN, MLP 20-128-128"


def test_the_model_is_a_step_alone_and_its_messages(tmp_path):
    script = tmp_path / "few.py"
    script.write_text(
        "from benchmarks import together\n"
        f"together.NAMES, together.STEPS, together.EPOCHS = ({NAME!r},), 4, 3\n"
        "together.main()\n"
    )
    alone = {k: v for k, v in os.environ.items() if k != "REPKIT_RANKS"}
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*run, script],
        env=alone | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith(NAME)]
    size, messages, step, model, together, whole = map(float, row[len(NAME) :].split())
    # The weights of three networks, 4 bytes each, in one message.
    weights = 20 * 128 + 128 + 128 * 128 + 128  # of the features
    assert 4e-6 * weights < size < 0.2
    assert messages > 0
    assert abs(model - step - messages) < 0.02  # of rounded numbers
    assert min(step, together, whole) > 0
