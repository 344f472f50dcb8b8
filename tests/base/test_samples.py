"""What holds the samples does not decide what their numbers mean, in `fit` or after."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from scipy import sparse
from sklearn.base import clone

from repkit import DANN, VAE, VAEGAN, BiGAN, InfoGAN, TripleGAN
from repkit.base import applying
from repkit.base.samples import as_samples, check_layout, extremes, pixels_of, with_meaning
from repkit.dann import Entropy, Selection
from repkit.engine import batches
from repkit.metrics import EntropyScorer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 24
RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (N, 6, 6), dtype=np.uint8)
BYTES[0, 0, :2] = 0, 255
TABLE = RNG.random((N, 5)).astype(np.float32)
TABLE[:, 1] *= TABLE[:, 0] > 0.5  # some zeros, for sparse tables
Y = np.arange(N) % 3

COMMON = {"width": 8, "max_epochs": 1, "steps_per_epoch": 1, "random_state": 0}
MODELS = {
    "DANN": DANN("mlp", **COMMON),
    "TripleGAN": TripleGAN(2, generator=None, **COMMON, batch_size=(6, 12)),
    "VAE": VAE(2, **COMMON),
    "BiGAN": BiGAN(2, **COMMON),
    "InfoGAN": InfoGAN((3,), 1, 2, **COMMON, recalibrate=False),
    "VAEGAN": VAEGAN(2, **COMMON),
}
GENERATIVE = [name for name in MODELS if name not in ("DANN", "TripleGAN")]
FEW = ["DANN", "TripleGAN", "VAE"]  # one of each way to read samples


def with_kinds(kinds, few):
    """Every kind with a few classes, and a few kinds with every class."""
    pairs = [(name, kind) for kind in kinds for name in (MODELS if kind in few else FEW)]
    return pytest.mark.parametrize(("model", "kind"), pairs, indirect=["model"])


@pytest.fixture(params=MODELS)
def model(request):
    return clone(MODELS[request.param])


def only(*names):
    return pytest.mark.parametrize("model", names, indirect=True)


def fitted(model, X):
    return clone(model).fit(X, Y) if hasattr(model, "predict_proba") else clone(model).fit(X)


def outputs(model, X):
    """All that the model says of samples, one array after the other."""
    uses = ("transform", "predict_proba", "reconstruct", "score_samples")
    return [getattr(model, use)(X) for use in uses if hasattr(model, use)]


def assert_same(model, given, wanted, X, **close):
    """``given`` means ``X``: in fit, and after a fit of ``X``, whose outputs are ``wanted``."""
    reference, known = wanted
    for found in (outputs(fitted(model, given), X), outputs(reference, given)):
        assert len(found) == len(known)
        for a, b in zip(found, known, strict=True):
            np.testing.assert_allclose(a, b, **(close or {"rtol": 0, "atol": 0}))


REFERENCES: dict = {}


def reference(model, X, key):
    """The model fitted on the plain array, once for all tests of a class."""
    key = type(model).__name__, key
    if key not in REFERENCES:
        of_array = fitted(model, X)
        REFERENCES[key] = of_array, outputs(of_array, X)
    return REFERENCES[key]


def of_objects(samples):
    out = np.empty(len(samples), dtype=object)
    for k, sample in enumerate(samples):
        out[k] = sample
    return out


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def mapped(X, folder):
    path = folder / "x.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


# -------------------------------------------------------------------- images of bytes

IMAGES = {
    "list of arrays": lambda X: list(X),
    "tuple of arrays": lambda X: tuple(X),
    "object array": of_objects,
    "tensor": lambda X: torch.tensor(X),
    "list of tensors": lambda X: [torch.tensor(x) for x in X],
    "object array of tensors": lambda X: of_objects([torch.tensor(x) for x in X]),
    "Fortran order": np.asfortranarray,
    "negative strides": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "every other": lambda X: np.repeat(X, 2, axis=2)[:, :, ::2],
    "read-only": read_only,
    "big endian floats": lambda X: (X / 255).astype(">f8"),
    "unit floats": lambda X: X / 255,
    "list of unit float32": lambda X: list((X / 255).astype(np.float32)),
}


@with_kinds(IMAGES, ["list of arrays", "list of tensors", "Fortran order"])
def test_images_in_any_container(model, kind):
    close = {"atol": 2e-3, "rtol": 2e-3} if "float" in kind else {}
    if close:  # in fit they are other numbers by a rounding, which a generator's type shows
        of_bytes, known = reference(model, BYTES, "bytes")
        for a, b in zip(outputs(of_bytes, IMAGES[kind](BYTES)), known, strict=True):
            np.testing.assert_allclose(
                a.astype(float), b, rtol=1e-5, atol=1.0 if b.max() > 9 else 1e-5
            )
        return
    assert_same(model, IMAGES[kind](BYTES), reference(model, BYTES, "bytes"), BYTES)


def test_memory_maps_of_images(model, tmp_path):
    assert_same(model, mapped(BYTES, tmp_path), reference(model, BYTES, "bytes"), BYTES)


@only(*FEW)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_images_of_pil(model, mode):
    pil = pytest.importorskip("PIL.Image")
    X = BYTES if mode == "L" else RNG.integers(0, 256, (N, 3, 6, 6), dtype=np.uint8)
    given = [pil.fromarray(x if mode == "L" else x.transpose(1, 2, 0)) for x in X]
    assert_same(model, given, reference(model, X, mode), X)
    of_array = reference(model, X, mode)[0]
    np.testing.assert_array_equal(of_array.transform(of_objects(given)), of_array.transform(X))


@only(*FEW)
@pytest.mark.parametrize("mode", ["RGBA", "P", "I;16", "1", "CMYK", "F"])
def test_images_of_pil_whose_numbers_are_none(model, mode):
    pil = pytest.importorskip("PIL.Image")
    images = [pil.new(mode, (6, 6)) for _ in range(N)]
    with pytest.raises(ValueError, match=f"X has an image of mode {mode!r}; call .*convert"):
        fitted(model, images)
    with pytest.raises(ValueError, match="X must hold samples, not be one image; give a list"):
        fitted(model, images[0])
    good = [pil.new("L", (6, 6)) for _ in range(N - 1)]
    with pytest.raises(ValueError, match=f"X has an image of mode {mode!r}"):
        fitted(model, [*good, images[0]])
    with pytest.raises(ValueError, match=f"X has an image of mode {mode!r}"):
        reference(model, BYTES, "bytes")[0].transform(images)


# -------------------------------------------------------------------- what images of bytes mean


def test_unit_floats_after_bytes_and_bytes_after_unit_floats(model):
    unit = (BYTES / 255).astype(np.float32)
    of_bytes, _ = reference(model, BYTES, "bytes")
    of_unit, _ = reference(model, unit, "unit")
    assert (of_bytes.pixels_, of_unit.pixels_) == ("bytes", "unit")
    for one in (of_bytes, of_unit):
        np.testing.assert_allclose(one.transform(unit), one.transform(BYTES), atol=1e-5)
    np.testing.assert_allclose(of_unit.transform(BYTES), of_bytes.transform(BYTES), atol=1e-3)


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "list of floats"])
def test_floats_beyond_one_after_bytes(model, kind):
    X = list(BYTES.astype(float)) if kind.startswith("list") else BYTES.astype(kind)
    of_bytes, _ = reference(model, BYTES, "bytes")
    with pytest.raises(ValueError, match="X has floats from 0 to 255, but fit saw bytes"):
        of_bytes.transform(X)
    of_unit, _ = reference(model, BYTES / 255, "unit")
    with pytest.raises(
        ValueError, match=r"X has numbers from 0 to 255, but fit saw numbers in \[0"
    ):
        of_unit.transform(X)
    of_unit.transform(BYTES / 200.0 - 0.1)  # a little brighter
    # One dark batch of them does not pass for unit floats by chance where it has a negative.
    with pytest.raises(ValueError, match="X has floats from -1 to 0, but fit saw bytes"):
        of_bytes.transform(np.zeros((2, 6, 6)) - np.eye(6))


def test_bytes_after_raw_floats_are_those_floats(model):
    raw = BYTES.astype(np.float32)
    of_raw, known = reference(model, raw, "raw")
    assert of_raw.pixels_ == "raw"
    for given in (BYTES, list(BYTES), torch.tensor(BYTES), BYTES.astype(np.int64)):
        for a, b in zip(outputs(of_raw, given), known, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_booleans_are_black_and_white(model):
    mask = BYTES > 127
    found, _ = reference(model, mask.astype(np.float64), "mask")
    assert_same(model, mask, reference(model, mask.astype(np.float64), "mask"), mask.astype(float))
    assert found.pixels_ == "unit"


@only(*GENERATIVE)
@pytest.mark.parametrize(("low", "high"), [(0, 255), (-40, 300)])
def test_the_range_of_bytes(model, low, high):
    """Given as bytes or as floats, images of a range are the same samples."""
    model.set_params(data_range=(low, high))
    a, b = fitted(model, BYTES), fitted(model, BYTES.astype(np.float64))
    np.testing.assert_allclose(
        a.transform(BYTES), b.transform(BYTES.astype(np.float64)), atol=1e-3, rtol=1e-3
    )
    np.testing.assert_allclose(b.transform(BYTES), a.transform(BYTES), atol=1e-3, rtol=1e-3)
    np.testing.assert_allclose(a.transform(BYTES / 255), a.transform(BYTES), atol=1e-4)
    assert a.sample(2, random_state=0).dtype == np.uint8


@only(*GENERATIVE)
def test_the_range_of_unit_floats_holds_for_bytes(model):
    unit = BYTES / 255
    model = fitted(model.set_params(data_range=(-1, 3)), unit)
    np.testing.assert_allclose(model.transform(BYTES), model.transform(unit), atol=1e-5)


@only(*GENERATIVE)
def test_bytes_outside_the_range(model):
    words = r"X must lie in data_range=\(0.0, 9.0\), not have values from 0 to 255"
    with pytest.raises(ValueError, match=words):
        fitted(model.set_params(data_range=(0, 9)), BYTES)


# -------------------------------------------------------------------- tables

TABLES = {
    "list of lists": lambda X: X.tolist(),
    "list of rows": lambda X: list(X),
    "list of tensors": lambda X: [torch.tensor(x) for x in X],
    "tensor": lambda X: torch.tensor(X),
    "tensor with gradients": lambda X: torch.tensor(X, requires_grad=True),
    "result of a network": lambda X: torch.tensor(X, requires_grad=True) * 1.0,
    "object array of rows": of_objects,
    "object array": lambda X: X.astype(object),
    "data frame": lambda X: pd.DataFrame(X),
    "Fortran order": np.asfortranarray,
    "negative strides": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only,
    "float64": lambda X: X.astype(np.float64),
    "masked array": np.ma.asarray,
    "csr": sparse.csr_array,
    "csc": sparse.csc_array,
    "coo": sparse.coo_array,
    "csr matrix": sparse.csr_matrix,
    "lil": sparse.lil_array,
    "sparse tensor": lambda X: torch.tensor(X).to_sparse(),
    "csr tensor": lambda X: torch.tensor(X).to_sparse_csr(),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
@with_kinds(TABLES, ["list of rows", "tensor with gradients", "data frame", "csr"])
def test_tables_in_any_container(model, kind):
    # float32 of a list or data frame comes as float64, which only roundings show.
    close = {"rtol": 1e-4, "atol": 1e-5}
    assert_same(model, TABLES[kind](TABLE), reference(model, TABLE, "table"), TABLE, **close)


def test_memory_maps_of_tables(model, tmp_path):
    assert_same(model, mapped(TABLE, tmp_path), reference(model, TABLE, "table"), TABLE)


@only(*FEW)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, np.float16, np.int8, np.uint8])
def test_narrow_types(model, dtype):
    if isinstance(dtype, torch.dtype):
        given = torch.tensor(TABLE).to(dtype)
        plain = given.float().numpy()
    else:
        given = (TABLE * 100).astype(dtype)
        plain = given.astype(np.float32)
    assert_same(model, given, reference(model, plain, str(dtype)), plain)
    if isinstance(given, torch.Tensor):
        one, known = reference(model, plain, str(dtype))
        np.testing.assert_array_equal(one.transform(list(given)), known[0])


@only(*FEW)
@pytest.mark.parametrize("dtype", [np.int32, np.uint16, bool, ">f4"])
@pytest.mark.parametrize("images", [False, True])
def test_other_types_are_worked_with_as_float64(model, dtype, images):
    given = (BYTES // 3 if images else TABLE * 100).astype(dtype)
    plain = given.astype(np.float64)
    assert_same(model, given, reference(model, plain, f"{dtype} {images}"), plain)
    assert fitted(model, given).transform(given).dtype == np.float64


@only("DANN", "VAE")
@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
@pytest.mark.parametrize("shape", [(60000, 256), (60000, 8, 32)])
def test_a_memory_map_is_never_read_as_a_whole(model, dtype, shape, tmp_path):
    """Neither after a fit of something small, whose numbers meant something else, nor in `fit`."""
    X = np.memmap(tmp_path / "x", dtype, "w+", shape=shape)  # of zeros, a file without blocks
    X[:3] = 100
    small = fitted(model, RNG.normal(size=(N, *shape[1:])))
    y = np.arange(len(X)) % 3
    tracemalloc.start()
    try:
        small.transform(X)
        clone(model).fit(X, y) if hasattr(model, "predict_proba") else clone(model).fit(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 14e6  # bytes; X has 15e6 or 31e6, as float32 61e6


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A memory map whose touched rows bring whole pages in, until these are let go."""
    page, most, stays = 2**12, 2**18, [set()]
    for module, name, value in [
        (batches, "PAGES", page),
        (batches, "TOUCHED", most),
        (batches, "READ", most // 8),
        (applying, "READ", most // 8),
    ]:
        monkeypatch.setattr(module, name, value)

    class Watched(np.memmap):
        def __getitem__(self, rows):
            if type(self) is Watched and self.ndim == 2 and len(self) == 3000:
                places = np.arange(3000)[rows].ravel() * 256 // page
                stays.append(stays[-1] | set(places.tolist()))
            return super().__getitem__(rows)

    def let_go(X):
        if isinstance(X, np.memmap):
            stays.append(set())

    monkeypatch.setattr(batches, "let_go", let_go)
    monkeypatch.setattr(applying, "let_go", let_go)
    X = Watched(tmp_path / "x", np.float32, "w+", shape=(3000, 64))
    X[:] = RNG.random(X.shape)
    stays[:] = [set()]
    yield X
    assert len(stays) > 60  # of 188 pages
    assert max(len(pages) for pages in stays) * page <= 1.25 * most


def test_little_of_a_memory_map_stays_in_memory(model, watched):
    model.set_params(steps_per_epoch=20)
    if "recalibrate" in model.get_params():
        model.set_params(recalibrate=True)
    given = [np.arange(3000) % 3] if hasattr(model, "predict_proba") else []
    outputs(model.fit(watched, *given), watched)


@only("DANN")
@pytest.mark.filterwarnings("ignore::repkit.dann.GuardWarning")
def test_little_stays_of_one_that_adapts(model, watched):
    """With rows that a prior is estimated from, those of a guard, and those of a scorer."""
    domain = np.repeat([1, -1], 1500)
    model.set_params(
        entropy=Entropy(1.0, prior="estimate"),
        select=Selection(EntropyScorer(), guard=True),
        max_epochs=2,
    )
    model.fit(watched, np.arange(3000) % 3, domain).predict(watched, domain)


@only("VAE", "BiGAN", "VAEGAN")
@pytest.mark.parametrize("kind", ["array", "csr", "data frame"])
def test_columns_far_from_zero_keep_their_digits(model, kind):
    X = np.c_[1.7e9 + 100 * RNG.random(N), 50 * RNG.random(N), np.full(N, 7.0)]
    near = X - [1.7e9, 0.0, 0.0]
    as_kind = {"array": np.asarray, "csr": sparse.csr_array, "data frame": pd.DataFrame}[kind]
    # The networks of both see the same numbers.
    a, b = fitted(model, as_kind(X)), fitted(model, near)
    np.testing.assert_allclose(a.transform(as_kind(X)), b.transform(near), atol=1e-4)
    found = a.reconstruct(as_kind(X))
    assert found.dtype == np.float64
    assert (abs(found[:, 0] - 1.7e9 - 50) <= 51).all()
    np.testing.assert_array_equal(found[:, 2], 7.0)
    np.testing.assert_array_equal(a.sample(5, random_state=0)[:, 2], 7.0)


@only("VAE", "BiGAN", "VAEGAN")
def test_images_that_are_all_alike_come_back(model):
    X = np.full((N, 6, 6), 7.0)
    model = fitted(model, X)
    np.testing.assert_array_equal(model.reconstruct(X), X)
    assert np.isfinite(model.transform(X)).all()


# -------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("loader", [False, True])
def test_data_sets_of_torch(model, loader):
    given = torch.utils.data.TensorDataset(torch.tensor(TABLE))
    if loader:
        given = torch.utils.data.DataLoader(given)
    words = f"X must be one array of samples, not a {type(given).__name__}.*gather_samples"
    with pytest.raises(TypeError, match=words):
        fitted(model, given)
    with pytest.raises(TypeError, match=words):
        reference(model, TABLE, "table")[0].transform(given)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_channels_that_come_last(model, channels, dtype):
    X = RNG.random((N, 8, 10, channels)).astype(dtype)
    for given in (X, list(X), torch.tensor(X)):
        with pytest.raises(ValueError, match=r"channels last; give.*X\.transpose\(0, 3, 1, 2\)"):
            fitted(model, given)


def test_other_shapes_after_the_fit_are_told_as_images(model):
    of_bytes, _ = reference(model, BYTES, "bytes")
    for X in (BYTES[:, None], BYTES[:, :5], list(BYTES[:, None])):
        shape = np.asarray(X).shape[1:]
        with pytest.raises(ValueError, match="X has samples of shape") as error:
            of_bytes.transform(X)
        assert str(shape) in str(error.value)
        assert "(6, 6)" in str(error.value)


@pytest.mark.parametrize("of", [np.asarray, torch.tensor])
def test_samples_of_several_shapes(model, of):
    X = [of(x) for x in BYTES]
    X[3] = X[3][:5]
    words = r"X must hold samples of one shape, but X\[0\] has \(6, 6\) and X\[3\] has \(5, 6\)"
    for given in (X, of_objects(X)):
        with pytest.raises(ValueError, match=words):
            fitted(model, given)
    with pytest.raises(ValueError, match=words):
        reference(model, BYTES, "bytes")[0].transform(X)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((4, 1, 2, 6, 6)), "X has 5 dimensions; give"),
        (np.zeros((4, 0, 6)), r"X has an empty dimension: its shape is \(4, 0, 6\)"),
        (BYTES * np.nan, "X contains NaN"),
    ],
    ids=["video", "empty", "nan"],
)
def test_what_holds_no_samples(model, X, words):
    with pytest.raises(ValueError, match=words):
        fitted(model, X)


# -------------------------------------------------------------------- the functions


def test_arrays_stay_what_they_are():
    for X in (TABLE, BYTES, pd.DataFrame(TABLE), sparse.csr_array(TABLE)):
        assert as_samples(X) is X
    np.testing.assert_array_equal(as_samples([[1.0], [2.0]]), [[1.0], [2.0]])


def test_lists_become_arrays_of_the_type_of_their_samples():
    for kind in (np.uint8, np.float32, np.float64):
        found = as_samples([x.astype(kind) for x in BYTES])
        assert (found.dtype, found.shape) == (kind, BYTES.shape)
    found = as_samples([torch.tensor(x).bfloat16() for x in TABLE])
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("X", "pixels"),
    [
        (BYTES, "bytes"),
        (BYTES / 255, "unit"),
        (BYTES / 255 - 0.1, "raw"),
        (BYTES.astype(float), "raw"),
        (TABLE, "raw"),
    ],
)
def test_what_numbers_mean(X, pixels):
    assert pixels_of(X) == pixels


def test_a_meaning_is_of_images_alone():
    for pixels in ("bytes", "unit", "raw"):
        assert with_meaning(TABLE * 99, pixels) is not None
    assert with_meaning(BYTES, "raw") is with_meaning(BYTES, "bytes") is BYTES
    assert with_meaning(BYTES[:0] / 1.0, "bytes").shape == (0, 6, 6)


def test_small_images_are_not_taken_for_channels_last():
    check_layout(SimpleNamespace(ndim=4, shape=(9, 3, 4, 4)))
    check_layout(SimpleNamespace(ndim=4, shape=(9, 1, 8, 2)))
    with pytest.raises(ValueError, match="channels last"):
        check_layout(SimpleNamespace(ndim=4, shape=(9, 5, 5, 3)))


def test_extremes_of_sparse_columns_count_their_zeros():
    X = np.array([[1.0, -2.0, 0.0], [3.0, 0.0, 0.0]])
    for given in (X, sparse.csr_array(X)):
        low, high = extremes(given)
        np.testing.assert_array_equal(low, [1, -2, 0])
        np.testing.assert_array_equal(high, [3, 0, 0])


def test_a_polars_frame_is_a_table():
    polars = pytest.importorskip("polars")
    model = VAE(latent_dim=2, width=8, max_epochs=1, random_state=0)
    frame = polars.DataFrame(TABLE, schema=[f"c{k}" for k in range(TABLE.shape[1])])
    found = clone(model).fit(frame)
    assert found.feature_names_in_.tolist() == frame.columns
    np.testing.assert_array_equal(found.transform(frame), clone(model).fit(TABLE).transform(TABLE))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rows_that_scikit_learn_has_not_looked_at_are_looked_at(kind):
    """As with `assume_finite`, a promise that numbers are finite, or beyond float32."""
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(kind)
    model = DANN(width=8, max_epochs=1, steps_per_epoch=1, random_state=0).fit(X, X[:, 0] > 0)
    X[5, 1] = np.nan
    with (
        sklearn.config_context(assume_finite=True),
        pytest.raises(ValueError, match="beyond what float32 holds"),
    ):
        model.transform(X)
