"""Files as a user has them, small models of them, and the command line in this process."""

import shutil

import numpy as np
import pytest

pytest.importorskip("click")
from repkit.cli.app import app
from repkit.datasets import make_domains, make_speech

# Of a fit that shall be short.
SMALL = ["--set", "max_epochs=2", "--set", "width=12", "--set", "random_state=0"]
SMALL += ["--set", "device=cpu"]


@pytest.fixture
def run(capsys):
    """``run("fit", "vae", ...)``: the exit code, and what was written to both streams."""

    def call(*args):
        with pytest.raises(SystemExit) as ended:
            app.main([str(a) for a in args])
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return call


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """``source.csv``, ``target.csv``, folders of images and of sound."""
    import pandas as pd
    import soundfile
    from PIL import Image

    folder = tmp_path_factory.mktemp("files")
    moons = make_domains(40, random_state=0)
    for name, rows in (("source", moons.sample_domain > 0), ("target", moons.sample_domain < 0)):
        frame = pd.DataFrame(moons.X[rows], columns=["a", "b"])
        frame.assign(kind=np.where(moons.y[rows], "up", "down")).to_csv(
            folder / f"{name}.csv", index=False
        )
    rng = np.random.default_rng(0)
    for k in range(24):
        image = np.zeros((10, 8), dtype=np.uint8)
        image[:, : 1 + k % 2 * 6] = rng.integers(128, 256)
        kind = folder / "images" / ("wide" if k % 2 else "thin")
        kind.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(kind / f"{k:02}.png")
    speech = make_speech(2, 3, 2, random_state=0)
    for k, wave in enumerate(speech.data):
        speaker = folder / "wavs" / f"speaker{speech.speaker[k]}"
        speaker.mkdir(parents=True, exist_ok=True)
        soundfile.write(speaker / f"{k:02}_word{speech.word[k]}.wav", wave, speech.sample_rate)
    np.savez(folder / "table.npz", X=moons.X, y=moons.y)
    np.save(folder / "table.npy", moons.X)
    return folder


@pytest.fixture
def files(made, tmp_path, monkeypatch):
    """A copy of these files to work in; paths are relative to it."""
    shutil.copytree(made, tmp_path / "files")
    monkeypatch.chdir(tmp_path / "files")
    return tmp_path / "files"


@pytest.fixture(scope="session")
def models(made, tmp_path_factory):
    """A fitted model file of several systems, by name."""
    import os

    folder, before = tmp_path_factory.mktemp("models"), os.getcwd()
    os.chdir(made)
    small = [*SMALL, "--set", "steps_per_epoch=2", "-q"]
    fits = {
        "dann": ["source.csv", "--target", "target.csv", "--label", "kind"],
        "dann-regressor": ["source.csv", "--label", "b", "--drop", "kind"],
        "vae": ["images"],
        "bigan": ["images", "--set", "generator=mlp", "--set", "encoder=mlp"],
        "infogan": ["digits", "--set", "latent_dim=2"],
        "triplegan": ["images", "--set", "consistency=0"],
        "speech": ["wavs", "--set", "sample_rate=8000", "--set", "prototypes=none"],
    }
    try:
        for system, args in fits.items():
            with pytest.raises(SystemExit) as ended:
                app.main(["fit", system, *args, *small, "--out", str(folder / system)])
            assert ended.value.code == 0, system
    finally:
        os.chdir(before)
    return folder
