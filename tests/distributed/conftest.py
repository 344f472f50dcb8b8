import os
import signal

import numpy as np
import pandas as pd
import pytest

import repkit

COLUMNS = [f"x{k}" for k in range(5)]
SMALL = {"max_epochs": 1, "steps_per_epoch": 1, "width": 8, "device": "cpu", "random_state": 0}


@pytest.fixture(scope="module")
def table():
    """Three hundred rows and a column that names them."""
    values = np.random.default_rng(0).random((300, 5), dtype=np.float32)
    return pd.DataFrame(values, columns=COLUMNS).assign(id=np.arange(300))


@pytest.fixture(scope="module")
def model(table):
    return repkit.VAE(latent_dim=2, **SMALL).fit(table[COLUMNS])


@pytest.fixture
def mortal(model, tmp_path):
    """The same estimator, and a file: the first worker that comes to a batch is killed there."""
    mark = tmp_path / "killed"

    class Mortal(type(model)):
        def transform(self, X):
            if len(X) > 1 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().transform(X)

    own = Mortal(**model.get_params(deep=False))
    own.__dict__.update(model.__dict__)
    return own, mark
