"""A corpus of damaged, foreign and hostile model files: each is refused in words of ours."""

import copy
import json
import os
import pickle
import re
import threading
import time
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from sklearn.exceptions import ConvergenceWarning

import repkit
from repkit import DANN, VAE, DANNRegressor, InfoGAN, SpeechAutoencoder, load
from repkit.base import model_file
from repkit.base.contents import FITTED, check_entries, check_fitted
from repkit.base.model_file import ModelFileError, encode
from repkit.dann import Selection
from repkit.loading import HOMES

from .small import DOMAIN, SPEECH, N, X, Y

SECONDS = 1.0  # of processor time, at most, until a file is refused
MEMORY = 64e6  # bytes, at most

IMAGES = np.random.default_rng(0).integers(0, 256, (N, 1, 12, 12)).astype(np.uint8)
COMMON = {"width": 12, "max_epochs": 2, "steps_per_epoch": 1, "random_state": 0, "device": "cpu"}
MODELS = {
    "DANN": (
        DANN("mlp", select=Selection("entropy", guard=True), **COMMON),
        (X, Y, DOMAIN),
    ),
    "DANNRegressor": (
        DANNRegressor("mlp", **COMMON),
        (X, X[:, :2], np.where(np.arange(N) < 12, 1, -1)),
    ),
    "VAE": (VAE(2, **COMMON), (IMAGES,)),
    "InfoGAN": (InfoGAN((3,), 1, 2, recalibrate=False, **COMMON), (X,)),
    "SpeechAutoencoder": (
        SpeechAutoencoder(4, 4, sample_rate=8000, n_mels=20, prototypes=(3,), **COMMON),
        (SPEECH.data, SPEECH.speaker),
    ),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Of each class: the bytes of a file, its header and its tensors."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name, (model, data) in MODELS.items():
            path = tmp_path_factory.mktemp("saved") / name
            model.fit(*data).save(path)
            load(path)  # what loading imports is no part of what is measured
            header, tensors = model_file.load(path)
            found[name] = path.read_bytes(), json.loads(json.dumps(header, default=encode)), tensors
    return found


def forge(path, header, tensors, seal=True):
    """A whole safetensors file with any header, and a digest that is right."""
    own = {k: v.contiguous() for k, v in tensors.items()}
    text = header if isinstance(header, str) else json.dumps(header, default=encode)
    save_file(own, path, metadata={"repkit": model_file.sealed(text, own) if seal else text})


def refused(path, words="", **code):
    """Loads what must be refused, soon, in an error of ours that names the file."""
    started = time.process_time()
    with pytest.raises((ModelFileError, OSError)) as error:
        load(path, **code)
    assert time.process_time() - started < SECONDS
    message = str(error.value)
    assert str(path) in message
    assert len(message) > len(str(path)) + 15
    assert re.search(words, message), message


# -------------------------------------------------------------------- bytes


def kinds(cases):
    return pytest.mark.parametrize("kind", cases)


def places(whole):
    """The start of the tensors, and numbers of bytes all over the file."""
    tensors = 8 + int.from_bytes(whole[:8], "little")
    return tensors, {
        "in the length": [0, 1, 4, 7],
        "after the length": [8, 9],
        "in the header": [*np.linspace(20, tensors - 2, 6).astype(int)],
        "before the tensors": [tensors - 1, tensors],
        "in the tensors": [*np.linspace(tensors + 1, len(whole) - 2, 5).astype(int)],
        "at the last byte": [len(whole) - 1],
    }


PLACES = [
    "in the length",
    "after the length",
    "in the header",
    "before the tensors",
    "in the tensors",
    "at the last byte",
]


@kinds(PLACES)
def test_truncated(saved, tmp_path, kind):
    for whole, _, _ in saved.values():
        for kept in places(whole)[1][kind]:
            path = tmp_path / f"{kept}"
            path.write_bytes(whole[:kept])
            refused(path, "is not a whole safetensors file")


@kinds(PLACES)
def test_flipped_bits(saved, tmp_path, kind):
    for whole, _, _ in saved.values():
        for place in places(whole)[1][kind]:
            if place == len(whole):
                continue
            path = tmp_path / f"{place}"
            damaged = bytearray(whole)
            damaged[place] ^= 1 << place % 8
            path.write_bytes(damaged)
            refused(path)


def test_every_bit_of_the_digest(saved, tmp_path):
    whole, _, _ = saved["VAE"]
    start = whole.index(b"sha256")
    for place in range(start - 4, start + 80, 7):
        path = tmp_path / f"{place}"
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        refused(path)


def swapped(whole):
    """Two halves of the tensors, one for the other."""
    tensors = places(whole)[0]
    middle = (tensors + len(whole)) // 2
    return whole[:tensors] + whole[middle:] + whole[tensors:middle]


OTHERS = {
    "empty": lambda whole: b"",
    "zeros": lambda whole: bytes(len(whole)),
    "ones": lambda whole: b"\xff" * len(whole),
    "text": lambda whole: b"import os\n" * 50,
    "pickle": lambda whole: pickle.dumps({"a": np.ones(99)}),
    "more at the end": lambda whole: whole + b"\0",
    "twice": lambda whole: whole + whole,
    "wrong start": lambda whole: b"\x93NUMPY" + whole,
    "halves swapped": swapped,
    "header not UTF-8": lambda whole: whole[:8] + whole[8:].replace(b"repkit", b"\xff\xfekit", 1),
    "length of all": lambda whole: len(whole).to_bytes(8, "little") + whole[8:],
    "length of 2**63": lambda whole: (2**63).to_bytes(8, "little") + whole[8:],
    "length of 10**8": lambda whole: (10**8).to_bytes(8, "little") + whole[8:],
    "length of 0": lambda whole: bytes(8) + whole[8:],
}


@kinds(OTHERS)
def test_other_bytes(saved, tmp_path, kind):
    for name, (whole, _, _) in saved.items():
        path = tmp_path / f"{kind} {name}"
        path.write_bytes(OTHERS[kind](whole))
        refused(path, "whole safetensors file|damaged|no readable repkit header|has a header of")


def test_archives(saved, tmp_path):
    torch.save({"w": torch.ones(3)}, tmp_path / "torch")
    with zipfile.ZipFile(tmp_path / "zip", "w") as file:
        file.writestr("model", saved["VAE"][0])
    for name in ("torch", "zip"):
        refused(tmp_path / name, "is not a whole safetensors file")


def test_what_is_no_file(tmp_path):
    refused(tmp_path, "is a folder, not a model file")
    refused(tmp_path / "none", "no model file at")
    (tmp_path / "link").symlink_to(tmp_path / "none")
    refused(tmp_path / "link", "no model file at")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(tmp_path / "loop", "no model file at")
    os.mkfifo(tmp_path / "pipe")
    waiting = threading.Thread(target=refused, args=(tmp_path / "pipe",), daemon=True)
    waiting.start()
    waiting.join(5)
    assert not waiting.is_alive()  # it did not wait for someone to write
    refused(tmp_path / "pipe", "is no regular file")


# -------------------------------------------------------------------- tensors


def first(tensors):
    return next(k for k, v in tensors.items() if v.dtype == torch.float32 and v.ndim)


def filled(value):
    def edit(tensors):
        tensors[first(tensors)].view(-1)[0] = value

    return edit


def renamed(to):
    def edit(tensors):
        key = first(tensors)
        tensors[to(key)] = tensors.pop(key)

    return edit


def put(change):
    def edit(tensors):
        key = first(tensors)
        tensors[key] = change(tensors[key])

    return edit


def without_network(tensors):
    network = first(tensors).split("/")[1]
    for key in [k for k in tensors if k.split("/")[1] == network]:
        del tensors[key]


TENSORS = {
    "nan": (filled(np.nan), "numbers that are not finite, in "),
    "inf": (filled(np.inf), "numbers that are not finite, in "),
    "-inf": (filled(-np.inf), "numbers that are not finite, in "),
    "none": (lambda t: t.clear(), "there are no weights of the last epoch"),
    "missing": (lambda t: t.pop(first(t)), "is missing, not "),
    "network missing": (without_network, "there are weights of|is missing"),
    "extra": (lambda t: t.update({first(t) + "x": torch.ones(2)}), "not wanted"),
    "network extra": (lambda t: t.update({"last/Q0/w": torch.ones(2)}), "there are weights of"),
    "set extra": (lambda t: t.update({"best/F/w": torch.ones(2)}), "names of tensors are"),
    "adapted extra": (lambda t: t.update({"adapted/F/w": torch.ones(2)}), "adapt|weights of"),
    "source extra": (lambda t: t.update({"source/Z/w": torch.ones(2)}), "twin|weights of"),
    "selected extra": (lambda t: t.update({"selected/Z/w": torch.ones(2)}), "selected|weights of"),
    "no path": (lambda t: t.update({"w": torch.ones(2)}), "names of tensors are"),
    "long path": (lambda t: t.update({"last/F/w/x": torch.ones(2)}), "names of tensors are"),
    "empty path": (lambda t: t.update({"last//": torch.ones(2)}), "names of tensors are"),
    "renamed": (renamed(lambda k: k + "_"), "missing|not wanted"),
    "flat": (put(lambda v: v.flatten()[:-1]), ", not "),
    "more dimensions": (put(lambda v: v[None]), ", not "),
    "no rows": (put(lambda v: v[:0]), ", not "),
    **{
        str(kind): (put(lambda v, kind=kind: v.to(kind)), ", not ")
        for kind in (
            *(torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool),
            torch.float8_e4m3fn,
        )
    },
}


@kinds(TENSORS)
def test_other_tensors(saved, tmp_path, kind):
    edit, words = TENSORS[kind]
    for name, (_, header, tensors) in saved.items():
        tensors = {k: v.clone() for k, v in tensors.items()}
        edit(tensors)
        path = tmp_path / name
        forge(path, header, tensors)
        refused(path, words)


def test_tensors_of_another_model(saved, tmp_path):
    for name, (_, header, _) in saved.items():
        for other, (_, _, tensors) in saved.items():
            if name != other:
                forge(tmp_path / name, header, tensors)
                refused(tmp_path / name, f"does not hold the {name} that its header describes")


# -------------------------------------------------------------------- entries of the header


def entry(**values):
    return lambda header: header.update(values)


def lacking(*path):
    def edit(header):
        for name in path[:-1]:
            header = header[name]
        header.pop(path[-1])

    return edit


def param(**values):
    return lambda header: header["params"].update(values)


def attribute(**values):
    return lambda header: header["fitted"].update(values)


def rows(*history):
    return lambda header: header.update(history=list(history))


def array(*values, dtype="i8"):
    return {"array": list(values), "dtype": dtype}


HEADERS = {
    "format 3": (entry(format=3), "is of model format 3; this version of repkit reads 1 and 2"),
    "format 0": (entry(format=0), "is of model format 0"),
    "format text": (entry(format="2"), "is of model format '2'"),
    "format array": (entry(format=array(2)), "is of model format"),
    "class unknown": (entry(**{"class": "Popen"}), "holds a 'Popen'; this version of repkit knows"),
    "class number": (entry(**{"class": 5}), "its header must hold a str in 'class'"),
    "class base": (entry(**{"class": "Estimator"}), "holds a 'Estimator'"),
    **{f"no {k}": (lacking(k), f"no '{k}'") for k in ("class", "params", "fitted", "code")},
    "no history": (lacking("history"), "no 'history'"),
    "params list": (entry(params=[1]), "its header must hold a dict in 'params'"),
    "code number": (entry(code=5), "its header must hold a list in 'code'"),
    "code of numbers": (entry(code=[5]), "its header must hold names in 'code'"),
    "code unknown": (entry(code=["shell"]), r"parameters that .* does not: \['shell'\]"),
    "param unknown": (param(shell=True), r"parameters that .* does not: \['shell'\]"),
    "param negative": (param(width=-1), "width must be an integer"),
    "param text": (param(width="12"), "width must be an integer"),
    "param nan": (param(learning_rate=float("nan")), "learning_rate must be"),
    "param huge": (param(width=10**400), "width must be an integer"),
    "rate huge": (param(learning_rate=10**400), "learning_rate|too large"),
    "param large": (param(width=10**8), "does not hold"),
    "device": (param(device=1.5), "device"),
    "seed": (param(random_state=-5), "random_state must be"),
    "part unknown": (param(optimizer={"part": "Popen", "params": {}}), "holds a part 'Popen'"),
    "part field": (
        param(optimizer={"part": "Optimizer", "params": {"shell": 1}}),
        "parameters that .* does not",
    ),
    "part value": (
        param(optimizer={"part": "Optimizer", "params": {"kind": "adam", "momentum": 7}}),
        "optimizer__momentum must be",
    ),
    "attribute unknown": (attribute(__class__=1), r"unknown fitted attributes \['__class__'\]"),
    "method": (attribute(transform=1), r"unknown fitted attributes \['transform'\]"),
    "no seed_": (lacking("fitted", "seed_"), r"lacks the fitted attributes \['seed_'\]"),
    "shape missing": (lacking("fitted", "input_shape_"), "lacks the fitted"),
    "shape empty": (attribute(input_shape_=[]), "its input_shape_ must be"),
    "shape negative": (attribute(input_shape_=[-4]), "its input_shape_ must be"),
    "shape long": (attribute(input_shape_=[1] * 900), "its input_shape_ must be"),
    "shape other": (attribute(input_shape_=[7]), "does not hold"),
    "shape huge": (attribute(input_shape_=[10**8, 10**8]), "does not hold"),
    "seed_ inf": (attribute(seed_=float("inf")), "its seed_ must be"),
    "seed_ huge": (attribute(seed_=10**400), "its seed_ must be"),
    "n_iter_ other": (attribute(n_iter_=7), "its n_iter_ is 7, but its history has 2 epochs"),
    "n_iter_ text": (attribute(n_iter_="2"), "its n_iter_ must be"),
    "history of numbers": (rows(1, 2), "its header must hold rows in 'history'"),
    "history short": (rows({"epoch": 1}), "its n_iter_ is 2"),
    "history wide": (rows({f"{k}": 0 for k in range(1001)}), "1 rows of 1001 columns"),
    "array of nothing": (attribute(seed_=array(1, dtype="V8")), "no readable repkit header"),
    "array of dates": (attribute(seed_=array(1, dtype="M8[s]")), "no readable repkit header"),
    "array ragged": (attribute(seed_={"array": [[1], []], "dtype": "i8"}), "no readable"),
}
FITTED_OF = {
    "DANNRegressor": {
        "y_mean_": [None, "0", float("nan"), 0.0, array(0.0, 0.0, 0.0, dtype="f8")],
        "y_scale_": [None, 1.0, array(1.0, dtype="f8"), array(0.0, 1.0, dtype="f8")],
    },
    "DANN": {
        "classes_": [5, array(0, 0), array(array(0, 1)), array(0), array(0, 1, 2)],
        "domains_": [None, array(1, 1), array(1)],
        "n_source_domains_": [0, -1, 1.5, "1"],
        "selected_epoch_": [0, 7, None],
        "guarded_": [1, "True", None],
        "pixels_": ["grey", None],
    },
    "VAE": {
        "low_": [None, "0", float("nan"), array(0.0, 1.0, dtype="f8")],
        "span_": [0.0, -1.0, float("inf"), None],
        "dtype_": ["float16", "object", None, 5],
        "reconstruction_ratio_": ["1", None, array(1)],
    },
    "SpeechAutoencoder": {
        "kind_": ["video", None],
        "mean_": [0.0, array(0.0, dtype="f8"), array("a", dtype="object")],
        "std_": [array(*[0.0] * 20, dtype="f8"), array(*[float("nan")] * 20, dtype="f8")],
        "speakers_": [array(0, 0), array(0), None],
    },
}
PARAMS_OF = {
    "VAE": {
        "latent_dim": [0, 3, 10**8, None],
        "encoder": ["resnet", 5, None],
        "data_range": [(1, 0), "x"],
        "ema": [1.5],
    },
    "InfoGAN": {"categorical": [(1,), (3, 3), (2,) * 2000], "continuous": [2, -1], "n_init": [0]},
    "SpeechAutoencoder": {
        "sample_rate": [0, 1, 40, 10**7, 10**9, 44.1],
        "n_mels": [0, 19, 21, 200, 10**6, 10**9],
        "front_end": ["mfcc", "wave", {"part": "SpeechFrames", "params": {"deltas": True}}],
        "encoder": ["lstm", {"part": "SpeechEncoder", "params": {"stack": 10**8}}],
        "prototypes": [(4,), (2,) * 5000, None],
        "max_frames": [0],
    },
}


@kinds(HEADERS)
def test_other_headers(saved, tmp_path, kind):
    edit, words = HEADERS[kind]
    for name, (_, header, tensors) in saved.items():
        header = copy.deepcopy(header)
        edit(header)
        forge(tmp_path / name, header, tensors)
        refused(tmp_path / name, words)


@pytest.mark.parametrize(("place", "table"), [("fitted", FITTED_OF), ("params", PARAMS_OF)])
def test_values_out_of_range(saved, tmp_path, place, table):
    for name, entries in table.items():
        _, header, tensors = saved[name]
        for key, values in entries.items():
            for value in values:
                changed = copy.deepcopy(header)
                changed[place][key] = value
                forge(tmp_path / name, changed, tensors)
                refused(tmp_path / name)


def test_every_attribute_that_is_kept_is_required(saved, tmp_path):
    for name, (_, header, tensors) in saved.items():
        for key in header["fitted"]:
            changed = copy.deepcopy(header)
            del changed["fitted"][key]
            forge(tmp_path / name, changed, tensors)
            if name == "SpeechAutoencoder" and key == "n_features_in_":
                continue
            if key == "precision_":  # files of earlier versions have none
                continue
            refused(tmp_path / name)


# -------------------------------------------------------------------- texts of headers

LONG = 7_900_000
TEXTS = {
    "nothing": "",
    "a brace": "{",
    "a number": "5",
    "a list": "[]",
    "deep lists": "[" * 100_000,
    "deep dicts": '{"a":' * 100_000,
    "a long number": "9" * 5000,
    "a key twice": '{"format": 2, "format": 2}',
    "a key twice inside": '{"format": 2, "params": {"a": 1, "a": 2}}',
    "a surrogate": '{"format": 2, "class": "\\ud800"}',
    "many lists": '{"format": 2, "x": [' + "[]," * (LONG // 3) + "0]}",
    "many dicts": '{"format": 2, "x": [' + "{}," * (LONG // 3) + "0]}",
    "many numbers": '{"format": 2, "x": [' + "1," * (LONG // 2) + "0]}",
    "many names": '{"format": 2, "x": {' + ",".join(f'"{k}":0' for k in range(600_000)) + "}}",
    "a long text": '{"format": 2, "class": "' + "x" * LONG + '"}',
    "deep array": '{"format": 2, "x": {"array": ' + "[" * 900 + "]" * 900 + ', "dtype": "i8"}}',
}


@kinds(TEXTS)
def test_other_texts(tmp_path, kind):
    path = tmp_path / "m"
    forge(path, TEXTS[kind], {"w": torch.ones(2)}, seal=TEXTS[kind].endswith("}"))
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError) as error:
            load(path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 3000  # it does not repeat what it was given
    refused(path)


def test_a_header_of_30_megabytes(tmp_path):
    """It took six seconds and 750 MB."""
    forge(tmp_path / "m", '{"format": 2, "x": [' + "[1]," * 7_500_000 + "0]}", {"w": torch.ones(2)})
    refused(tmp_path / "m", "has a header of 30000... bytes; a model file has at most 8000000")


def test_many_tensors(tmp_path):
    forge(tmp_path / "m", '{"format": 2}', {f"{k}": torch.empty(0) for k in range(20_000)})
    refused(tmp_path / "m", "has 20000 tensors; a model file has at most 10000")


# -------------------------------------------------------------------- random headers

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 100)
    | st.integers()
    | st.sampled_from([10**9, 10**12, 10**30, 10**400, 2**63, -1, 0.5])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["auto", "mlp", "conv", "cosine", "selected", "bytes"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        | st.builds(
            lambda a, d: {"array": a, "dtype": d},
            inner,
            st.sampled_from(["i8", "f4", "object", "<U5", "V4", "x", "|b1"]),
        )
        | st.builds(
            lambda p, v: {"part": p, "params": v}, st.sampled_from(["Optimizer", "Updates"]), inner
        )
    ),
    max_leaves=6,
)


def places_of(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places_of(value[key], (*path, key))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_random_headers(saved, tmp_path, data):
    """A valid header with anything in any of its places: a model, or an error of ours."""
    name = data.draw(st.sampled_from(list(saved)))
    _, header, tensors = saved[name]
    header = copy.deepcopy(header)
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from([p for p in places_of(header) if p]))
        inside = header
        for key in path[:-1]:
            inside = inside[key]
        if isinstance(inside, dict) and data.draw(st.booleans()):
            inside[data.draw(st.text(max_size=6))] = inside.pop(path[-1])
        else:
            inside[path[-1]] = data.draw(JUNK)
    path = tmp_path / "m"
    try:
        forge(path, header, tensors)
    except (UnicodeEncodeError, TypeError):
        return
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            model = load(path)
        except ModelFileError as error:
            assert str(path) in str(error)  # noqa: PT017
        else:
            data = MODELS[name][1][0]
            assert np.isfinite(model.transform(data)).all()
    assert time.process_time() - started < SECONDS


# -------------------------------------------------------------------- the rules


def test_good_entries_pass(saved):
    for name, (_, header, _) in saved.items():
        check_entries(header)
        fitted = json.loads(json.dumps(header["fitted"]), object_hook=model_file.decode)
        check_fitted(fitted, type(MODELS[name][0])._kept())


def test_every_kept_attribute_has_a_rule():
    for name in HOMES:
        assert set(getattr(repkit, name)._kept()) <= set(FITTED)
