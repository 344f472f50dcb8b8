"""Steps on a real GPU: the host never waits, and a step as a graph is the step."""

from __future__ import annotations

import logging
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import nn

import repkit
from repkit.engine import Engine, replay
from repkit.speech import FrameNetwork

from . import test_accelerator
from .test_accelerator import IN_BF16, cases, fitted

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
FITS = {name: case for name, *case in cases()} if torch.cuda.is_available() else {}
STEPS, EPOCHS = 20, 2


@pytest.fixture(autouse=True)
def longer(monkeypatch):
    monkeypatch.setattr(test_accelerator, "STEPS", STEPS)
    monkeypatch.setattr(test_accelerator, "EPOCHS", EPOCHS)


@pytest.fixture
def replays(monkeypatch):
    """One entry for each graph that was launched."""
    found, launch = [], replay.CudaGraph.replay

    def counted(self):
        found.append(self)
        return launch(self)

    monkeypatch.setattr(replay.CudaGraph, "replay", counted)
    return found


def apart(one, other):
    """The greatest distance of histories and of outputs."""
    return max(float(np.nanmax(np.abs(a - b))) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", FITS)
def test_a_step_as_a_graph(name, precision, replays, monkeypatch, caplog):
    if precision == "bf16" and name not in IN_BF16:
        pytest.skip("products in float32 alone")
    step = Engine.step

    def watched(self):
        torch.cuda.set_sync_debug_mode("error")
        try:
            step(self)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setenv("REPKIT_GRAPHS", "0")
    with patch.object(Engine, "step", watched):
        eager = fitted(*FITS[name], "cuda", precision)
    again = fitted(*FITS[name], "cuda", precision)
    assert not replays
    monkeypatch.setenv("REPKIT_GRAPHS", "1")  # also with the tests' own code
    with caplog.at_level(logging.INFO, "repkit"):
        graphed = fitted(*FITS[name], "cuda", precision)
    refused = [r.message for r in caplog.records if "not recorded" in r.message]
    noise, found = apart(eager, again), apart(eager, graphed)
    print(f"{name}, {precision}: {len(replays)} replays, apart {found:.2g}, noise {noise:.2g}")
    print(*refused)
    expected = name in ("Speech GRU", "DANN entropy")  # cuDNN's own weights; SGD
    assert bool(refused) == expected, refused
    assert len(replays) > STEPS or expected
    # Sums in any order. Of speech they come to much: on a CPU a millionth of X, up or down, moves
    # this fit by up to .2, and by up to 1 in bf16.
    chaos = {"fp32": 0.5, "bf16": 1.5}[precision] if name.startswith("Speech") else 1e-3
    assert found <= max(10 * noise, chaos)


@pytest.mark.parametrize("name", ["DANN", "VAE", "VAEGAN", "InfoGAN joint", "TripleGAN", "Speech"])
def test_a_graph_of_what_was_compiled(name, replays, monkeypatch, caplog):
    kind, options, X, given = FITS[name]
    monkeypatch.setenv("REPKIT_GRAPHS", "1")  # also with the tests' own code
    plain = fitted(kind, options, X, given, "cuda", "fp32")
    before = len(replays)
    with caplog.at_level(logging.INFO, "repkit"):
        found = fitted(kind, options | {"compile": True}, X, given, "cuda", "fp32")
    refused = [r.message for r in caplog.records if "not recorded" in r.message]
    print(f"{name}: {len(replays) - before} replays of {before}, apart {apart(plain, found):.2g}")
    assert not refused
    assert len(replays) - before >= before - 5
    if name != "TripleGAN":  # compiled dropout draws other numbers
        assert apart(plain, found) < (0.5 if name == "Speech" else 1e-3)


def test_a_step_that_cannot_be_recorded(replays, monkeypatch, caplog):
    class Waiting(nn.Module):
        def forward(self, x):
            torch.cuda.current_stream().synchronize()
            return x

    def fit(**options):
        X = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
        given = {"width": 16, "batch_size": 8, "random_state": 0, "device": "cuda"}
        model = repkit.DANN(max_epochs=2, steps_per_epoch=12, **given, **options)
        model.fit(X, np.arange(64) % 2, sample_domain=np.repeat([1, -2], 32))
        return model.predict_proba(X[32:], sample_domain=np.full(32, -2))

    monkeypatch.setenv("REPKIT_GRAPHS", "0")
    expected = fit()
    monkeypatch.setenv("REPKIT_GRAPHS", "1")
    with caplog.at_level(logging.INFO, "repkit"):
        found = fit(augment=Waiting())
    assert "are not recorded" in caplog.text
    print(caplog.text)
    assert not replays
    np.testing.assert_allclose(found, expected, atol=1e-3)
    # What failed leaves nothing behind: the next fit is recorded.
    np.testing.assert_allclose(fit(), expected, atol=1e-3)
    assert replays


def test_a_frame_network_is_that_of_a_cpu():
    rng = np.random.default_rng(0)
    labels = [rng.integers(4, size=n) for n in (300, 200)]
    centers = rng.normal(size=(4, 6))
    frames = [centers[y] + 0.3 * rng.normal(size=(len(y), 6)) for y in labels]
    read = {}
    for device in ("cpu", "cuda"):
        model = FrameNetwork(1, width=32, max_epochs=8, device=device, random_state=0)
        read[device] = np.concatenate(model.fit(frames, labels).transform(frames))
        assert np.mean(read[device].argmax(1) == np.concatenate(labels)) > 0.9
        assert next(model.network_.parameters()).device.type == "cpu"
    # Noise and dropout are drawn by other generators.
    assert np.abs(read["cpu"] - read["cuda"]).mean() < 0.1
