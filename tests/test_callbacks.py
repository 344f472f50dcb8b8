"""Callbacks: ready ones, scikit-learn's, and recipes for other tools."""

import re
import sys
import types

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn

import repkit
from repkit import VAE, TripleGAN
from repkit import callbacks as module
from repkit.callbacks import EarlyStopping, Probe

X, Y = load_digits(return_X_y=True)
X = (X[:200] / 16).astype(np.float32)
Y = Y[:200]
SMALL = {"latent_dim": 4, "width": 16, "batch_size": 64, "steps_per_epoch": 3, "random_state": 0}


def vae(**params):
    return VAE(**{**SMALL, "max_epochs": 6, **params})


class Script:
    """Puts numbers into a column, one an epoch."""

    def __init__(self, *values):
        self.values = values

    def __call__(self, row):
        row["score"] = self.values[int(row["epoch"]) - 1]


@pytest.mark.parametrize(
    ("values", "greater", "min_delta", "epochs"),
    [
        ((3, 2, 1, 2, 2, 0), False, 0.0, 5),
        ((1, 2, 3, 2, 2, 4), True, 0.0, 5),
        ((1, 1.5, 2.3, 2.4, 2.5, 9), True, 1.0, 5),
        ((1, float("nan"), float("nan"), 0, 0, 0), True, 0.0, 3),
        ((6, 5, 4, 3, 2, 1), False, 0.0, 6),
    ],
)
def test_a_training_ends_when_patience_does(values, greater, min_delta, epochs):
    stop = EarlyStopping("score", 2, min_delta, greater=greater, keep="last")
    model = vae(callbacks=[Script(*values), stop]).fit(X)
    assert model.n_iter_ == epochs
    assert model.used_weights_ == "last"


def test_the_best_epoch_is_kept():
    script, kept = Script(3, 1, 2, 2, 2, 2), []

    def keep(row):
        kept.append(model.transform(X[:3]))

    model = vae(callbacks=[script, EarlyStopping("score", 3), keep])
    model.fit(X)
    assert (model.n_iter_, model.selected_epoch_, model.used_weights_) == (5, 2, "selected")
    np.testing.assert_array_equal(model.transform(X[:3]), kept[1])
    np.testing.assert_array_equal(model.use("last").transform(X[:3]), kept[4])


@pytest.mark.filterwarnings("ignore:checkpoint. the training goes on")
def test_patience_is_of_one_training_and_survives_a_resume(tmp_path):
    stop = EarlyStopping("score", 2, keep="last")
    model = vae(callbacks=[Script(1, 2, 2, 0, 0, 0), stop])
    assert model.fit(X).n_iter_ == model.fit(X).n_iter_ == clone(model).fit(X).n_iter_ == 3
    model.set_params(checkpoint=tmp_path, callbacks=[Script(1, 2, 2), stop], max_epochs=2).fit(X)
    assert model.set_params(max_epochs=6).fit(X).n_iter_ == 3


def test_a_column_that_is_missing_is_named():
    """At once: a training without the stop that was asked for is time lost."""
    seen = []
    model = vae(callbacks=[EarlyStopping("nope"), lambda row: seen.append(row["epoch"])])
    with pytest.raises(
        ValueError, match=r"column must be one of epoch, step, .*, not 'nope'; a ca"
    ):
        model.fit(X)
    assert seen == []


class Noisy(nn.Sequential):
    """A trunk with all that a look from outside might change."""

    def __init__(self, shape_in, dim_out):
        super().__init__(
            nn.Flatten(),
            nn.Linear(64, 16),
            nn.BatchNorm1d(16),
            nn.Dropout(0.5),
            nn.Linear(16, dim_out),
        )


def states(model):
    return {k: v for m in model.networks_.values() for k, v in m.state_dict().items()}


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_probe_changes_nothing(ema):
    def draw(model, X, y):
        torch.randn(3)
        return float(model.transform(X).mean())

    plain = vae(encoder=Noisy, ema=ema).fit(X)
    probed = vae(encoder=Noisy, ema=ema, callbacks=[Probe(X, Y), Probe(X, Y, draw, "drawn")])
    probed.fit(X)
    for name, value in states(plain).items():
        assert torch.equal(value, states(probed)[name]), name
    assert {"probe", "drawn"} <= set(probed.history_)
    final = Probe(X, Y).measure(probed)
    assert probed.history_.probe.iloc[-1] == final > 0.1


def test_a_probe_of_a_classifier_every_other_epoch():
    seen = []

    def score(model, X, y):
        seen.append(model.score(X, y))
        return seen[-1]

    probe = Probe(X, Y, score, "held_out", every=2)
    model = TripleGAN(
        generator=None, width=16, batch_size=(32, 32), steps_per_epoch=2, max_epochs=5,
        random_state=0, callbacks=probe,
    ).fit(X, Y)  # fmt: skip
    column = model.history_.held_out.tolist()
    assert column == [seen[0], seen[1], seen[1], seen[2], seen[2]]
    with pytest.raises(TypeError, match="must be bound"):
        probe({})
    with pytest.raises(TypeError, match="must be bound"):
        EarlyStopping("x")({})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(3), "column must be the name of a column, not 3"),
        (lambda: EarlyStopping("a", 0), "patience must be an integer of at least 1, not 0"),
        (lambda: EarlyStopping("a", min_delta=-1), "min_delta must be"),
        (lambda: EarlyStopping("a", keep="first"), "keep must be 'best' or 'last', not 'first'"),
        (lambda: Probe(X, Y, "accuracy"), "score must be a function of an estimator, X and y"),
        (lambda: Probe(X, Y, name=2), "name must be the name of a column, not 2"),
        (lambda: Probe(X, X), "y must have one label for each row"),
        (lambda: Probe(X, Y, every=0), "every must be an integer of at least 1, not 0"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        make()


# ---------------------------------------------------------------- scikit-learn's


class Recorder:
    """A callback in scikit-learn's manner."""

    def __init__(self, stop_after=None):
        self.events, self.stop_after = [], stop_after

    def setup(self, estimator, context):
        self.events.append("setup")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name} {context.task_id} of {context.max_subtasks}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator, X, y):
        codes = fitted_estimator.transform(X)
        self.events.append(f"end {context.task_name} {context.task_id} {codes.shape}")
        return context.task_id + 1 == self.stop_after

    def teardown(self, estimator, context):
        self.events.append("teardown")


def test_scikit_learns_callbacks_are_told_of_epochs():
    pytest.importorskip("sklearn.callback")
    recorder = Recorder()
    model = vae(max_epochs=2).set_callbacks(recorder)
    model.fit(X)
    assert recorder.events == [
        "setup", "begin fit 0 of 2", "begin epoch 0 of 0", "end epoch 0 (200, 4)",
        "begin epoch 1 of 0", "end epoch 1 (200, 4)", "end fit 0 (200, 4)", "teardown",
    ]  # fmt: skip
    recorder.events.clear()
    assert clone(model).set_params(max_epochs=1).fit(X).n_iter_ == 1
    assert recorder.events[-1] == "teardown"
    np.testing.assert_array_equal(vae(max_epochs=2).fit_transform(X), model.transform(X))
    assert vae().set_callbacks(Recorder(stop_after=3)).fit(X).n_iter_ == 3
    assert not [k for k in vars(model) if "ctx" in k or "teardown" in k]


def test_scikit_learns_bar_and_pipeline(capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    vae(max_epochs=2).set_callbacks(callback.ProgressBar()).fit(X)
    assert "VAE - fit" in capsys.readouterr().out
    line = make_pipeline(StandardScaler(), vae(max_epochs=2))
    line.set_callbacks(callback.ProgressBar()).fit(X)
    assert "VAE" in capsys.readouterr().out


def test_a_failed_fit_is_torn_down():
    pytest.importorskip("sklearn.callback")
    recorder = Recorder()
    with pytest.raises(ValueError, match="NaN"):
        vae().set_callbacks(recorder).fit(np.full_like(X, np.nan))

    def interrupt(row):
        raise KeyboardInterrupt

    model = vae(callbacks=interrupt).set_callbacks(recorder)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert recorder.events[-1] == "teardown"
    assert not hasattr(model, "networks_")


# ---------------------------------------------------------------- recipes


def recipe(number):
    return re.findall(r"::\n\n((?:    .*\n)+)", module.__doc__)[number]


def run(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {}
    exec("\n".join(line.strip() for line in recipe(number).splitlines()), space)
    seen = vae(max_epochs=2, callbacks=space["log"]).fit(X)
    assert seen.n_iter_ == 2, "the recipe must not stop the training"
    return space


def test_the_tensorboard_recipe(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    run(0, tmp_path, monkeypatch)["writer"].close()
    assert list((tmp_path / "runs/vae").iterdir())


def test_the_mlflow_recipe(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    run(1, tmp_path, monkeypatch)
    mlflow.end_run()


def test_the_wandb_recipe(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run(2, tmp_path, monkeypatch)["run"].finish()


def test_recipes_by_stand_ins(tmp_path, monkeypatch):
    """What they hand over, without the packages."""
    told = []

    class Writer:
        def __init__(self, folder):
            pass

        def add_scalar(self, name, value, step):
            told.append((name, float(value), step))

    board = types.SimpleNamespace(SummaryWriter=Writer)
    log = types.SimpleNamespace(
        start_run=lambda: None,
        log_metrics=lambda values, step: told.append((values, step)),
        init=lambda project: types.SimpleNamespace(
            log=lambda values, step: told.append((values, step))
        ),
    )
    for name, stand_in in (
        ("torch.utils.tensorboard", board), ("mlflow", log), ("wandb", log)
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, stand_in)
    for number in range(3):
        told.clear()
        run(number, tmp_path, monkeypatch)
        assert {one[-1] for one in told} == {1, 2}


def test_they_are_public():
    assert repkit.EarlyStopping is EarlyStopping
    assert repkit.Probe is Probe
