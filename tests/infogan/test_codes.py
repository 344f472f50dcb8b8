"""Codes by name: read, set, walked along, and matched with labels."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError

from repkit import InfoGAN, load

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_a_category_set_is_the_category_read(on_blobs):
    for category in range(3):
        samples = on_blobs.sample(50, {"category0": category}, random_state=0)
        assert np.mean(on_blobs.predict(samples) == category) > 0.8


def test_names_of_the_codes(fitted, digits):
    assert list(fitted.get_feature_names_out()) == [
        *(f"category0_{v}" for v in range(4)),
        *(f"category1_{v}" for v in range(3)),
        "continuous0",
        "continuous1",
    ]
    codes = fitted.transform(digits[:50])
    np.testing.assert_allclose(codes[:, :4].sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(codes[:, 4:7].sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(fitted.predict(digits[:50]), codes[:, :4].argmax(1))
    columns = set(fitted.history_)
    for code in ("category0", "category1", "continuous0", "continuous1"):
        assert {f"information_{code}", f"accuracy_{code}"} <= columns
    assert {"usage_category0", "usage_category1", "score", "d_real", "d_fake"} <= columns


def test_samples_take_the_codes_given(fitted):
    latents = fitted._latents_with(
        6, {"category1": [0, 1, 2, 0, 1, 2], "continuous1": 0.25, "category0": 3}, 0
    )
    np.testing.assert_array_equal(latents[:, 5:9], np.eye(4)[[3] * 6])
    np.testing.assert_array_equal(latents[:, 9:12], np.eye(3)[[0, 1, 2, 0, 1, 2]])
    np.testing.assert_array_equal(latents[:, 13], np.full(6, 0.25, dtype=np.float32))
    free = fitted._latents_with(6, {}, 0)
    np.testing.assert_array_equal(latents[:, :5], free[:, :5])
    np.testing.assert_array_equal(latents[:, 12], free[:, 12])
    for codes, message in (
        ({"category2": 0}, "there is no code 'category2'"),
        ({"category0": 4}, "category0 must have values from 0 to 3"),
        ({"category0": 0.5}, "category0 must have values from 0 to 3"),
        ({"continuous0": [1, 2]}, r"one value or 6, not values of shape \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.sample(6, codes)


def test_a_traversal_changes_one_code_along_a_row(fitted):
    samples = fitted.traverse("continuous1", [-1, 0, 1], n_rows=4, random_state=0)
    assert samples.shape == (4, 3, 8, 8)
    for row in range(4):
        latents = np.repeat(fitted._latents_with(4, {}, 0)[row : row + 1], 3, 0)
        latents[:, 13] = [-1, 0, 1]
        np.testing.assert_allclose(fitted._generate(latents), samples[row], atol=1e-5)
    assert fitted.traverse("category0").shape == (10, 4, 8, 8)
    assert fitted.traverse("continuous0").shape == (10, 10, 8, 8)
    with pytest.raises(ValueError, match="there is no code 'rotation'"):
        fitted.traverse("rotation")
    with pytest.raises(NotFittedError):
        InfoGAN().traverse("category0")


def test_labels_must_fit(fitted, digits, tmp_path):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.match_labels(np.zeros(10))
    fitted.save(tmp_path / "m.safetensors")
    copy = load(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="match_labels needs X"):
        copy.match_labels(np.zeros(300))
    y = load_digits().target[:300]
    np.testing.assert_array_equal(copy.match_labels(y, digits[:300]), fitted.match_labels(y))


@quiet
@pytest.mark.parametrize("codes", [((), 2), ((5,), 0), ((2, 2, 2), 1)], ids=str)
def test_codes_of_every_kind(digits, codes, fast):
    model = InfoGAN(*codes, **fast).fit(digits[:300])
    width = sum(codes[0]) + codes[1]
    assert model.transform(digits).shape == (1797, width)
    assert model.sample(3).shape == (3, 8, 8)
    if codes[0]:
        assert model.fit_predict(digits[:300]).shape == (300,)
    else:
        for call in (model.predict, model.fit_predict):
            with pytest.raises(ValueError, match="categories need a categorical code"):
                call(digits)
        with pytest.raises(ValueError, match="categories need a categorical code"):
            model.match_labels(np.zeros(300))


def test_what_is_drawn_is_the_prior(fitted):
    latents = fitted._latents(4000, np.random.default_rng(0))
    assert latents.shape == (4000, 14)
    uniform = latents[:, [0, 1, 2, 3, 4, 12, 13]]
    assert np.abs(uniform).max() <= 1
    assert np.abs(uniform.mean(0)).max() < 0.05
    assert np.abs(uniform.var(0) - 1 / 3).max() < 0.03
    for onehot in (latents[:, 5:9], latents[:, 9:12]):
        assert set(np.unique(onehot)) == {0, 1}
        assert (onehot.sum(1) == 1).all()
        assert np.abs(onehot.mean(0) - 1 / onehot.shape[1]).max() < 0.03
    with pytest.raises(ValueError, match="n must be an integer of at least 1, not 0"):
        fitted.sample(0)
    drawn = [fitted.sample(2, random_state=np.random.default_rng(3)) for _ in range(2)]
    np.testing.assert_array_equal(*drawn)
