"""`repkit fit`: what is read, what is trained, and a run that ends early."""

import numpy as np
import pytest
import torch

import repkit
from repkit._progress import Epochs
from repkit.dann import GuardWarning

from .conftest import SMALL


def test_parameters_come_from_options_and_a_file(run, files):
    (files / "p.toml").write_text(
        "max_epochs = 1\nwidth = 12\nema = 0.9\nlearning_rate = {F = 1e-3}\n"
        "[optimizer]\nmomentum = 0.5\n[consistency]\nweight = 0.5\nthreshold = 0.8\n"
    )
    args = ["fit", "dann", "source.csv", "--label", "kind", "--config", "p.toml", "--out", "m"]
    code, _, err = run(*args, "--set", "optimizer__momentum=0.25", "--set", "lam=2")
    assert code == 0, err
    assert "warning: no target rows (sample_domain < 0): training on the source rows only" in err
    model = repkit.load("m")
    assert (model.max_epochs, model.width, model.lam) == (1, 12, 2)
    assert (model.optimizer.momentum, model.learning_rate) == (0.25, {"F": 1e-3})
    assert (model.consistency.weight, model.consistency.threshold) == (0.5, 0.8)
    # What the command line put in is no part of the model.
    assert "code " not in run("info", "m")[1]


def test_one_process_trains(run, files, monkeypatch):
    there = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    code, _, err = run("fit", "dann", "source.csv", "--label", "kind", "--out", "m", *SMALL)
    assert code == 2
    assert "repkit fit is of one process, and torchrun has started several" in err


def test_it_is_the_fit_of_the_estimator(run, files):
    import pandas as pd

    fit = ["fit", "dann", "source.csv", "--target", "target.csv", "--label", "kind"]
    assert run(*fit, "--out", "m", *SMALL, "-q") == (0, "", "")
    source, target = pd.read_csv("source.csv"), pd.read_csv("target.csv")
    model = repkit.DANN(max_epochs=2, width=12, random_state=0, device="cpu")
    X = pd.concat([source, target])[["a", "b"]]
    y = [*source["kind"], *["?"] * len(target)]
    model.fit(X, y, sample_domain=np.repeat([1, -1], 40))
    np.testing.assert_array_equal(repkit.load("m").transform(X), model.transform(X))


def test_labels_of_the_target_are_not_read(run, files):
    fit = ["fit", "dann", "source.csv", "--target", "target.csv", "--label", "kind", *SMALL]
    assert run(*fit, "--out", "m")[0] == 0
    text = (files / "target.csv").read_text()
    (files / "target.csv").write_text(text.replace("up", "?").replace("down", ""))
    assert run(*fit, "--out", "n")[0] == 0
    weights = [repkit.load(name).weights_["last"]["F"] for name in "mn"]
    assert all((weights[0][k] == v).all() for k, v in weights[1].items())


def test_changes_of_images_are_given_by_name(run, files):
    args = ["fit", "vae", "images", "--out", "m", *SMALL]
    code, _, err = run(*args, "--set", "augment=RandomAffine(degrees=6, zoom=0.05)")
    assert (code, "warning" in err) == (0, False)
    assert "code         augment: not in the file" in run("info", "m")[1]


def test_unlabeled_rows_of_a_table_are_empty_cells(run, files):
    lines = (files / "source.csv").read_text().splitlines()
    half = [line.rpartition(",")[0] + "," if k % 2 else line for k, line in enumerate(lines)]
    (files / "half.csv").write_text("\n".join(half))
    args = ["--label", "kind", "--out", "m", *SMALL]
    assert run("fit", "triplegan", "half.csv", *args)[0] == 0
    assert repkit.load("m").classes_.tolist() == ["down", "up"]
    code, _, err = run("fit", "dann", "half.csv", *args[:-8], "--out", "n")
    assert (code, "half.csv: the label 'kind' is empty in row 1" in err) == (1, True)


def test_what_cannot_be_used_is_left_out_and_listed(run, files):
    (files / "images" / "thin" / "torn.png").write_bytes(b"no image")
    (files / "wavs" / "speaker0" / "torn.wav").write_bytes(b"no sound")
    fits = {
        ("vae", "images"): "thin/torn.png",
        ("speech", "wavs"): "wavs/speaker0/torn.wav",
    }
    for (system, data), name in fits.items():
        args = ["fit", system, data, "--out", "m", "--force", *SMALL]
        args += ["--set", "prototypes=none"] if system == "speech" else []
        code, _, err = run(*args)
        assert (code, name in err) == (1, True)
        code, _, err = run(*args, "--on-error", "skip")
        assert code == 0, err
        assert f"skipped {name}" in err


def test_a_broken_off_fit_keeps_its_epochs(run, files, monkeypatch):
    args = ["fit", "dann", "source.csv", "--label", "kind", "--out", "m", *SMALL]
    args += ["--set", "max_epochs=4"]
    plain = Epochs.__call__

    def interrupted(self, row):
        plain(self, row)
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Epochs, "__call__", interrupted)
    code, _, err = run(*args)
    assert code == 130
    again = "repkit fit dann source.csv --label kind --out m"
    assert f"interrupted; 2 of 4 epochs are kept; go on with: {again}" in err
    monkeypatch.setattr(Epochs, "__call__", plain)
    code, _, err = run(*args, "--resume")
    assert (code, "going on from epoch 2" in err) == (0, True)
    assert not (files / "m.checkpoints").exists()
    gone_on = repkit.load("m").networks_
    assert run(*args)[2].startswith("error: --out m is there already; give --force")
    code, _, err = run(*args, "--force", "--resume")
    assert (code, "there is nothing to go on from in m.checkpoints" in err) == (0, True)
    at_once = repkit.load("m")
    assert at_once.n_iter_ == 4
    for name, network in at_once.networks_.items():
        torch.testing.assert_close(
            network.state_dict(), gone_on[name].state_dict(), rtol=0.0, atol=0.0
        )


SEARCH = ["fit", "dann", "source.csv", "--target", "target.csv", "--label", "kind", "--search"]


def test_a_search_writes_the_candidate_that_it_takes(run, files):
    import pandas as pd

    code, out, err = run(*SEARCH, "--out", "m", *SMALL)
    assert (code, out) == (0, "")
    source, target = pd.read_csv("source.csv"), pd.read_csv("target.csv")
    model = repkit.AdaptationSearch(
        repkit.DANN(max_epochs=2, width=12, random_state=0, device="cpu")
    )
    X = pd.concat([source, target])[["a", "b"]]
    y = [*source["kind"], *["?"] * len(target)]
    with pytest.warns(GuardWarning):
        model.fit(X, y, sample_domain=np.repeat([1, -1], 40))
    assert "warning: no candidate agrees" in err
    found = repkit.load("m")
    np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))
    assert f"taken: {model.best_candidate_}\n" in err
    for name, agreement in model.results_["agreement"].items():
        assert f"{name} {agreement:.2f}" in err
    assert "training 1/6 epoch 1/2" in err
    assert "training 6/6 epoch 2/2" in err
    assert "code " not in run("info", "m")[1]
    assert not (files / "m.checkpoints").exists()


def test_a_search_that_was_broken_off_goes_on(run, files, monkeypatch):
    plain, seen = Epochs.__call__, []

    def interrupted(self, row):
        plain(self, row)
        seen.append(row["epoch"])
        if len(seen) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Epochs, "__call__", interrupted)
    code, _, err = run(*SEARCH, "--out", "m", *SMALL)
    assert code == 130
    assert "interrupted; 3 of 12 epochs are kept" in err
    monkeypatch.setattr(Epochs, "__call__", lambda *a: seen.append(0) or plain(*a))
    seen.clear()
    code, _, err = run(*SEARCH, "--out", "m", *SMALL, "--resume")
    assert (code, len(seen)) == (0, 9)
    assert "going on with what m.checkpoints has" in err
    assert "starting anew" not in err
    assert "training 2/6 epoch 2/2" in err
    assert "training 6/6 epoch 2/2" in err
    assert run(*SEARCH, "--out", "n", *SMALL)[0] == 0
    one, other = (repkit.load(name).weights_["last"]["F"] for name in "mn")
    assert all((one[k] == v).all() for k, v in other.items())


@pytest.mark.parametrize("args", [["dann"], ["dann-regressor", "--target", "target.csv"], ["vae"]])
def test_a_search_needs_a_target_and_classes(run, files, args):
    code, _, err = run("fit", args[0], "source.csv", *args[1:], "--search", "--out", "m", *SMALL)
    assert (code, "--search goes with dann and --target" in err) == (2, True)


def test_a_fit_that_fails_says_so(run, files):
    args = ["fit", "dann", "source.csv", "--label", "kind", "--out", "m", *SMALL]
    code, _, err = run(*args, "--set", "learning_rate=1e30")
    assert code == 1
    assert "error: the training failed; its last good weights are in m" in err
    assert err.count("warning: training stopped at step") == 1


@pytest.mark.parametrize("system", ["dann", "speech"])
def test_help_of_a_system_lists_its_parameters(run, system):
    code, out, _ = run("fit", system, "--help")
    assert code == 0
    assert "repkit fit dann source.csv --target target.csv --label y" in out
    assert ("consistency__threshold : float, default=0.95" in out) == (system == "dann")
    assert ("adversary__warmup : " in out) == (system == "speech")
    assert "\n  max_epochs : int" in out
    assert "  checkpoint : " not in out


def test_fit_is_of_one_process(run, tmp_path, monkeypatch):
    for name, value in {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "a",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    args = ("fit", "vae", "digits", "--out", str(tmp_path / "m.pt"))
    code, _, error = run(*args)
    assert code == 2
    assert "repkit fit is of one process" in error
    assert not list(tmp_path.iterdir())
