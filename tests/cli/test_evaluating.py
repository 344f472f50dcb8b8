"""`repkit evaluate`: the numbers are those of the estimators and of `repkit.metrics`."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, r2_score

import repkit
from repkit.cli.evaluating import FIGURES, _labeled
from repkit.cli.systems import SYSTEMS
from repkit.datasets import load_image_folder
from repkit.metrics import reconstruction_ratio, same_different, speaker_eer


def numbers(run, *args):
    code, out, err = run("evaluate", *args, "--json", "-q")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_classifiers_and_regressors(run, files, models):
    frame = pd.read_csv("target.csv")
    X, y = frame[["a", "b"]], frame["kind"]
    model = repkit.load(models / "dann")
    found = numbers(run, models / "dann", "target.csv", "--label", "kind")
    assert found == {
        "accuracy": model.score(X, y),
        "balanced_accuracy": balanced_accuracy_score(y, model.predict(X)),
        "most_frequent": 0.5,
        "rows": 40,
    }
    model = repkit.load(models / "dann-regressor")
    found = numbers(run, models / "dann-regressor", "target.csv", "--label", "b")
    assert found["r2"] == pytest.approx(r2_score(frame["b"], model.predict(X[["a"]])))
    assert run("evaluate", models / "dann-regressor", "target.csv", "--label", "kind")[0] == 2


def test_auto_encoders_with_and_without_classes(run, files, models):
    X = load_image_folder("images").data
    back = repkit.load(models / "vae").reconstruct(X)
    found = numbers(run, models / "vae", "images")
    ratio = reconstruction_ratio(X / 255, back / 255)
    assert found["reconstruction_ratio"] == pytest.approx(ratio)
    assert found["linear_probe_raw"] == 1.0
    assert 0 <= found["linear_probe"] <= 1
    code, out, _ = run("evaluate", models / "vae", "images/thin")
    assert (code, "linear_probe" in out) == (0, False)
    assert "0 if each reconstruction is its sample" in out


def test_clusters(run, models):
    found = numbers(run, models / "infogan", "digits")
    assert 1 <= found["categories_used"] <= 10
    assert 0.1 <= found["matched"] <= 1


def test_speech(run, files, models):
    paths = [str(path) for path in sorted((files / "wavs").rglob("*.wav"))]
    speakers = np.array([path.split("/")[-2] for path in paths])
    words = np.array([path.rpartition("word")[2] for path in paths])
    model = repkit.load(models / "speech")
    p, s = model.transform_phonetic(paths), model.transform_speaker(paths)
    found = numbers(run, models / "speech", "wavs", "--word", r"word(\d+)")
    assert found["eer_speaker"] == pytest.approx(speaker_eer(s, speakers))
    assert found["eer_phonetic"] == pytest.approx(speaker_eer(p, speakers))
    expected = same_different(p, words, speakers)
    assert found["ap_across"] == pytest.approx(expected["ap_across"])
    assert found["chance"] == pytest.approx(expected["chance_across"])
    code, _, err = run("evaluate", models / "speech", "wavs/speaker0")
    assert (code, "evaluate needs speakers or words" in err) == (2, True)


def test_what_it_cannot_compare(run, files, models):
    for args, says in (
        ([models / "dann", "target.csv"], "evaluate compares with classes: give --label"),
        ([models / "vae", "images", "--word", "x"], "--word is for models of speech"),
        (
            [models / "vae", "target.csv"],
            "target.csv is a table, but the model was fitted on images",
        ),
        ([models / "dann", "images"], "is a folder of images, but the model was fitted on samples"),
    ):
        code, _, err = run("evaluate", *args)
        assert (code, says in err) == (2, True), err


def test_names_of_folders_are_compared_with_numbers():
    """A model of digits as numbers, measured on a folder of digits."""
    classes = np.array([0, 1, 2])
    assert _labeled(np.array(["2", "0"]), "classes", classes).tolist() == [2, 0]
    assert _labeled(np.array(["x", "0"]), "classes", classes).tolist() == ["x", "0"]
    assert _labeled([2, 0], "classes", np.array(["0", "2"])).tolist() == ["2", "0"]
    assert set(FIGURES) == {system.cls for system in SYSTEMS.values()}
