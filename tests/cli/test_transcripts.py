"""From files to features by the command line alone, as the README says it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .conftest import SMALL

ROOT = Path(__file__).parents[2]


def test_from_a_folder_of_sound_to_features(run, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    assert run("data", "get", "speech", "--out", "wavs")[0] == 0
    for path in sorted(Path("wavs").rglob("*.wav"))[::2]:  # half will do
        path.unlink()
    fit = ["fit", "speech", "wavs", "--out", "speech.safetensors"]
    code, _, err = run(*fit, *SMALL, "--set", "steps_per_epoch=2", "--set", "prototypes=none")
    assert (code, err.count("epoch ")) == (0, 2)
    code, _, err = run("extract", "speech.safetensors", "wavs", "--out", "features.parquet")
    assert code == 0
    found = parquet.read_table("features.parquet").to_pandas()
    assert found["path"].tolist() == sorted(
        p.relative_to("wavs").as_posix() for p in Path("wavs").rglob("*.wav")
    )
    assert list(found.columns[1:]) == [f"phonetic{k}" for k in range(32)] + [
        f"speaker{k}" for k in range(16)
    ]
    assert np.isfinite(found.iloc[:, 1:].to_numpy()).all()


def test_from_a_folder_of_images_to_features(run, files):
    parquet = pytest.importorskip("pyarrow.parquet")
    from repkit import load
    from repkit.datasets import load_image_folder

    assert run("fit", "vae", "images", "--size", "12", "--out", "vae", *SMALL)[0] == 0
    code, _, err = run("extract", "vae", "images", "--out", "features.parquet")
    assert (code, err.splitlines()[-1]) == (0, "features.parquet: 24 rows")
    found = parquet.read_table("features.parquet").to_pandas()
    images = load_image_folder("images", size=12)
    assert [f"images/{path}" for path in found["path"]] == images.paths
    np.testing.assert_array_equal(found.iloc[:, 1:], load("vae").transform(images.data))


def test_adaptation_between_two_tables(run, files):
    fit = ["fit", "dann", "source.csv", "--target", "target.csv", "--label", "kind"]
    more = ["--set", "max_epochs=15", "--set", "learning_rate=3e-3", "--set", "random_state=0"]
    more += ["--set", "steps_per_epoch=20"]
    assert run(*fit, *more, "--out", "moons.safetensors")[0] == 0
    code, out, _ = run("evaluate", "moons.safetensors", "target.csv", "--label", "kind")
    accuracy = float(re.search(r"accuracy +(\S+)", out)[1])
    assert (code, accuracy > 0.7) == (0, True)


def test_adaptation_between_two_folders(run, files):
    from PIL import Image

    for path in Path("images").rglob("*.png"):  # the target: the same, in color and larger
        target = Path("photos", path.name)
        target.parent.mkdir(exist_ok=True)
        Image.open(path).convert("RGB").resize((16, 20)).save(target)
    fit = ["fit", "dann", "images", "--target", "photos", *SMALL, "--out", "m"]
    code, _, err = run(*fit)
    assert code == 2
    assert "photos has samples of shape (3, 20, 16), and images of (3, 10, 8); give --size" in err
    assert run(*fit, "--size", "10x8")[0] == 0
    code, out, _ = run("info", "m")
    assert "samples      3x10x8, images of bytes" in out
    assert "classes      2: thin, wide" in out


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals are POSIX's")
def test_ctrl_c_in_a_process_of_its_own_and_on_from_there(run, files):
    """As a user sees it: lines where there is no terminal, and a command to go on with."""
    fit = ["fit", "dann", "source.csv", "--label", "kind", "--out", "m.safetensors", *SMALL]
    fit += ["--set", "max_epochs=100000", "--set", "lam=0.5"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "repkit", *fit]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # What was started in the background ignores the signal, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        lines = []
        for line in process.stderr:
            lines.append(line.rstrip())
            if line.startswith("epoch 3/"):
                process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert lines[0] == "reading source.csv"
    assert re.match(r"epoch 1/100000  loss_net \S+  \S+ steps/s  \d+:\d\d\S* left$", lines[3])
    assert code == 130
    told = re.match(
        r"interrupted; (\d+) of 100000 epochs are kept; go on with: repkit (.*) --resume$",
        lines[-1],
    )
    assert told[2].split() == fit
    kept = int(told[1])
    assert not Path("m.safetensors").exists()
    fit[fit.index("max_epochs=100000")] = f"max_epochs={kept + 1}"
    code, _, err = run(*fit)
    assert (code, "give --resume to go on from it, or --force to start anew" in err) == (2, True)
    # Of fewer epochs it is another run, which goes on from nothing.
    code, _, err = run(*fit, "--resume")
    assert (code, "is of other data or parameters; starting anew" in err) == (0, True)
    assert Path("m.safetensors").exists()
    assert not Path("m.safetensors.checkpoints").exists()
