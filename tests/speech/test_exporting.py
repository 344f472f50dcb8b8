"""Programs of speech: padded frames and their lengths in, what `transform` gives out."""

import json

import numpy as np
import pytest
import torch

from repkit import SpeechAutoencoder
from repkit.audio import FrontEnd, as_utterances, extract
from repkit.speech import Prototypes, SpeechEncoder

RNG = np.random.default_rng(0)
FRAMES = [RNG.normal(size=(n, 6)).astype(np.float32) for n in (31, 9, 4, 52, 20, 12)]
OWN = {"phonetic_dim": 8, "speaker_dim": 4, "width": 12, "max_epochs": 1, "steps_per_epoch": 2}
OWN |= {"random_state": 0, "device": "cpu", "max_frames": 25, "prototypes": None}


def padded(frames):
    """What a program takes: frames with anything beyond their ends, and lengths."""
    x = np.full((len(frames), max(map(len, frames)), frames[0].shape[1]), np.nan, np.float32)
    for row, own in zip(x, frames, strict=True):
        row[: len(own)] = own
    return x, np.array([len(own) for own in frames])


def run(path, *arrays):
    """What a program gives, and what is told beside it."""
    told = {"repkit": ""}
    module = torch.export.load(path, extra_files=told).module()
    with torch.no_grad():
        return module(*map(torch.from_numpy, arrays)).numpy(), json.loads(told["repkit"])


def of_frames(**options):
    return SpeechAutoencoder(**{**OWN, **options}).fit(FRAMES, np.arange(6) % 2)


def test_sound_by_way_of_the_front_end(fitted, data, tmp_path):
    """With the level of each utterance taken out, and the speaker erased."""
    assert fitted.erasure_matrix_.shape == (8, 8)
    fitted.export(tmp_path / "m.pt2")
    front_end = FrontEnd(sample_rate=8000, n_mels=20)
    waves = [*data.data[:3], np.concatenate([*data.data[:12]])]  # the last is cut into pieces
    frames = extract(as_utterances(waves, sample_rate=8000), front_end).frames
    assert len(frames[-1]) > fitted.max_frames
    found, told = run(tmp_path / "m.pt2", *padded(frames))
    np.testing.assert_allclose(found, fitted.transform(waves), atol=1e-4)
    assert told["columns"] == fitted.get_feature_names_out().tolist()
    assert FrontEnd(**told["front_end"]) == front_end


def test_frames_made_by_somebody_else(tmp_path):
    """A GRU with instance norm, quantized, and what the speaker vector explains taken out."""
    model = of_frames(
        encoder=SpeechEncoder("gru", content_norm="instance"),
        prototypes=Prototypes((3,), quantize=0.1, quantize_start=0.0),
        erase="regression",
        output="phonetic",
    )
    model.export(tmp_path / "m.pt2")
    found, told = run(tmp_path / "m.pt2", *padded(FRAMES))
    np.testing.assert_allclose(found, model.transform(FRAMES), atol=1e-4)
    assert "front_end" not in told
    one, _ = run(tmp_path / "m.pt2", *padded(FRAMES[1:2]))
    np.testing.assert_allclose(one, model.transform(FRAMES[1:2]), atol=1e-4)


def test_vectors_of_frames_are_not_exported(tmp_path):
    model = of_frames(encoder=SpeechEncoder(pooling="both"))
    with pytest.raises(ValueError, match=r"one of \['transform'\], not 'transform_frames'"):
        model.export(tmp_path / "m.pt2", method="transform_frames")


def test_onnx(tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = of_frames(erase="leace")
    model.export(tmp_path / "m.onnx")
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [x.shape for x in session.get_inputs()] == [["batch", "time", 6], ["batch"]]
    for chosen in (FRAMES, FRAMES[2:3]):
        frames, length = padded(chosen)
        (found,) = session.run(None, {"frames": frames, "length": length})
        np.testing.assert_allclose(found, model.transform(chosen), atol=1e-4)


def test_frames_are_float32(tmp_path):
    with pytest.raises(ValueError, match="dtype must be 'float32', of frames of speech, not 'uint"):
        of_frames().export(tmp_path / "m.pt2", dtype="uint8")
