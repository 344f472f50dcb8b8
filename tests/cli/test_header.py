"""Headers of model files, read without the weights."""

import json

import pytest

import repkit
from repkit.base import model_file
from repkit.cli.header import LONGEST, read_header


def test_it_is_what_the_model_file_holds(models):
    for path in models.iterdir():
        header, tensors = model_file.load(path)
        found = read_header(path)
        assert json.dumps({k: v for k, v in found.content.items() if k != "sha256"}) == json.dumps(
            header, default=model_file.encode
        )
        assert found.tensors == {k: tuple(v.shape) for k, v in tensors.items()}
        assert found.size == path.stat().st_size
        assert len(found.digest) == 64


def test_torn_weights_do_not_matter_and_torn_headers_do(models, tmp_path):
    whole = (models / "vae").read_bytes()
    length = int.from_bytes(whole[:8], "little")
    torn = tmp_path / "torn"
    torn.write_bytes(whole[: 8 + length])
    assert read_header(torn).content["class"] == "VAE"
    for content in (
        b"",
        whole[:20],
        whole[:length],
        b"\xff" * 50,
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        whole[:8] + whole[8:].replace(b"VAE", b"V\xffE"),
    ):
        torn.write_bytes(content)
        with pytest.raises(ValueError, match="torn is no model file of repkit"):
            read_header(torn)


def test_another_programs_file_is_refused(tmp_path):
    import torch
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "other")
    with pytest.raises(ValueError, match="is no model file"):
        read_header(tmp_path / "other")
    assert repkit.__version__


def test_it_reads_headers_as_long_as_load_does():
    assert LONGEST == model_file.LONGEST
