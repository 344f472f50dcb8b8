"""What common parameters become."""

from pathlib import Path

import pytest
import torch
from torch import nn

from repkit import VAEGAN, BiGAN
from repkit.base.rules import (
    OnDevice,
    callbacks_rule,
    device_rule,
    folder_rule,
    rates_of,
)


def test_callbacks():
    assert callbacks_rule("callbacks", None) == ()
    assert callbacks_rule("callbacks", print) == (print,)
    assert callbacks_rule("callbacks", iter([print, len])) == (print, len)
    for wrong in ("print", [1], {"a": print}, 5):
        with pytest.raises(TypeError, match="callbacks must be a callable, an iterable of"):
            callbacks_rule("callbacks", wrong)


def test_devices():
    assert device_rule("device", "cpu") == torch.device("cpu")
    assert device_rule("device", torch.device("cpu")).type == "cpu"
    best = device_rule("device", "auto")
    torch.empty(1, device=best)
    for wrong in ("gpu0", "cuda:99", None, 3.5):
        with pytest.raises(ValueError, match="device must be 'auto', 'cpu' or another torch"):
            device_rule("device", wrong)


def test_folders(tmp_path):
    assert folder_rule("checkpoint", None) is None
    assert folder_rule("checkpoint", "a") == Path("a")
    assert folder_rule("checkpoint", tmp_path) == tmp_path
    for wrong in ("", 5, b"a"):
        with pytest.raises(
            (TypeError, ValueError), match="checkpoint must be the path of a folder, or None"
        ):
            folder_rule("checkpoint", wrong)


def networks():
    return {
        "F": nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.Linear(2, 2)),
        "D": nn.Linear(2, 1),
    }


def test_rates_by_the_longest_name():
    rate = rates_of({"F": 0.1, "F.0": 0.2, "F.0.0": 0.3}, VAEGAN, networks())
    default = VAEGAN().learning_rate
    names = {"F.0.0.weight": 0.3, "F.0.weight": 0.2, "F.1.bias": 0.1, "D.weight": default}
    assert {name: rate(name) for name in names} == names
    assert rate("Fx.weight") == default  # names are compared whole
    one = rates_of(0.5, BiGAN, networks())
    assert {one(name) for name in names} == {0.5}


@pytest.mark.parametrize("wrong", ["G", "F.2", "F.0.0.weight", "f"])
def test_rates_of_what_is_not_there(wrong):
    with pytest.raises(ValueError, match=f"learning_rate has a rate for {wrong!r}; give the name"):
        rates_of({wrong: 0.1}, BiGAN, networks())


class Product(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randn(4, 4))

    def forward(self, x):
        return x @ self.weight


def test_changes_of_batches_are_made_on_the_device_in_float32():
    """By a copy there; the user's own module stays where it is."""
    given = Product()
    moved = OnDevice(given, torch.device("meta")).change
    assert moved.weight.device.type == "meta"
    assert given.weight.device.type == "cpu"
    own = OnDevice(given, torch.device("cpu"))
    assert own.change is given
    x = torch.randn(3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert given(x).dtype == torch.bfloat16
        found = own(x)
    assert torch.equal(found, given(x))
    assert OnDevice(torch.sigmoid, torch.device("cpu"))(x).equal(x.sigmoid())
