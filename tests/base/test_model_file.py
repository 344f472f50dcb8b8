import json
import os
import tracemalloc

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from repkit.base import model_file
from repkit.base.model_file import ModelFileError, decode, encode, on_cpu

HEADER = {"class": "X", "params": {"a": 1, "b": [1.5, None], "c": {"d": "e"}}, "code": []}


def tensors():
    return {
        "w": torch.arange(6.0).view(2, 3),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "n": torch.tensor(5),
        "view": torch.arange(12.0).view(3, 4).t(),
        "empty": torch.empty(0, 2),
    }


@pytest.fixture
def path(tmp_path):
    model_file.save(tmp_path / "model", HEADER, tensors())
    return tmp_path / "model"


def forge(path, text, weights=None):
    """A whole safetensors file with any text as the header, and a digest that is right."""
    own = {k: v.contiguous() for k, v in (tensors() if weights is None else weights).items()}
    text = model_file.sealed(text, own) if text.endswith("}") else text
    save_file(own, path, metadata={"repkit": text})


# -------------------------------------------------------------------- files


def test_round_trip(path):
    header, found = model_file.load(path)
    assert header == {"format": 2, **HEADER}
    assert found.keys() == tensors().keys()
    for name, value in tensors().items():
        assert torch.equal(found[name], value)
        assert found[name].dtype == value.dtype
    assert [p.name for p in path.parent.iterdir()] == ["model"]


def test_tensors_that_share_memory(tmp_path):
    x = torch.arange(4.0)
    model_file.save(tmp_path / "m", {}, {"a": x, "b": x[:2], "c": x})
    found = model_file.load(tmp_path / "m")[1]
    assert torch.equal(found["b"], x[:2])
    assert torch.equal(found["c"], x)


def test_a_write_that_fails_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def full(*args):
        raise OSError("no space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(OSError, match="no space"):
                model_file.save(path, {"class": "other"}, {})
        assert path.read_bytes() == before
        assert [p.name for p in path.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, np.array([object()]), len])
def test_what_has_no_form(tmp_path, value):
    with pytest.raises(TypeError, match="has no form in a model file"):
        model_file.save(tmp_path / "m", {"params": value}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, -2]),
        np.array([[0.1, np.nan], [np.inf, 1e-300]]),
        np.array([1.5], np.float32),
        np.array([True, False]),
        np.array([3, 200], np.uint8),
        np.array(["a", "längst"]),
        np.array(["a", "bcd"], object),
        np.empty((0,), np.int64),
    ],
)
def test_arrays_in_the_header(array):
    found = json.loads(json.dumps({"x": array}, default=encode), object_hook=decode)["x"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_numbers_of_numpy():
    values = {"i": np.int64(3), "f": np.float32(0.5), "b": np.bool_(True)}
    assert json.loads(json.dumps(values, default=encode)) == {"i": 3, "f": 0.5, "b": True}


def test_on_cpu():
    layer = nn.Linear(2, 2)
    given = {"a": {"b": torch.ones(2), "c": layer}, "d": 5}
    found = on_cpu(given)
    assert torch.equal(found["a"]["b"], torch.ones(2))
    assert found["a"]["c"] is layer  # there already
    assert found["d"] == 5
    with torch.device("meta"):
        layer = nn.Linear(2, 2)
    assert on_cpu(torch.ones(2, requires_grad=True)).requires_grad is False


# -------------------------------------------------------------------- damaged, foreign, hostile


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model file at"):
        model_file.load(tmp_path / "none")
    with pytest.raises(ModelFileError, match="is a folder, not a model file"):
        model_file.load(tmp_path)


def test_truncated_anywhere(path):
    whole = path.read_bytes()
    for kept in [0, 1, 7, 8, 9, 60, *np.linspace(100, len(whole) - 1, 12).astype(int)]:
        path.write_bytes(whole[:kept])
        with pytest.raises(ModelFileError, match="is not a whole safetensors file"):
            model_file.load(path)


def test_a_flipped_bit_anywhere_is_seen(path):
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):
        for bit in (1, 32, 128):
            damaged = bytearray(whole)
            damaged[place] ^= bit
            path.write_bytes(damaged)
            with pytest.raises(ModelFileError) as error:
                model_file.load(path)
            assert str(path) in str(error.value)


def test_equal_models_are_equal_files(path, tmp_path):
    for _ in range(8):
        model_file.save(tmp_path / "again", HEADER, tensors())
        assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_the_digest_is_of_header_and_weights(path):
    header, weights = model_file.load(path)
    text = json.dumps(header)
    seal = model_file.sealed(text, weights)
    assert json.loads(seal)["sha256"] == model_file.digest(text, weights)
    for other, values in (
        (seal.replace('"a": 1', '"a": 2'), weights),
        (seal, {**weights, "w": weights["w"] + 1}),
        (seal, {**weights, "w": weights["w"].view(3, 2)}),
        (seal, {**weights, "v": weights["w"].clone()}),
        (seal, {k: v for k, v in weights.items() if k != "n"}),
    ):
        save_file({k: v.contiguous() for k, v in values.items()}, path, metadata={"repkit": other})
        with pytest.raises(ModelFileError, match="damaged: its content does not match its digest"):
            model_file.load(path)


def test_a_file_without_a_digest_is_of_an_earlier_version(path):
    header, weights = model_file.load(path)
    own = {k: v.contiguous() for k, v in weights.items()}
    save_file(own, path, metadata={"repkit": json.dumps(header)})
    with pytest.raises(ModelFileError, match="is damaged: it has no digest"):
        model_file.load(path)
    header["format"] = 1
    save_file(own, path, metadata={"repkit": json.dumps(header)})
    with pytest.warns(UserWarning, match="by an earlier version of repkit, without a digest"):
        assert model_file.load(path)[0] == header


def test_a_header_of_any_length_is_not_read(path):
    forge(path, json.dumps({"format": 2, "history": "x" * 8_000_000}))
    with pytest.raises(ModelFileError, match=r"header of 8\d{6} bytes; a model file has at most"):
        model_file.load(path)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    "values", [(torch.nan,), (torch.inf,), (-torch.inf,), (torch.inf, -torch.inf)]
)
def test_weights_that_are_not_finite(path, values, kind):
    forge(path, '{"format": 2}', {"w": torch.tensor([1.0, *values], dtype=kind)})
    with pytest.raises(ModelFileError, match="numbers that are not finite, in w"):
        model_file.load(path)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_whose_sum_is_not_finite(path, kind):
    weights = {"w": torch.full((4,), torch.finfo(kind).max, dtype=kind)}
    model_file.save(path, {}, weights)
    assert torch.equal(model_file.load(path)[1]["w"], weights["w"])


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04" + bytes(200), b"\x80\x04\x95" + bytes(99), b"\xff" * 64, b"hello", bytes(64)],
)
def test_files_of_other_kinds(path, content):
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"is not a whole safetensors file|no readable"):
        model_file.load(path)


def test_a_pickle_is_not_run(path, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "boom"),)

    torch.save({"w": Bomb()}, path)
    with pytest.raises(ModelFileError):
        model_file.load(path)
    assert not (tmp_path / "boom").exists()


def test_safetensors_of_someone_else(path):
    save_file({"w": torch.ones(3)}, path)
    with pytest.raises(ModelFileError, match="has no readable repkit header"):
        model_file.load(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5000,
        "\ud83d".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
        '{"format": 2, "x": {"array": [1], "dtype": "V8"}}',
        '{"format": 2, "x": {"array": [1], "dtype": "M8[s]"}}',
        '{"format": 2, "x": {"array": [1], "dtype": "(2,3f4"}}',
        '{"format": 2, "x": {"array": [1], "dtype": "(1000000,1000000)f4"}}',
        '{"format": 2, "x": {"array": [1], "dtype": [["a", "O"]]}}',
        '{"format": 2, "x": {"array": [1], "dtype": {"names": ["a"], "formats": ["O"]}}}',
        '{"format": 2, "x": {"array": [1], "dtype": 5}}',
        '{"format": 2, "x": {"array": [1e400], "dtype": "i8"}}',
        '{"format": 2, "x": {"array": [' + "9" * 40 + '], "dtype": "i8"}}',
        '{"format": 2, "x": {"array": [[1], [1, 2]], "dtype": "i8"}}',
        '{"format": 2, "x": {"array": ' + "[" * 900 + "]" * 900 + ', "dtype": "i8"}}',
    ],
)
def test_hostile_headers(path, text):
    forge(path, text)
    with pytest.raises(ModelFileError, match="has no readable repkit header"):
        model_file.load(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"format": 999}', "999"),
        ("{}", "None"),
        ("[]", "None"),
        ("5", "None"),
        ('{"format": "1"}', "'1'"),
        ('{"format": [1]}', r"\[1\]"),
    ],
)
def test_other_formats(path, text, found):
    forge(path, text)
    with pytest.raises(ModelFileError, match=f"of model format {found}; this version .* reads 1"):
        model_file.load(path)


@pytest.mark.parametrize("dtype", ["<U100000000", "<U1000000", "<U536870911"])
def test_the_width_of_strings_takes_no_memory(path, dtype):
    forge(path, json.dumps({"format": 2, "x": {"array": ["a", "b"], "dtype": dtype}}))
    tracemalloc.start()
    try:
        header, _ = model_file.load(path)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
    assert header["x"].tolist() == ["a", "b"]
