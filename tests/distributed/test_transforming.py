"""What is refused before anything is computed."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import repkit
from repkit.distributed import transform


class Dataset:
    """As one of Ray's, which maps nothing."""

    __module__ = "ray.data.dataset"

    def map_batches(self, *args, **options):
        raise AssertionError("it must not be asked")


class Array(Dataset):
    """As one of Dask's."""

    __module__ = "dask.array.core"
    map_blocks = Dataset.map_batches


@pytest.fixture(scope="module")
def vae():
    X = np.random.default_rng(0).random((8, 3), dtype=np.float32)
    return repkit.VAE(
        latent_dim=2, max_epochs=1, steps_per_epoch=1, width=8, device="cpu", random_state=0
    ).fit(X)


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"data": np.zeros((2, 3))}, TypeError, r"data must be a ray\.data\.Dataset, .* array"),
        ({"model": repkit.VAE()}, NotFittedError, "not fitted"),
        ({"model": 3}, TypeError, "model must be a fitted estimator of repkit, .* not 3"),
        ({"model": "none.safetensors"}, FileNotFoundError, "none.safetensors"),
        ({"method": "fit"}, ValueError, r"method must be .*'predict_proba'.*, not 'fit'"),
        ({"method": "predict"}, ValueError, r"method must be one of \['transform'\] for a VAE"),
        ({"on_error": "ignore"}, ValueError, "on_error must be .* not 'ignore'"),
        ({"batch_size": 0}, ValueError, "batch_size must be .* not 0"),
        ({"workers": 0}, ValueError, "workers must be .* not 0"),
        ({"device": 3}, TypeError, "device must be a name, .* not 3"),
        ({"data": Array(), "workers": 2}, TypeError, "workers is an option of Ray"),
        ({"data": Array(), "num_gpus": 1}, TypeError, "num_gpus is an option of Ray"),
    ],
)
def test_refused(vae, changed, kind, message):
    given = {"data": Dataset(), "model": vae, **changed}
    with pytest.raises(kind, match=message):
        transform(given.pop("data"), given.pop("model"), **given)
