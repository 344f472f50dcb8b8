"""What is watched of the codes, and said of those that are ignored."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from repkit import InfoGAN
from repkit.infogan import Categorical, Codes, Continuous
from repkit.infogan.monitor import judge_codes, watch_codes


def test_ignored_codes_are_named(digits, fast):
    with pytest.warns(ConvergenceWarning, match="the generator ignores category0, continuous0"):
        InfoGAN(Categorical((3,), weight=0.0), Continuous(1, weight=0.0), **fast).fit(digits)


def test_codes_that_work_are_not(on_blobs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge_codes(on_blobs.history_, on_blobs._codes())


def test_the_columns_of_perfect_and_of_deaf_readers():
    """G passes its input on; one Q repeats the codes in it, the other says nothing."""
    codes = Codes((4, 2), 1, 3)
    rng = np.random.default_rng(0)
    onehot = [np.eye(k)[rng.integers(k, size=400)] for k in codes.sizes]
    inputs = np.concatenate(
        [rng.uniform(-1, 1, (400, 3)), *onehot, rng.uniform(-1, 1, (400, 1))], 1
    )
    inputs = torch.from_numpy(inputs).float()
    scale = torch.tensor([100.0] * 6 + [1.0])
    networks = {"G": nn.Identity(), "B": nn.Identity(), "Q": lambda x: scale * x[:, 3:]}
    row = watch_codes(networks, codes, inputs, inputs[:200])
    assert row["accuracy_category0"] == row["accuracy_category1"] == 1
    assert row["information_category0"] == pytest.approx(np.log(4), abs=1e-5)
    assert row["information_category1"] == pytest.approx(np.log(2), abs=1e-5)
    assert row["accuracy_continuous0"] == 1
    assert row["information_continuous0"] > 10
    assert 0.98 < row["usage_category0"] <= 1
    assert row["score"] == pytest.approx(np.log(8), abs=0.05)
    row = watch_codes({**networks, "Q": lambda x: 0 * x[:, 3:]}, codes, inputs, inputs[:200])
    assert row["information_category0"] == pytest.approx(0, abs=1e-6)
    assert row["accuracy_continuous0"] == pytest.approx(0, abs=0.1)
    assert row["score"] == pytest.approx(0, abs=1e-6)
    only = {"G": nn.Identity(), "B": nn.Identity(), "Q": lambda x: x[:, 2:] + 0.5}
    row = watch_codes(only, Codes((), 1, 2), inputs[:, :3], inputs[:9, :3])
    assert row["score"] == pytest.approx(-0.25)
