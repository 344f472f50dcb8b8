"""DATA larger than memory: fitted and measured as the same DATA in memory."""

import json
from pathlib import Path

import numpy as np
import pytest

import repkit
from repkit.cli import pouring
from repkit.cli.sources import Wanted, open_source
from tests.cli.conftest import SMALL


@pytest.fixture
def large(monkeypatch):
    return lambda: monkeypatch.setattr(pouring, "LARGE", 0)


def weights(path):
    networks = repkit.load(path).networks_
    return {f"{n}.{k}": v.numpy() for n, m in networks.items() for k, v in m.state_dict().items()}


@pytest.mark.parametrize(
    "args",
    [
        ["dann", "source.csv", "--target", "target.csv", "--label", "kind"],
        ["dann-regressor", "source.parquet", "--label", "b"],
        ["vae", "images"],
    ],
)
def test_a_fit_is_that_in_memory(run, files, large, args):
    if "source.parquet" in args:
        import pandas as pd

        frame = pd.read_csv("source.csv").drop(columns="kind")
        frame.astype({"a": np.float32, "b": np.float32}).to_parquet("source.parquet")
    args = ["fit", *args, *SMALL, "--set", "steps_per_epoch=2", "-q", "--out"]
    if args[1] == "dann":
        text = Path("source.csv").read_text().splitlines()
        text[3] = "high,0.5,up"
        Path("source.csv").write_text("\n".join(text))
        args.insert(-1, "--on-error")
        args.insert(-1, "skip")
    code, _, err = run(*args, "plain")
    assert code == 0, err
    large()
    assert run(*args, "mapped") == (0, "", err)
    plain, mapped = weights("plain"), weights("mapped")
    assert plain.keys() == mapped.keys()
    for name, value in plain.items():
        np.testing.assert_array_equal(value, mapped[name], err_msg=name)
    for name in ("plain", "mapped"):
        repkit.load(name)
    names = [
        getattr(repkit.load(m), "feature_names_in_", np.array([])) for m in ("plain", "mapped")
    ]
    assert names[0].tolist() == names[1].tolist()
    assert not list(Path().glob("*.npy.*"))
    assert not list(Path().glob("*.samples.npy"))


def test_measures_are_those_in_memory(run, files, models, large):
    cases = [
        ["dann", "target.csv", "--label", "kind"],
        ["dann-regressor", "target.csv", "--label", "b", "--drop", "kind"],
        ["vae", "images"],
    ]
    found = [run("evaluate", models / c[0], *c[1:], "--json") for c in cases]
    large()
    for case, (code, out, err) in zip(cases, found, strict=True):
        assert code == 0, err
        again = run("evaluate", models / case[0], *case[1:], "--json")
        assert (again[0], "warning" in again[2]) == (0, False), again
        assert json.loads(again[1]) == pytest.approx(json.loads(out))


def test_errors_name_the_option(run, files, large):
    large()
    from PIL import Image

    Image.new("L", (5, 5)).save("images/wide/99.png")
    code, _, err = run("fit", "vae", "images", "--out", "m", *SMALL)
    assert (code, "give --size" in err) == (1, True), err
    code, _, err = run("fit", "vae", "images", "--target", "source.csv", "--out", "m", *SMALL)
    assert code == 2
    Path("images/thin/00.png").write_bytes(b"torn")
    args = ["fit", "vae", "images", "--size", "8", "--out", "m", *SMALL, "--on-error", "skip", "-q"]
    code, _, err = run(*args)
    assert (code, "skipped thin/00.png" in err) == (0, True), err


def test_what_is_large(files, monkeypatch):
    def large(*names, **wanted):
        sources = [open_source(n, Wanted(**wanted), speech=n == "wavs") for n in names]
        return pouring.is_large(sources)

    assert not large("source.csv")
    monkeypatch.setattr(pouring, "LARGE", 100)
    assert large("source.csv", "table.npy")
    assert large("images")
    assert not large("table.npy")
    assert not large("table.npz", "digits")
    assert not large("wavs")
    monkeypatch.setattr(pouring, "LARGE", 24 * 3 * 9)
    assert not large("images", size=(3, 3))
