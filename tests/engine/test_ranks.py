"""Two processes that train together take the steps of one, and end together."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

import repkit
from repkit import (
    DANN,
    VAE,
    VAEGAN,
    BiGAN,
    DANNRegressor,
    InfoGAN,
    SpeechAutoencoder,
    TripleGAN,
)
from repkit.base import precision
from repkit.engine.ranks import Ranks
from repkit.speech.networks import FrameNorm

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

WORLD = 2
X = np.random.default_rng(0).random((48, 6)).astype(np.float32)
Y = (X[:, 0] > 0.5).astype(int) + (X[:, 1] > 0.5)
DOMAIN = np.array([0, 1, -1, -2]).repeat(12)
FEW = np.where(np.arange(48) < 20, Y, -1)


class PairNet(nn.Module):
    def __init__(self, shape_in, latent_dim):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6 + latent_dim, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, x, z):
        return self.layers(torch.cat([x, z], 1))


def hidden(shape_in, width):
    return nn.Sequential(nn.Linear(6, width), nn.Tanh())


def dropping(shape_in, width):
    return nn.Sequential(nn.Linear(6, width), nn.BatchNorm1d(width), nn.Tanh(), nn.Dropout(0.3))


def generator(dim_in, shape_out):
    return nn.Sequential(nn.Linear(dim_in, 16), nn.Tanh(), nn.Linear(16, 6))


def cases():
    """Estimators of networks without batch norm, by name, and what `fit` is given."""
    own = {"width": 16, "max_epochs": 2, "random_state": 0, "learning_rate": 1e-2}
    gan = own | {"latent_dim": 4, "batch_size": 16, "generator": generator, "ema": 0.9}
    of = own | {"backbone": hidden, "batch_size": 16, "select": None}
    judged = {"discriminator__network": hidden, "augment": lambda x: x.flip(1)}
    labels = {"y": Y, "sample_domain": DOMAIN}
    numbers = {"y": X[:, :2], "sample_domain": DOMAIN}
    terms = {
        "entropy__weight": 1.0,
        "entropy__confusion": 1.0,
        "entropy__prior": "estimate",
        "conditional": "entropy",
        "consistency": 1.0,
        "ema": 0.9,
        "select": "entropy",
        "learning_rate": 0.1,
    }
    return {
        "VAE": (VAE(encoder=hidden, **gan), {}),
        "BiGAN": (
            BiGAN(encoder=hidden, data_cycle=1.0, latent_cycle=1.0, **gan).set_params(
                discriminator__network=PairNet, discriminator__r1=0.1
            ),
            {},
        ),
        "DANN": (DANN(**of), labels | {"sample_weight": X[:, 2] + 0.5}),
        "DANN, all terms": (DANN(optimizer="sgd", **of).set_params(**terms), labels),
        "DANN, separate steps": (DANN(updates="alternating", **of), labels),
        "DANN, correlations": (DANN(divergence="coral", **of), labels),
        "DANN, kernels": (DANN(divergence="joint_mmd", **of), labels),
        "DANNRegressor": (DANNRegressor(divergence="mmd", **of), numbers),
        "InfoGAN": (
            InfoGAN(**gan).set_params(
                **judged,
                discriminator_norm="spectral",
                categorical__sizes=(3,),
                categorical__invariance=1.0,
                continuous__contrastive=1.0,
            ),
            {},
        ),
        "VAEGAN": (
            VAEGAN(encoder=hidden, balanced_steps=True, pixel=1.0, **gan).set_params(**judged),
            {},
        ),
        "TripleGAN": (
            TripleGAN(
                classifier=hidden, adversary_start=0.0, **gan | {"batch_size": (8, 16)}
            ).set_params(discriminator=hidden, pseudo_discriminative__gate=0.4, balance=1.0),
            {"y": FEW},
        ),
    }


def speech():
    """The same for speech."""
    rng = np.random.default_rng(0)
    X = [rng.standard_normal((n, 5)).astype(np.float32) for n in rng.integers(6, 12, 29)]
    y = np.array([0] * 9 + [1] * 8 + [2] * 7 + [-1] * 5)
    model = SpeechAutoencoder(
        phonetic_dim=6, speaker_dim=3, width=12, batch_size=(3, 4), max_epochs=2, random_state=0
    ).set_params(prototypes__sizes=(3,), prototypes__start=0.5, perturb=0.0, optimizer="sgd")
    pairs = clone(model).set_params(adversary="pair", speaker_loss__kind="centroid")
    frames = clone(model).set_params(encoder__pooling="both", adversary=None)
    frames.set_params(prototypes__frame_size=0)
    models = {"classifier": model, "pairs": pairs, "frames": frames}
    return {f"speech, {name}": (model, {"X": X, "y": y}) for name, model in models.items()}


def fitted(model, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(**{"X": X, **given})


def fitted_speech(model, **given):
    """Without its batch norm, which sees what a process has."""
    with (
        patch.object(nn.BatchNorm1d, "forward", lambda self, x: x),
        patch.object(FrameNorm, "forward", lambda self, x, mask: x * mask),
    ):
        return fitted(model, **given)


def state(model):
    weights = {
        f"{name}.{key}": value.numpy()
        for name, network in model.networks_.items()
        for key, value in network.state_dict().items()
    }
    return weights, model.history_.drop(columns="seconds").to_dict("list")


def refused(model, **given):
    """The error of a fit."""
    try:
        fitted(model, **given)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def work(rank, folder):
    """What each of the processes does."""
    torch.set_num_threads(1)
    found = {name: state(fitted(model, **given)) for name, (model, given) in cases().items()}
    for name, (model, given) in speech().items():
        found[name] = state(fitted_speech(model, **given))
    waves = [np.random.default_rng(k).normal(size=4000) for k in range(10)]
    given = {"adversary": "wasserstein", "swap__cycle": 1.0, "speaker_loss__voices": 1.0}
    model.set_params(prototypes__frame_size=3, perturb=1.0, **given)
    found["all of speech"] = state(fitted(model, X=waves, y=[0, 1] * 5))
    options = {"width": 16, "batch_size": 16, "max_epochs": 4, "ema": 0.9}
    norms = VAE(4, encoder=dropping, random_state=0, **options)
    found["whole"] = state(fitted(norms))

    def interrupted(row):
        row["seen"] = rank
        if row["epoch"] == 2 and not interrupted.times:
            interrupted.times += 1
            raise KeyboardInterrupt

    interrupted.times = 0
    norms.set_params(checkpoint=folder / f"of-{rank}", callbacks=interrupted)
    try:
        fitted(norms)
    except BaseException as error:
        found["broken off"] = f"{type(error).__name__}: {error}", *error.__notes__
    found["resumed"] = state(fitted(norms))

    def inner(row):
        fitted(VAE(4, encoder=hidden, max_epochs=1, random_state=0))
        return row["epoch"] == 2

    torch.manual_seed(rank)
    model = DANN(dropping((6,), 16), callbacks=inner, **options)
    found["any seed"] = state(fitted(model, y=Y, sample_domain=DOMAIN))
    found["seed"] = model.seed_
    far = DANN(hidden, random_state=0, learning_rate=1e30, **options)
    found["far"] = state(fitted(far, y=Y, sample_domain=DOMAIN))
    found["odd"] = refused(VAE(4, batch_size=15))
    found["other size"] = refused(VAE(4 + rank, random_state=0))
    found["other X"] = refused(VAE(4, batch_size=16, random_state=0), X=X[rank:])
    images = {"X": X[:, None, :, None].repeat(6, 3), "y": Y, "sample_domain": DOMAIN}
    for share in (0.0, 1e9):
        at = patch.dict(os.environ, XDG_CACHE_HOME=str(folder / f"{share}-{rank}"))
        timed = patch.multiple(precision, _has_instructions=lambda: rank == 0, QUICKER=share)
        with at, timed:
            for seed in range(2):
                model = DANN("conv", **options | {"max_epochs": 1, "random_state": seed})
                found[f"auto {share} {seed}"] = state(fitted(model, **images))
                found[f"precision {share} {seed}"] = model.precision_
                precision._decided.clear()
    if rank == 0:
        found["transformed"] = norms.transform(X)  # alone

    def dying(x):
        if rank == 1 and torch.is_grad_enabled() and len(x) == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(found))
    before = time.monotonic()
    found["left"] = refused(VAE(4, augment=dying, random_state=0, **options))
    found["after"] = time.monotonic() - before
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(found))


def main(folder):
    """Both processes, as torchrun would start them, but that they import once."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    os.environ |= {"WORLD_SIZE": str(WORLD), "LOCAL_WORLD_SIZE": str(WORLD)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.optim.SGD([torch.zeros(1)], 0.1)  # which imports much
    for rank in range(WORLD):
        if not os.fork():
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            try:
                work(rank, folder)
            except BaseException:
                (folder / f"{rank}.error").write_text(traceback.format_exc())
            os._exit(0)
    for _ in range(WORLD):
        os.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def ranks(folder):
    """What both have found."""
    here = str(Path(repkit.__file__).parents[1])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": here}
    with subprocess.Popen([sys.executable, __file__, str(folder)], env=environment) as process:
        try:
            process.wait(timeout=300)
        finally:
            process.kill()
    for error in folder.glob("*.error"):
        pytest.fail(error.read_text())
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(WORLD)]


def assert_same(one, other):
    (weights, history), (others, told) = one, other
    np.testing.assert_equal(told, history)
    for key, value in weights.items():
        np.testing.assert_array_equal(others[key], value, err_msg=key)


def test_two_processes_take_the_steps_of_one(ranks):
    for name, (model, given) in (cases() | speech()).items():
        assert_same(ranks[0][name], ranks[1][name])
        fit = fitted_speech if name in speech() else fitted
        weights, history = state(fit(model, **given))
        found, told = ranks[0][name]
        far = 1e-5 if name in speech() else 1e-6  # placing prototypes makes much of little
        for key, value in weights.items():
            np.testing.assert_allclose(found[key], value, far, far, err_msg=f"{name}: {key}")
        assert set(told) == set(history)
        for key, value in history.items():
            np.testing.assert_allclose(told[key], value, 1e-5, 1e-5, err_msg=f"{name}: {key}")


def test_speech_of_all_kinds_is_the_same_on_both(ranks):
    assert_same(*(found["all of speech"] for found in ranks))


def test_a_training_goes_on_from_a_checkpoint(ranks, folder):
    for found in ranks:
        (weights, history), (resumed, told) = found["whole"], found["resumed"]
        assert told.pop("seen")[:2] == [0, 0]  # callbacks are called on rank 0
        assert_same((weights, history), (resumed, told))
    assert_same(ranks[0]["whole"], ranks[1]["whole"])
    assert len(list(folder.glob("of-0/*/epoch-*.ckpt"))) == 2
    assert not (folder / "of-1").exists()


def test_what_ends_rank_0_ends_all(ranks):
    first, second = (found["broken off"] for found in ranks)
    assert first[0] == "KeyboardInterrupt: "
    assert second[0] == "RankError: rank 1 of 2 stops, as rank 0 did: KeyboardInterrupt: "
    assert "goes on from epoch 1" in first[1]
    assert "goes on from the last whole epoch" in second[1]


def test_decisions_and_seeds_are_those_of_rank_0(ranks):
    assert_same(*(found["any seed"] for found in ranks))
    assert ranks[0]["seed"] == ranks[1]["seed"]
    assert ranks[0]["any seed"][1]["stopped"][-1] is True
    assert len(ranks[0]["any seed"][1]["epoch"]) == 2


def test_the_precision_is_that_of_rank_0(ranks, folder):
    for share, expected in ((0.0, "fp32"), (1e9, "bf16")):
        for seed in range(2):
            assert [found[f"precision {share} {seed}"] for found in ranks] == [expected] * 2
            assert_same(*(found[f"auto {share} {seed}"] for found in ranks))
        assert len([*(folder / f"{share}-0").glob("repkit/bf16/*.json")]) == 1
        assert not (folder / f"{share}-1").exists()


def test_both_go_back_to_the_last_good_weights(ranks):
    assert_same(*(found["far"] for found in ranks))
    weights, history = ranks[0]["far"]
    assert np.isfinite(history["failed_step"][-1])
    assert all(np.isfinite(value).all() for value in weights.values())


def test_shares_of_each_part_of_a_batch():
    assert Ranks(1, 2).places([4, 2]).tolist() == [2, 3, 5]
    assert Ranks(2, 3).places([3, 6]).tolist() == [2, 7, 8]
    assert Ranks().places([3, 2]).tolist() == [0, 1, 2, 3, 4]


def test_a_batch_has_a_share_for_each(ranks):
    assert ranks[0]["odd"] == ranks[1]["odd"]
    assert ranks[0]["odd"] == (
        "ValueError: batch_size must give each of the 2 processes as many rows; one part of a "
        "step has 15, which 2 does not divide"
    )


def test_the_fits_of_all_must_be_one(ranks):
    for what, told in (("size", "set of weights"), ("X", "X")):
        first, second = (found[f"other {what}"] for found in ranks)
        assert first == second
        assert f"rank 1 of 2 has another {told} than rank 0" in first


def test_outside_training_a_process_is_alone(ranks):
    assert ranks[0]["transformed"].shape == (48, 4)


def test_no_process_waits_for_one_that_was_killed(ranks):
    assert ranks[0]["left"] == (
        "RankError: rank 0 of 2 stops: another process of this training has ended or does not "
        "answer; start all of them again"
    )
    assert ranks[0]["after"] < 10
    assert "left" not in ranks[1]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
