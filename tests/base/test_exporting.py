"""What is exported gives what the estimator gives, without repkit."""

import json

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from repkit import DANN, VAE, BiGAN
from repkit.base.exporting import Scaling

from .small import models

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # What torch 2.6 says of a file that it opens.
    pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node"),
    pytest.mark.filterwarnings("ignore:Node .* does not reference an nn.Module"),
]

COMMON = {"width": 12, "max_epochs": 1, "steps_per_epoch": 2, "random_state": 0, "device": "cpu"}
RNG = np.random.default_rng(1)
TABLE = RNG.random((70, 4)).astype(np.float32)
NAMES = sorted(set(models({})) - {"SpeechAutoencoder"})  # whose tests are in tests/speech
CASES = [(name, "transform") for name in NAMES]
CASES += [("DANN", "predict_proba"), ("TripleGAN", "predict_proba"), ("DANNRegressor", "predict")]


@pytest.fixture(scope="module")
def fitted():
    made = models(COMMON, InfoGAN={"discriminator_norm": "spectral"})
    return {name: made[name][0].fit(*made[name][1]) for name in NAMES}


def opened(path, name="x"):
    """A program of a file as a function of arrays, and what is told beside it."""
    if path.suffix == ".pt2":
        told = {"repkit": ""}
        run = torch.export.load(path, extra_files=told).module()

        def program(*arrays):
            with torch.no_grad():
                return run(*map(torch.from_numpy, arrays)).numpy()

        return program, json.loads(told["repkit"])
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    assert [given.shape[0] for given in session.get_inputs()] == ["batch"] * len(names)
    told = {p.key: p.value for p in onnx.load(path).metadata_props}["repkit"]
    return (
        lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))[0],
        json.loads(told),
    )


def far(program, method, X):
    """How far a program is from a method, for several rows and for one."""
    found = [np.abs(program(x) - method(x)).max() for x in (X, X[:1])]
    assert program(X).shape == method(X).shape
    return max(found)


@pytest.mark.parametrize(("name", "method"), CASES)
def test_a_program_gives_what_the_method_gives(fitted, tmp_path, name, method):
    model = fitted[name]
    model.export(tmp_path / "m.pt2", method=method)
    program, told = opened(tmp_path / "m.pt2")
    assert far(program, getattr(model, method), TABLE) < 1e-5
    assert (told["class"], told["method"]) == (name, method)
    if method == "predict_proba":
        assert told["classes"] == [0, 1]
    if method == "transform":
        assert told["columns"] == model.get_feature_names_out().tolist()


@pytest.mark.parametrize("name", NAMES)
def test_onnx_gives_what_the_method_gives(fitted, tmp_path, name):
    pytest.importorskip("onnxscript")
    model = fitted[name]
    model.export(tmp_path / "m.onnx")  # by default, the classifier of those that have one
    program, told = opened(tmp_path / "m.onnx")
    assert far(program, getattr(model, told["method"]), TABLE) < 1e-4
    assert told["method"] == dict(CASES[len(NAMES) :]).get(name, "transform")


# ---------------------------------------------------------------- what the input is


@pytest.mark.parametrize("shape", [(14, 12), (3, 13, 12)])
def test_bytes_of_images_are_taken_as_they_are(tmp_path, shape):
    X = RNG.integers(0, 256, (24, *shape)).astype(np.uint8)
    for model in (VAE(2, **COMMON).fit(X), BiGAN(2, output="hidden", **COMMON).fit(X)):
        model.export(tmp_path / "m.pt2")
        assert far(opened(tmp_path / "m.pt2")[0], model.transform, X) < 1e-5
    model.export(tmp_path / "f.pt2", dtype="float32")
    unit = (X / 255).astype(np.float32)
    assert far(opened(tmp_path / "f.pt2")[0], model.transform, unit) < 1e-5


def test_floats_of_images_and_their_bytes(tmp_path):
    X = RNG.random((24, 6, 5))
    for given, data_range in ((X, None), (X, (-1.0, 2.0)), (X * 300 - 20, None)):
        model = VAE(2, data_range=data_range, **COMMON).fit(given)
        model.export(tmp_path / "m.pt2")
        assert far(opened(tmp_path / "m.pt2")[0], model.transform, given) < 1e-5
        model.export(tmp_path / "b.pt2", dtype="uint8")
        seen = np.rint(255 * X).astype(np.uint8)
        assert far(opened(tmp_path / "b.pt2")[0], model.transform, seen) < 1e-5


def test_a_great_offset_is_taken_out_exactly(tmp_path):
    X = RNG.random((24, 3)) + np.array([1e6, -1e4, 0])
    model = VAE(2, **COMMON).fit(X)
    for dtype in ("float32", "float64"):
        model.export(tmp_path / "m.pt2", dtype=dtype)
        assert far(opened(tmp_path / "m.pt2")[0], model.transform, X.astype(dtype)) < 1e-4
    low, factor = np.array([16777217.0, 0.5]), np.array([2.0, 1.0])
    x = np.array([[16777220.0, 1.0]], np.float32)
    found = Scaling(low, factor)(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(found, [[6.0, 0.5]])


def test_domains_have_their_own_statistics(tmp_path):
    X = RNG.integers(0, 256, (30, 1, 12, 12)).astype(np.uint8)
    X[20:] //= 3
    domain = np.repeat([1, 2, -1], 10)
    model = DANN(domain_norm="separate", ema=0.5, **COMMON).fit(X, np.arange(30) % 3, domain)
    for given, rows in ((None, [-1]), (2, [2])):
        model.export(tmp_path / "m.pt2", sample_domain=given)
        program, _ = opened(tmp_path / "m.pt2")
        assert far(program, lambda x, d=rows: model.predict_proba(x, d * len(x)), X) < 1e-5
    assert np.abs(model.predict_proba(X) - model.predict_proba(X, [2] * 30)).max() > 3e-4
    with pytest.raises(ValueError, match=r"sample_domain must be one of \[1, 2, -1\], not \[1, 2"):
        model.export(tmp_path / "n.pt2", sample_domain=[1, 2])
    with pytest.raises(ValueError, match=r"sample_domain has \[7\], not seen in fit"):
        model.export(tmp_path / "n.pt2", sample_domain=7)
    assert not (tmp_path / "n.pt2").exists()


# ---------------------------------------------------------------- what stays as it was


def test_the_model_is_left_alone(fitted, tmp_path):
    """Those with spectral normalization share classes with their copies."""
    model = fitted["InfoGAN"]
    before, networks = model.transform(TABLE), dict(model.networks_)
    model.export(tmp_path / "m.pt2")
    assert model.networks_ == networks
    assert all(p.requires_grad for p in model.networks_["B"].parameters())
    np.testing.assert_array_equal(model.transform(TABLE), before)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.pt2"]


# ---------------------------------------------------------------- refusals


class Branching(nn.Linear):
    """Which asks for the numbers of its input."""

    def forward(self, x):
        return super().forward(x if float(x.detach().sum()) > 0 else -x)


class Counting(nn.Linear):
    """Which takes the size of the batch of the trace for a constant of its own."""

    def forward(self, x):
        return super().forward(x) * int(x.shape[0])


@pytest.mark.parametrize("network", [Branching, Counting])
def test_a_network_that_is_no_graph_is_refused(tmp_path, network):
    model = VAE(2, encoder=network(4, 6), **COMMON).fit(TABLE)
    with pytest.raises(ValueError, match=r"^this VAE cannot be exported as pt2: [^\n]+$"):
        model.export(tmp_path / "m.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ({"path": "m.pth"}, ValueError, "path must end in .pt2 or .onnx, or format be given; not"),
        ({"path": "no/m.pt2"}, FileNotFoundError, "path must be a file in a folder that exists"),
        ({"path": "."}, ValueError, "path must end in"),
        ({"path": 3}, TypeError, "path must be the path of a file, not 3"),
        ({"format": "tf"}, ValueError, r"format must be one of \['pt2', 'onnx'\], not 'tf'"),
        ({"method": "sample"}, ValueError, r"method must be one of \['transform'\], not 'sample'"),
        ({"dtype": "int8"}, ValueError, r"dtype must be one of \['uint8', 'float32', 'float64'\]"),
    ],
)
def test_bad_arguments(fitted, tmp_path, monkeypatch, how, error, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says):
        fitted["VAE"].export(**{"path": "m.pt2", **how})
    assert list(tmp_path.iterdir()) == []


def test_only_a_fitted_model_is_exported(tmp_path):
    with pytest.raises(NotFittedError):
        VAE().export(tmp_path / "m.pt2")


def test_without_onnx_the_error_names_the_extra(fitted, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r"^ONNX needs onnx: .* 'repkit\[onnx\]'$"):
        fitted["VAE"].export(tmp_path / "m.bin", format="onnx")
