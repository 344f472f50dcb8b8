"""Two processes that train together take the steps of one, and end together."""

import os
import pickle
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from repkit import DANN, VAE, VAEGAN, BiGAN, DANNRegressor, InfoGAN, TripleGAN

WORLD = 2
X = np.random.default_rng(0).random((48, 6)).astype(np.float32)
Y = (X[:, 0] > 0.5).astype(int) + (X[:, 1] > 0.5)
DOMAIN = np.array([0, 1, -1, -2]).repeat(12)
FEW = np.where(np.arange(48) < 20, Y, -1)


def hidden(shape_in, width):
    return nn.Sequential(nn.Linear(6, width), nn.Tanh())


def generator(dim_in, shape_out):
    return nn.Sequential(nn.Linear(dim_in, 16), nn.Tanh(), nn.Linear(16, 6))


def cases():
    """Estimators of networks without batch norm, by name, and what `fit` is given."""
    own = {"width": 16, "max_epochs": 2, "random_state": 0, "learning_rate": 1e-2}
    gan = own | {"latent_dim": 4, "batch_size": 16, "generator": generator, "ema": 0.9}
    of = {"backbone": hidden, "batch_size": 16, "select": None} | own
    labels = {"y": Y, "sample_domain": DOMAIN}
    numbers = {"y": X[:, :2], "sample_domain": DOMAIN}
    return {
        "VAE": (VAE(encoder=hidden, **gan), {}),
        "BiGAN": (BiGAN(encoder=hidden, data_cycle=1.0, latent_cycle=1.0, **gan), {}),
        "DANN": (DANN(ema=0.9, **of), labels),
    }


def fitted(name, **options):
    model, given = cases()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.set_params(**options).fit(X, **given)


def state(model):
    weights = {
        f"{name}.{key}": value.numpy()
        for name, network in model.networks_.items()
        for key, value in network.state_dict().items()
    }
    return weights, model.history_.drop(columns="seconds")


def work(folder):
    """What each of the processes does."""
    torch.set_num_threads(1)
    found = {name: state(fitted(name)) for name in cases()}
    (folder / f"{os.environ['RANK']}.pickle").write_bytes(pickle.dumps(found))


def started(folder, *arguments):
    """Both processes, as torchrun starts them."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    environment = os.environ | {
        "WORLD_SIZE": str(WORLD),
        "LOCAL_WORLD_SIZE": str(WORLD),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    return [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), *arguments],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(WORLD)
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the ranks have found."""
    folder = tmp_path_factory.mktemp("ranks")
    for process in started(folder):
        out, error = process.communicate(timeout=100)
        assert process.returncode == 0, error
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(WORLD)]


@pytest.mark.parametrize("name", cases())
def test_two_processes_take_the_steps_of_one(results, name):
    weights, history = state(fitted(name))
    ours, told = results[0][name]
    for key, value in weights.items():
        np.testing.assert_allclose(ours[key], value, atol=1e-6, err_msg=key)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
