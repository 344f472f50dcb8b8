"""`repkit info` and `repkit data`."""

import json
from functools import partial

import numpy as np
import pytest

from repkit import TripleGAN, nets
from repkit.cli import describing
from repkit.datasets import load_image_folder, load_speech_folder, load_table


def test_info_tells_what_was_fitted(run, models):
    code, out, err = run("info", models / "dann")
    assert (code, err) == (0, "")
    told = dict(line.split(maxsplit=1) for line in out.splitlines() if line[0] != "l")
    assert told["class"] == "DANN (repkit fit dann)"
    assert told["classes"] == "2: down, up"
    assert told["domains"] == "2: 1, -1"
    assert told["epochs"].startswith("2, ")
    params = {"device='cpu'", "max_epochs=2", "random_state=0", "steps_per_epoch=2", "width=12"}
    assert set(told["parameters"].split(", ")) == params
    assert "last C       26 weights" in out
    assert "last epoch   epoch 2, step 4, loss_net " in out


def test_info_of_every_system(run, models):
    for path in models.iterdir():
        code, out, _ = run("info", path)
        assert code == 0
        assert f"(repkit fit {path.name})" in out
        assert path.name == "bigan" or "optimizer__" not in out  # as by default
        found = json.loads(run("info", path, "--json")[1])
        assert found["bytes"] == path.stat().st_size
        assert len(found["history"]) == 2


def test_info_names_makers_of_networks(run, tmp_path):
    few = {"width": 8, "max_epochs": 1, "steps_per_epoch": 1, "device": "cpu", "random_state": 0}
    X, y = np.random.default_rng(0).random((12, 1, 8, 8)), np.repeat([1, 0, -1], 4)
    classifier = partial(nets.conv, width=4)
    TripleGAN(classifier=classifier, **few).fit(X, y).save(tmp_path / "bound")
    TripleGAN(classifier=nets.conv, **few).fit(X, y).save(tmp_path / "plain")
    for name, said in {"bound": "partial(nets.conv, width=4)", "plain": "nets.conv"}.items():
        _, out, _ = run("info", tmp_path / name)
        assert f"parameters   classifier={said}, device='cpu', " in out


def test_data_sets_are_listed(run):
    code, out, _ = run("data", "list")
    assert code == 0
    assert "moons           two moons; the target turned, made on the spot (source, target)" in out


def test_data_sets_are_written_as_files(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("data", "get", "moons:target", "--out", "moons.csv")[0] == 0
    moons = load_table("moons.csv", "y")
    assert moons.data.shape == (300, 2)
    assert moons.target.tolist().count(1) == 150
    assert run("data", "get", "moons", "--out", "moons.npz")[0] == 0
    assert np.load("moons.npz")["X"].shape == (300, 2)
    code, _, err = run("data", "get", "digits-shifted:test")
    assert (code, err.splitlines()[-1].rpartition(":")[2]) == (0, " y")
    assert run("data", "get", "speech", "--out", "w.wav")[0] == 2


def test_images_and_sound_as_folders(tmp_path):
    rng = np.random.default_rng(0)
    for name, shape in (("gray", (3, 1, 4, 5)), ("color", (3, 3, 4, 5))):
        X = rng.integers(0, 256, shape).astype(np.uint8)
        describing.write_images(X, tmp_path / name, ["a/b", "c", "c"])
        found = load_image_folder(tmp_path / name)
        np.testing.assert_array_equal(found.data, X[:, 0] if name == "gray" else X)
        assert found.target.tolist() == ["a_b", "c", "c"]
    describing.write_images(X[:, 0] / 255, tmp_path / "floats")
    np.testing.assert_array_equal(load_image_folder(tmp_path / "floats").data, X[:, 0])
    from repkit.cli.sets import Data

    labels = {"speaker": np.array([3, 4]), "word": np.array([0, 1])}
    sound = Data([np.zeros(80), np.ones(80) / 2], labels, 8000)
    describing.write_set(sound, tmp_path / "sound")
    found = load_speech_folder(tmp_path / "sound")
    assert found.speaker.tolist() == ["3", "4"]
    assert [path.rpartition("/")[2] for path in found.data] == ["0_word0.wav", "1_word1.wav"]


def test_what_a_parameter_is_by_default():
    pytest.importorskip("click")
    header = {"class": "VAE", "params": {"width": 512, "beta": 2.0, "device": "auto"}}
    header["params"]["optimizer"] = {"part": "Optimizer", "params": {"kind": "sgd"}}
    assert describing._changed(header) == [("beta", 2.0), ("optimizer__kind", "sgd")]
