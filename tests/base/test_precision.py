"""What precision="auto" becomes: asked of a GPU, measured once on a CPU, and then kept."""

import json

import pytest
import torch
from torch import nn

from repkit.base import precision
from repkit.base.precision import has_fast_bf16, precision_of, quicker

CPU = torch.device("cpu")


@pytest.fixture
def able(monkeypatch, tmp_path):
    """A CPU with instructions for bf16, a cache of its own; gives what a measurement says."""
    said = {"answer": True, "asked": 0}

    def measured():
        said["asked"] += 1
        return said["answer"]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(precision, "_has_instructions", lambda: True)
    monkeypatch.setattr(precision, "quicker", measured)
    precision._timed.cache_clear()
    yield said
    precision._timed.cache_clear()


def test_precision(monkeypatch):
    table, images = {"F": nn.Linear(2, 2)}, {"F": nn.Sequential(nn.Conv2d(1, 1, 3))}
    for fast, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(precision, "has_fast_bf16", lambda device, fast=fast: fast)
        assert precision_of("auto", CPU, images) == expected
        assert precision_of("auto", CPU, table) == "fp32"
        assert precision_of("bf16", CPU, table) == "bf16"
        assert precision_of("fp32", CPU, images) == "fp32"


def test_no_other_device_is_fast_at_bf16():
    assert has_fast_bf16(torch.device("meta")) is False
    assert has_fast_bf16(torch.device("mps")) is False


def test_a_cpu_without_instructions_is_not_timed(able, monkeypatch):
    monkeypatch.setattr(precision, "_has_instructions", lambda: False)
    assert has_fast_bf16(CPU) is False
    assert able["asked"] == 0


@pytest.mark.parametrize("answer", [True, False])
def test_the_first_measurement_is_the_only_one(able, tmp_path, answer):
    able["answer"] = answer
    assert has_fast_bf16(CPU) is answer
    able["answer"] = not answer  # chance, at another time
    assert has_fast_bf16(CPU) is answer
    precision._timed.cache_clear()  # in another process
    assert has_fast_bf16(CPU) is answer
    assert able["asked"] == 1
    (file,) = (tmp_path / "repkit").iterdir()
    (machine,) = json.loads(file.read_text())
    assert f"torch {torch.__version__}, threads {torch.get_num_threads()}" in machine


def test_another_process_may_have_been_first(able, tmp_path, monkeypatch):
    folder = tmp_path / "repkit"

    def measured():
        folder.mkdir()
        (folder / "bf16.json").write_text(json.dumps({"here": False, "there": True}))
        return True

    monkeypatch.setattr(precision, "quicker", measured)
    assert precision._timed("here") is False
    assert json.loads((folder / "bf16.json").read_text()) == {"here": False, "there": True}


@pytest.mark.parametrize("content", ["", "junk", "[1]", '{"here": 1}', None])
def test_a_cache_that_is_of_no_use(able, tmp_path, content):
    if content is None:
        (tmp_path / "repkit").write_text("a file where the folder should be")
    else:
        (tmp_path / "repkit").mkdir()
        (tmp_path / "repkit" / "bf16.json").write_text(content)
    assert precision._timed("here") is True
    assert able["asked"] == 1
    assert precision._timed("here") is True  # in this process, whatever becomes of the file
    assert able["asked"] == 1


def test_the_measurement(monkeypatch):
    """Made of times alone; no random number is drawn for it."""
    monkeypatch.setattr(precision, "WIDTHS", (2, 3))  # without instructions it takes long
    before = torch.get_rng_state()
    assert quicker() in (True, False)
    assert torch.equal(torch.get_rng_state(), before)
    for factor, expected in ((0.5, True), (0.84, True), (0.9, False), (2.0, False)):
        clock = iter_clock(factor)
        monkeypatch.setattr(precision.time, "perf_counter", lambda clock=clock: next(clock))
        assert quicker() is expected


def iter_clock(factor):
    """Steps take a second in fp32, ``factor`` in bf16, and one of each was disturbed."""
    now, k = 0.0, 0
    while True:
        yield now
        now += (factor if k % 2 else 1.0) * (5.0 if k in (4, 5) else 1.0)
        k += 1
        yield now
