"""All estimators on small data, for tests of what holds for each of them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from repkit import DANN, VAE, VAEGAN, BiGAN, DANNRegressor, InfoGAN, SpeechAutoencoder, TripleGAN
from repkit.datasets import make_speech

N = 24
X = np.random.default_rng(0).random((N, 4)).astype(np.float32)
Y, DOMAIN = np.arange(N) % 2, np.where(np.arange(N) < 12, 1, -1)
SPEECH = make_speech(2, 4, 3, random_state=0)


def models(common, **own):
    """Every estimator by name, and what it is fitted on.

    ``common`` are parameters of all, ``own`` those of one: ``DANN={"ema": 0.9}``.
    """
    table, speech = (X,), (SPEECH.data, SPEECH.speaker)
    listed = {
        "DANN": (DANN("mlp", **common), (X, Y, DOMAIN)),
        "DANNRegressor": (DANNRegressor("mlp", **common), (X, X[:, 0], DOMAIN)),
        "TripleGAN": (TripleGAN(2, **common), (X, Y)),
        "VAE": (VAE(2, **common), table),
        "BiGAN": (BiGAN(2, **common), table),
        "VAEGAN": (VAEGAN(2, **common), table),
        "InfoGAN": (InfoGAN((3,), 1, 2, **common), table),
        "SpeechAutoencoder": (
            SpeechAutoencoder(4, 4, sample_rate=8000, n_mels=20, prototypes=(3,), **common),
            speech,
        ),
    }
    for name, params in own.items():
        listed[name][0].set_params(**params)
    return listed


def run_alone(code, *arguments):
    """Run code in a process of its own, with one thread; give what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
