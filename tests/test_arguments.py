"""Checks of single arguments: what passes, and what the errors say."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from repkit import _arguments
from repkit._arguments import choice, device, function, integer, mapping, named, number, path, shown


def test_what_passes():
    assert integer(np.int8(3), "n") == 3
    assert type(integer(np.int8(3), "n")) is int
    assert number(np.float32(0.5), "w") == 0.5
    assert number(-2, "w", -math.inf) == -2.0
    assert choice(np.str_("a"), "kind", ("a", "b")) == "a"
    assert choice(np.True_, "on", (False, True)) is True
    assert function(None, "f", "x -> y") is None
    assert function(abs, "f", "x -> y") is abs
    assert path("a/b", "path") == path(Path("a/b"), "path") == Path("a/b")
    assert mapping({}, "codes", "values by code") == {}
    assert device("cpu") == device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: integer(0, "n"), ValueError, "n must be an integer of at least 1, not 0"),
        (lambda: integer(True, "n"), TypeError, "n must be an integer of at least 1, not True"),
        (lambda: number(True, "w"), TypeError, "w must be a number of at least 0, not True"),
        (lambda: integer(7, "n", 1, 5), ValueError, "n must be an integer from 1 to 5, not 7"),
        (
            lambda: integer(10**4, "n", 1, 2000),
            ValueError,
            "n must be an integer from 1 to 2000, not 10000",
        ),
        (
            lambda: integer("a", "n", otherwise=", or None"),
            TypeError,
            "n must be an integer of at least 1, or None, not 'a'",
        ),
        (
            lambda: number(1.0, "w", 0.0, 1.0, above=True, below=True),
            ValueError,
            "w must be a number above 0 and below 1, not 1.0",
        ),
        (lambda: number(10**400, "w"), ValueError, "w must be a number of at least 0, not 1000"),
        (
            lambda: number(math.nan, "w", -math.inf),
            ValueError,
            "w must be a finite number, not nan",
        ),
        (lambda: choice(["a"], "kind", ("a",)), ValueError, "kind must be one of ['a'], not ['a']"),
        (
            lambda: function(3, "f", "x -> y", optional=False),
            TypeError,
            "f must be a function x -> y, not 3",
        ),
        (lambda: path(3, "path"), TypeError, "path must be the path of a file, not 3"),
        (lambda: path("a\0", "path"), ValueError, "path must be the path of a file, not 'a\\x00'"),
        (lambda: path("a" * 300, "path"), ValueError, "not so long a name: 'aaa"),
        (lambda: mapping([], "codes", "values"), TypeError, "codes must be a dict of values, not"),
        (lambda: device("junk"), ValueError, "device must be 'auto', 'cpu' or another torch dev"),
        (lambda: device("meta"), ValueError, "not 'meta': its tensors hold no numbers"),
        (lambda: device(None), ValueError, "not None"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


def test_errors_of_others_get_the_name():
    message = r"^y must be labels: could not convert string to float"
    with pytest.raises(ValueError, match=message), named("y", "labels"):
        float("a")
    with pytest.raises(ValueError, match=r"^y has 3 rows$"), named("y", "labels"):
        raise ValueError("y has 3 rows")
    with pytest.raises(FileNotFoundError, match=r"^X must be files: gone$"), named("X", "files"):
        raise FileNotFoundError("gone")
    with pytest.raises(KeyError), named("X", "files"):
        raise KeyError("a")


def test_whatever_the_value_it_is_shown_shortly():
    class Mute:
        def __repr__(self):
            raise RuntimeError

    assert shown(Mute()) == "an object of Mute"
    assert len(shown("a" * 1000)) == 100
    assert _arguments.MOST == 10**9


@pytest.fixture
def best(monkeypatch):
    """``device="auto"`` of a process that has not asked yet, on a machine with two GPUs."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    _arguments._best.cache_clear()
    yield lambda: device("auto")
    _arguments._best.cache_clear()


def test_the_best_device_is_a_gpu_that_works(best, monkeypatch):
    asked, ones = [], torch.ones
    monkeypatch.setattr(torch, "ones", lambda n, device: asked.append(device) or ones(n))
    assert best() == torch.device("cuda")
    assert best() == torch.device("cuda")
    assert asked == ["cuda"]  # a kernel is run once
    for rank, name in (("0", "cuda:0"), ("1", "cuda:1"), ("3", "cuda:1"), ("x", "cuda")):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert best() == torch.device(name)


def test_a_gpu_without_kernels_is_passed_over(best, monkeypatch):
    def fail(n, device):
        raise RuntimeError("CUDA error: no kernel image is available\nmore lines")

    monkeypatch.setattr(torch, "ones", fail)
    with pytest.warns(UserWarning, match="takes the CPU, since 'cuda' does not work: CUDA error: "):
        assert best() == torch.device("cpu")
    assert best() == torch.device("cpu")  # told once


def test_an_apple_gpu_is_not_the_best(best, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert best() == torch.device("cpu")
