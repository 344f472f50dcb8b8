"""What the generative estimators have in common, for each of them."""

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn

from repkit import VAE, VAEGAN, BiGAN, Discriminator, InfoGAN, Optimizer, TripleGAN, load
from repkit.base.generative import judge_discriminator

# A few steps link no encoder and fill no code, and the estimators say so.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

COMMON = {
    "width": 32,
    "max_epochs": 3,
    "steps_per_epoch": 4,
    "batch_size": 16,
    "random_state": 0,
}
MODELS = {
    "BiGAN": BiGAN(latent_dim=6, **COMMON),
    "InfoGAN": InfoGAN((3,), 2, 5, **COMMON, recalibrate=False),
    "VAE": VAE(6, **COMMON),
    "VAEGAN": VAEGAN(6, **COMMON),
    "TripleGAN": TripleGAN(6, **{**COMMON, "batch_size": (32, 16)}),
}
WIDTHS = {"InfoGAN": 5, "TripleGAN": 32}  # of what transform gives; else 6
# The parameter that is the network which reads samples; else the encoder.
READERS = {"InfoGAN": "discriminator", "TripleGAN": "classifier"}


def only_with(parameter):
    """A test of the models that have this parameter."""
    names = [name for name, model in MODELS.items() if parameter in model.get_params()]
    return pytest.mark.parametrize("model", names, indirect=True)


@pytest.fixture(autouse=True)
def _labels(monkeypatch):
    """For the model that wants labels, where a test gives none: three classes, many without."""
    fit = TripleGAN.fit

    def with_labels(self, X, y=None):
        place = np.arange(len(X)) % 6
        return fit(self, X, np.where(place < 3, place, -1) if y is None else y)

    monkeypatch.setattr(TripleGAN, "fit", with_labels)


@pytest.fixture(scope="module")
def digits():
    return (load_digits().images[:300] / 16).astype(np.float32)


@pytest.fixture(params=MODELS)
def model(request):
    return clone(MODELS[request.param])


def width(model):
    return WIDTHS.get(type(model).__name__, 6)


def reader(model):
    return READERS.get(type(model).__name__, "encoder")


def weights(model):
    return {
        f"{name}.{key}": value
        for name, network in model.networks_.items()
        for key, value in network.state_dict().items()
    }


def same(a, b):
    a, b = weights(a), weights(b)
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


# -------------------------------------------------------------------- data of every kind


SHAPES = [(300, 64), (300, 8, 8), (300, 1, 8, 8), (300, 8, 4, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shapes_and_types(model, digits, shape, dtype):
    X = digits.reshape(shape).astype(dtype)
    model.set_params(max_epochs=1).fit(X)
    codes = model.transform(X)
    assert codes.shape == (300, width(model))
    assert codes.dtype == dtype
    samples = model.sample(7, random_state=0)
    assert samples.shape == (7, *shape[1:])
    assert samples.dtype == dtype
    assert 0 <= samples.min() < samples.max() <= 1


@pytest.mark.parametrize("shape", [(28, 28), (3, 20, 13), (1, 32, 32), (1, 13, 30)], ids=str)
def test_convolutions_for_images(model, shape):
    X = np.random.default_rng(0).random((40, *shape), dtype=np.float32)
    model.set_params(max_epochs=1, steps_per_epoch=1).fit(X)
    assert any(isinstance(m, nn.Conv2d) for n in model.networks_.values() for m in n.modules())
    assert model.sample(2).shape == (2, *shape)
    assert model.transform(X).shape == (40, width(model))


def test_uint8_images_are_scaled(model, digits):
    X = np.rint(digits * 255).astype(np.uint8)
    from_bytes = clone(model).fit(X)
    from_floats = clone(model).fit(X.astype(np.float32) / 255)
    np.testing.assert_allclose(
        from_bytes.transform(X), from_floats.transform(X.astype(np.float32) / 255), atol=1e-5
    )
    samples = from_bytes.sample(5, random_state=0)
    assert samples.dtype == np.uint8
    np.testing.assert_array_equal(
        samples, np.rint(255 * from_floats.sample(5, random_state=0)).astype(np.uint8)
    )


def test_memory_maps_tensors_and_frames(model, digits, tmp_path):
    flat = digits.reshape(300, 64)
    model.set_params(max_epochs=1)
    expected = clone(model).fit(flat).transform(flat)
    path = tmp_path / "x.npy"
    np.save(path, flat)
    kinds = [
        np.load(path, mmap_mode="r"),
        torch.from_numpy(flat),
        pd.DataFrame(flat, columns=[f"p{k}" for k in range(64)]),
    ]
    for X in kinds:
        np.testing.assert_array_equal(clone(model).fit(X).transform(X), expected)


def test_tables_are_scaled_column_by_column_and_back(model):
    rng = np.random.default_rng(0)
    X = np.c_[rng.normal(50, 10, 200), rng.random(200) * 1e-3, np.full(200, 7.0)]
    model.fit(X)
    samples = model.sample(50, random_state=0)
    assert (samples >= X.min(0) - 1e-9).all()
    assert (samples <= X.max(0) + 1).all()
    # A change of unit changes nothing that the networks see.
    other = X * [2.0, 1024.0, 4.0]
    scaled = clone(model).fit(other)
    np.testing.assert_allclose(scaled.transform(other), model.transform(X), atol=1e-4)


def test_data_range(model, digits):
    X = digits.reshape(300, 64) * 256
    ranged = clone(model).set_params(data_range=(0, 256)).fit(X)
    plain = clone(model).fit(X / 256)
    np.testing.assert_allclose(ranged.transform(X), plain.transform(X / 256), atol=1e-4)
    for wrong in ((0, 100), (5, 5), 3, ("a", "b")):
        with pytest.raises(ValueError, match="data_range"):
            clone(model).set_params(data_range=wrong).fit(X)


@only_with("validation_fraction")
def test_held_back_rows_are_not_trained_on(model):
    for n, held in ((100, 20), (9, 9), (10**5, 1000)):
        train, apart = model._split(n, 0, 0.2)
        assert len(apart) == held
        if held == n:  # too few to hold any back
            np.testing.assert_array_equal(train, np.arange(n))
        else:
            np.testing.assert_array_equal(np.sort(np.r_[train, apart]), np.arange(n))


def test_a_row_is_the_same_alone_and_in_a_batch(model, digits):
    model.fit(digits)
    whole = model.transform(digits)
    np.testing.assert_allclose(model.transform(digits[5:6]), whole[5:6], atol=1e-6)


# -------------------------------------------------------------------- training


def test_every_network_moves(model, digits):
    still = clone(model).set_params(max_epochs=1, steps_per_epoch=1, learning_rate=0.0)
    before, after = still.fit(digits), clone(model).fit(digits)
    for name, network in after.networks_.items():
        old = dict(before.networks_[name].named_parameters())
        for key, value in network.named_parameters():
            assert not torch.equal(value, old[key]), f"{name}.{key}"


def test_seeds(model, digits):
    first = clone(model).fit(digits)
    assert same(first, clone(model).fit(digits))
    assert not same(first, clone(model).set_params(random_state=1).fit(digits))
    a, b = first.sample(3, random_state=5), first.sample(3, random_state=5)
    np.testing.assert_array_equal(a, b)
    assert (first.sample(3, random_state=6) != a).any()
    assert (first.sample(3) != first.sample(3)).any()


def test_the_callers_random_state_is_left_alone(model, digits):
    np.random.seed(3)
    torch.manual_seed(3)
    expected = np.random.random(), torch.rand(1)
    np.random.seed(3)
    torch.manual_seed(3)
    model.fit(digits).sample(2)
    assert np.random.random() == expected[0]
    assert torch.equal(torch.rand(1), expected[1])


def test_a_killed_fit_with_averaged_weights_goes_on_bit_for_bit(model, digits, tmp_path):
    """Without averages, and killed by the system: test_interrupted."""

    class Killed(BaseException):
        """An ordinary error of a callback does not end a fit."""

    def kill(row):
        if row["epoch"] == 2:
            raise Killed

    model.set_params(ema=0.9)
    if "recalibrate" in model.get_params():
        model.set_params(recalibrate=True)
    broken = clone(model).set_params(checkpoint=tmp_path / "run", callbacks=[kill])
    with pytest.raises(Killed):
        broken.fit(digits)
    resumed = clone(model).set_params(checkpoint=tmp_path / "run").fit(digits)
    assert list(resumed.history_["epoch"]) == [1, 2, 3]
    assert same(resumed, clone(model).fit(digits))
    other = clone(model).set_params(checkpoint=tmp_path / "run").fit(digits[:200])
    assert same(other, clone(model).fit(digits[:200]))


def test_warm_start(model, digits):
    if "recalibrate" in model.get_params():
        model.set_params(recalibrate=False)
    model.set_params(warm_start=True).fit(digits)
    before = {k: v.clone() for k, v in weights(model).items()}
    model.set_params(learning_rate=0.0).fit(digits)
    for name, network in model.networks_.items():
        for key, value in network.named_parameters():
            assert torch.equal(value, before[f"{name}.{key}"])
    with pytest.raises(ValueError, match="warm_start=True needs data of the same shape"):
        model.fit(digits[:, :6])


def test_averaged_weights_are_the_ones_used(model, digits):
    plain = clone(model).fit(digits)
    averaged = clone(model).set_params(ema=0.2).fit(digits)
    assert not same(plain, averaged)
    last = averaged.weights_["last"]
    for name, network in averaged.networks_.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, last[name][key])


def test_a_diverging_fit_keeps_good_weights(model, digits):
    model.set_params(learning_rate_schedule=lambda progress: 1.0 if progress < 0.5 else np.inf)
    with pytest.warns(ConvergenceWarning, match="training stopped at step"):
        model.fit(digits)
    assert np.isfinite(model.transform(digits)).all()
    assert model.history_["failed_step"].iloc[-1] == 6
    assert model.n_iter_ == 1


def test_a_discriminator_that_has_won_is_told():
    history = pd.DataFrame({"epoch": range(8), "d_real": 1.0, "d_fake": 0.0})
    with pytest.warns(ConvergenceWarning, match="the discriminator has won"):
        judge_discriminator(history)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge_discriminator(history.head(3))
        judge_discriminator(history.assign(failed_step=np.nan))
        for column, value in (("d_real", 0.9), ("d_fake", 0.1)):
            judge_discriminator(history.assign(**{column: value}))


def test_callbacks_and_early_stop(model, digits):
    seen = []
    model.set_params(callbacks=[seen.append, lambda row: row["epoch"] == 2]).fit(digits)
    assert [row["epoch"] for row in seen] == [1, 2]
    assert model.n_iter_ == 2


def test_bf16_agrees_with_fp32(model):
    model.set_params(learning_rate=1e-4, max_epochs=1)
    X = np.random.default_rng(0).random((40, 16, 16), dtype=np.float32)
    full = clone(model).set_params(precision="fp32").fit(X).transform(X)
    half = clone(model).set_params(precision="bf16").fit(X).transform(X)
    assert 0 < np.abs(full - half).max() < 0.3


# -------------------------------------------------------------------- around it


@pytest.mark.parametrize("through", ["pickle", "joblib", "file"])
def test_copies_do_the_same(model, digits, tmp_path, through):
    X = np.rint(digits * 200 + 9)
    model.set_params(ema=0.5).fit(X)
    if through == "pickle":
        copy = pickle.loads(pickle.dumps(model))
    elif through == "joblib":
        joblib.dump(model, tmp_path / "m")
        copy = joblib.load(tmp_path / "m")
    else:
        model.save(tmp_path / "m.safetensors")
        copy = load(tmp_path / "m.safetensors")
        assert repr(copy.get_params()) == repr(model.get_params())
        assert copy.history_.to_dict() == model.history_.to_dict()
    np.testing.assert_array_equal(copy.transform(X), model.transform(X))
    np.testing.assert_array_equal(copy.sample(4, random_state=0), model.sample(4, random_state=0))


def test_networks_of_the_users_own(model, digits):
    def body(shape_in, width):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.BatchNorm1d(20), nn.ReLU())

    def generator(latent_dim, shape_out):
        assert shape_out == (8, 8)
        return nn.Sequential(nn.Linear(latent_dim, 40), nn.ReLU(), nn.Linear(40, 64))

    name = reader(model)
    own = clone(model).set_params(generator=generator, **{name: body}).fit(digits)
    assert own.sample(3).shape == (3, 8, 8)
    given = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU())
    before = given[1].weight.clone()
    clone(model).set_params(**{name: given}).fit(digits)
    assert torch.equal(given[1].weight, before)
    for options, message in (
        ({"generator": lambda z, s: nn.Linear(z, 63)}, "generator must give samples of shape"),
        ({"generator": "resnet"}, "generator='resnet' is not known"),
        ({name: nn.Linear(3, 4)}, f"{name} does not take samples"),
        ({name: "dense"}, f"{name}='dense' is not known"),
        ({name: 3}, f"{name} must be a string"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            clone(model).set_params(**options).fit(digits)


@pytest.mark.parametrize("network", ["conv", "dcgan"])
def test_convolutions_take_images(model, network):
    table = np.random.default_rng(0).random((20, 5))
    with pytest.raises(ValueError, match=r"images .*of at least 4x4"):
        clone(model).set_params(**{reader(model): network}).fit(table)
    with pytest.raises(ValueError, match="generator='conv' is not known"):
        clone(model).set_params(generator="conv").fit(table)
    with pytest.raises(ValueError, match="images of at least 4x4"):
        clone(model).set_params(generator="dcgan").fit(table)


@pytest.mark.parametrize("network", ["mlp", "conv", "dcgan"])
def test_networks_by_name(model, digits, network):
    model.set_params(**{reader(model): network}, generator="mlp").fit(digits)
    read = next(m for name, m in model.networks_.items() if name != "G")
    kernels = {m.kernel_size for m in read.modules() if isinstance(m, nn.Conv2d)}
    assert kernels == {"mlp": set(), "conv": {(3, 3)}, "dcgan": {(4, 4)}}[network]


def test_in_a_pipeline_and_a_grid_search(model, digits):
    X, y = digits.reshape(300, 64), load_digits().target[:300]
    pipeline = make_pipeline(model, LogisticRegression(max_iter=50))
    name = type(model).__name__.lower()
    grid = {f"{name}__max_epochs": [1, 2], f"{name}__optimizer__weight_decay": [0.0, 0.1]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, y)
    assert search.predict(X).shape == (300,)


def test_pandas_output(model, digits):
    model.set_output(transform="pandas")
    frame = model.fit(digits.reshape(300, 64)).transform(digits.reshape(300, 64))
    assert list(frame.columns) == list(model.get_feature_names_out())
    assert frame.shape == (300, width(model))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be"),
        ({"batch_size": "many"}, "batch_size must be"),
        ({"width": 0}, "width must be an integer of at least 1, not 0"),
        ({"max_epochs": 0}, "max_epochs must be an integer of at least 1, not 0"),
        ({"learning_rate": -1.0}, "learning_rate must be a number of at least 0, not -1.0"),
        ({"optimizer": "lion"}, "optimizer must be 'adam', 'sgd' or a callable"),
        (
            {"optimizer": Optimizer(momentum=1.0)},
            "optimizer__momentum must be a number of at least 0 and at most 0.999, not 1.0",
        ),
        ({"ema": 2}, "ema must be a number .* and at most 0.999999, not 2"),
        ({"learning_rate_schedule": "step"}, "learning_rate_schedule must be one of"),
        ({"device": "gpu0"}, "device must be 'auto', 'cpu' or another .* not 'gpu0'"),
        ({"precision": "fp8"}, r"precision must be one of \['auto', 'fp32', 'bf16'\], not 'fp8'"),
        ({"random_state": -1}, "random_state must be an integer from 0"),
        ({"data_range": (1, 0)}, "data_range must have finite low < high"),
    ],
    ids=str,
)
def test_bad_parameters(model, digits, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        model.set_params(**options).fit(digits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_fraction": 0.95}, "validation_fraction must be a number of at least 0"),
        ({"recalibrate": "yes"}, "recalibrate must be one of"),
    ],
    ids=str,
)
@only_with("validation_fraction")
def test_bad_parameters_of_some(model, digits, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        model.set_params(**options).fit(digits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "wasserstein"}, "discriminator__loss must be one of"),
        ({"r1": -1}, "discriminator__r1 must be a number of at least 0, not -1"),
    ],
    ids=str,
)
@pytest.mark.parametrize("model", ["BiGAN", "InfoGAN", "VAEGAN"], indirect=True)
def test_bad_discriminators(model, digits, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        model.set_params(discriminator=Discriminator(**options)).fit(digits)


def test_bad_data(model, digits):
    bad = digits.copy()
    bad[3, 2, 2] = np.nan
    for X, message in (
        (bad, "NaN"),
        (digits[:1], "minimum of 2"),
        (digits[:0], "minimum of 2|0 sample|empty dimension"),
        (np.zeros((3, 1, 2, 3, 4)), "X has 5 dimensions"),
    ):
        with pytest.raises(ValueError, match=message):
            clone(model).fit(X)
    model.fit(digits)
    with pytest.raises(ValueError, match=r"samples of shape \(8, 7\)"):
        model.transform(digits[:, :, :7])
    for n in (0, 1.5, -1):
        with pytest.raises((TypeError, ValueError), match="n must be an integer of at least 1"):
            model.sample(n)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu(model, digits):
    on_gpu = clone(model).set_params(device="cuda", precision="fp32").fit(digits)
    assert on_gpu.device_.type == "cuda"
    assert on_gpu.sample(3).shape == (3, 8, 8)
    copy = pickle.loads(pickle.dumps(on_gpu))
    np.testing.assert_allclose(copy.transform(digits), on_gpu.transform(digits), atol=1e-3)
