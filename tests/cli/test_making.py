"""`repkit plot`, `repkit sample` and `repkit convert`."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import repkit
from repkit.datasets import load_image_folder


def test_figures(run, files, models):
    wave = next((files / "wavs" / "speaker0").iterdir())
    voice = next((files / "wavs" / "speaker1").iterdir())
    for model, kind, more in (
        ("dann", "history", []),
        ("vae", "reconstruction", ["images"]),
        ("vae", "samples", []),
        ("bigan", "traversal", []),
        ("speech", "conversion", [wave, "--voice", voice]),
    ):
        out = f"{model}-{kind}.png"
        args = [*more[:1], "--kind", kind, "--out", out, "--seed", 0, *more[1:], "-q"]
        assert run("plot", models / model, *args) == (0, "", "")
        assert Path(out).read_bytes().startswith(b"\x89PNG")


def test_maps(run, files, models, monkeypatch):
    """UMAP itself takes seconds to load."""
    seen = []

    def plane(features, **more):
        seen.append(np.shape(features))
        return np.asarray(features)[:, :2]

    for module in ("embedding", "speech"):
        monkeypatch.setattr(f"repkit.plots.{module}.to_plane", plane)
    args = ["--kind", "embedding", "--out"]
    assert run("plot", models / "vae", "images", *args, "a.png")[0] == 0
    assert run("plot", models / "speech", "wavs", *args, "b.png")[0] == 0
    assert run("plot", models / "speech", "wavs", *args, "c.png", "--word", r"word(\d+)")[0] == 0
    assert [shape[0] for shape in seen] == [24, 12, 12, 12]
    # By a column that is a feature, too.
    by_feature = [models / "dann-regressor", "target.csv", "--label", "a"]
    assert run("plot", *by_feature, *args, "d.png")[0] == 0


def test_samples(run, files, models):
    args = ["--n", 3, "--seed", 0, "-q", "--out"]
    assert run("sample", models / "vae", *args, "s.npy") == (0, "", "")
    found = np.load("s.npy")
    np.testing.assert_array_equal(found, repkit.load(models / "vae").sample(3, random_state=0))
    assert run("sample", models / "vae", *args, "s") == (0, "", "")
    np.testing.assert_array_equal(load_image_folder("s").data, found)
    assert run("sample", models / "triplegan", "--label", "wide", *args, "t.npy")[0] == 0
    expected = repkit.load(models / "triplegan").sample(3, y="wide", random_state=0)
    np.testing.assert_array_equal(np.load("t.npy"), expected)
    assert run("sample", models / "infogan", "--code", "category0=3", *args, "i.npy")[0] == 0
    expected = repkit.load(models / "infogan").sample(3, codes={"category0": 3}, random_state=0)
    np.testing.assert_array_equal(np.load("i.npy"), expected)


def test_samples_of_tables_keep_the_names(run, files):
    fit = ["fit", "vae", "source.csv", "--drop", "kind", "--out", "m", "-q"]
    assert run(*fit, "--set", "max_epochs=1", "--set", "width=12")[0] == 0
    assert run("sample", "m", "--n", 4, "--out", "s.csv")[0] == 0
    assert list(pd.read_csv("s.csv").columns) == ["a", "b"]


def test_conversion(run, files, models):
    import soundfile

    a = next((files / "wavs" / "speaker0").iterdir())
    b = next((files / "wavs" / "speaker1").iterdir())
    code, _, err = run("convert", models / "speech", a, "--voice", b, "--out", "c.wav")
    assert (code, err.splitlines()[-1].endswith("s at 8000 Hz")) == (0, True)
    wave, rate = soundfile.read("c.wav")
    model = repkit.load(models / "speech")
    assert rate == 8000
    assert len(wave) == len(model.to_waveform(model.convert([str(a)], [str(b)])[0]))


def test_sound_that_cannot_be_used(run, files, models):
    """The remedy is none of Python's."""
    Path("junk.wav").write_text("no sound")
    wave = next((files / "wavs" / "speaker0").iterdir())
    code, _, err = run("convert", models / "speech", "junk.wav", "--voice", wave, "--out", "c.wav")
    assert code == 1
    assert re.search(r"^error: junk.wav: it could not be read as audio \([^;]*$", err, re.M), err


BAD = [
    (["plot", "vae", "--kind", "history", "--out", "h.txt"], "must end in .png or .pdf"),
    (["plot", "vae", "--kind", "reconstruction", "--out", "h.png"], "reconstruction needs DATA"),
    (["plot", "vae", "images", "--kind", "history", "--out", "h.png"], "history takes no DATA"),
    (["plot", "vae", "--kind", "samples", "--out", "h.png", "--image-shape", "8y"], "give 8x8"),
    (["plot", "dann", "--kind", "samples", "--out", "h.png"], "does not go with a DANN"),
    (["plot", "dann", "target.csv", "--kind", "embedding", "--out", "h.png"], "give --label"),
    (["sample", "vae", "--out", "s.txt"], "give a .npy, .csv or .parquet file, or a folder"),
    (["sample", "vae", "--out", "images"], "--out images is there already"),
    (["sample", "vae", "--out", "s.csv"], "images go into a folder, or into a .npy file"),
    (["sample", "vae", "--label", "a", "--out", "s"], "--label does not go with a VAE"),
    (["sample", "vae", "--code", "a=1", "--out", "s"], "--code does not go with a VAE"),
    (
        ["sample", "triplegan", "--label", "a", "--out", "s"],
        "--label a: the classes are thin, wide",
    ),
    (["sample", "infogan", "--code", "a", "--out", "s"], "--code a: give NAME=VALUE"),
    (["sample", "vae", "--seed", "-3", "--out", "s"], "'--seed': -3 is not in the range"),
    (["sample", "dann", "--out", "s"], "a DANN does not generate samples"),
    (["convert", "vae", "a.wav", "--voice", "a.wav", "--out", "c.wav"], "MODEL is a VAE; convert"),
    (["convert", "speech", "a.wav", "--voice", "a.wav", "--out", "c.doc"], "must end in .wav"),
    (["plot", "speech", "a.wav", "--kind", "conversion", "--out", "c.png"], "needs --voice FILE"),
]


@pytest.mark.parametrize(("args", "says"), BAD, ids=[says for _, says in BAD])
def test_bad_use(run, files, models, args, says):
    next((files / "wavs" / "speaker0").iterdir()).rename("a.wav")
    code, out, err = run(args[0], models / args[1], *args[2:])
    (line,) = [one for one in err.splitlines() if not one.startswith("loading")]
    assert (code, out, says in line) == (2, "", True), line


THERE = [
    (["plot", "vae", "--kind", "history"], "h.png"),
    (["sample", "vae", "--n", 2], "s.npy"),
    (["convert", "speech", "a.wav", "--voice", "a.wav"], "c.wav"),
    (["export", "vae"], "v.pt2"),
    (["data", "get", "moons:source"], "m.csv"),
]


@pytest.mark.parametrize(("args", "out"), THERE, ids=[args[0] for args, _ in THERE])
def test_a_file_that_is_there_stays_unless_forced(run, files, models, args, out):
    next((files / "wavs" / "speaker0").iterdir()).rename("a.wav")
    Path(out).write_text("mine")
    args = [models / a if a in ("vae", "speech") else a for a in args] + ["--out", out]
    code, _, err = run(*args)
    assert (code, Path(out).read_text()) == (2, "mine")
    assert f"--out {out} is there already; give --force to replace it" in err
    assert run(*args, "--force")[0] == 0
    assert Path(out).read_bytes() != b"mine"


@pytest.mark.parametrize("more", [[], ["--force"]])
def test_a_folder_is_not_replaced(run, files, models, more):
    code, _, err = run("sample", models / "vae", "--out", "images", *more)
    assert (code, "--out images is there already, a folder" in err) == (2, True)
