"""Pictures of frames: one size, linear in time, standardized each."""

import numpy as np
import pytest

from repkit.words import as_pictures


def test_by_hand():
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(n, 5)) for n in (4, 30, 1)]
    found = as_pictures(frames, 9)
    assert found.shape == (3, 1, 5, 9)
    assert found.dtype == np.float32
    for x, picture in zip(frames, found[:, 0], strict=True):
        times = np.linspace(0, len(x) - 1, 9)
        wanted = np.stack([np.interp(times, np.arange(len(x)), band) for band in x.T])
        wanted = (wanted - wanted.mean()) / wanted.std(ddof=1)
        np.testing.assert_allclose(picture, wanted, atol=2e-5)


def test_what_does_not_vary_and_what_is_far_away():
    flat, far = as_pictures([np.full((7, 3), -12.0), 1e6 + np.arange(21.0).reshape(7, 3)], 4)
    assert (flat == 0).all()
    assert far.std(ddof=1) == pytest.approx(1, rel=1e-3)
    assert as_pictures([np.ones((2, 3))]).shape[-1] == 48


@pytest.mark.parametrize(
    ("frames", "n_steps", "error", "message"),
    [
        ([np.ones((3, 2))], 1, ValueError, "n_steps must be an integer of at least 2, not 1"),
        ([np.ones((3, 2))], 4.5, TypeError, "n_steps must be an integer"),
        ([], 4, ValueError, "frames must not be empty"),
        ([np.ones((3, 2)), np.ones((3, 4))], 4, ValueError, r"frames\[0\] has 2 features"),
        ([np.full((3, 2), np.nan)], 4, ValueError, r"frames\[0\] contains NaN"),
        ([np.ones(3)], 4, ValueError, r"frames\[0\] must be frames of shape \(T, d\)"),
    ],
)
def test_what_makes_no_picture(frames, n_steps, error, message):
    with pytest.raises(error, match=message):
        as_pictures(frames, n_steps)
