"""Vectors of frames: wherever a recording is cut, the same; in files, units and conversions."""

import numpy as np
import pytest

import repkit
from repkit import SpeechAutoencoder
from repkit.speech import Prototypes, SpeechEncoder, Swap

CLUSTERS = Prototypes((4,), segment_size=3, frame_size=6)


@pytest.fixture(scope="module", params=["frames", "both"])
def model(request, small, data):
    encoder = SpeechEncoder(pooling=request.param)
    return small(encoder=encoder, prototypes=CLUSTERS).fit(data.data, data.speaker)


def test_one_vector_for_every_two_frames(model, data):
    vectors, times = model.transform_frames(data.data, return_times=True)
    for wave, v, t in zip(data.data, vectors, times, strict=True):
        frames = 1 + len(wave) // 80
        assert v.shape == (-(-frames // 2), 8)
        assert v.dtype == np.float32
        np.testing.assert_allclose(t, 0.005 + 0.02 * np.arange(len(v)))
    assert model.transform(data.data[:3]).shape == (3, 12)
    spread = np.concatenate(vectors).std(0)
    assert (np.diff(spread) < 1e-5).all()  # what the perturbation leaves most alone comes first
    trained = np.concatenate(vectors) @ np.linalg.inv(model.frame_basis_) + model.frame_mean_
    assert 0.2 < trained.std(0).min() < trained.std(0).max() < 5


def test_company_and_cuts_change_nothing(model, data, tmp_path):
    vectors = model.transform_frames(data.data)
    np.testing.assert_allclose(model.transform_frames(data.data[5:6])[0], vectors[5], atol=1e-5)
    for index, v, t in model.iter_frames(data.data[:4]):
        np.testing.assert_allclose(v, vectors[index], atol=1e-5)
        assert len(t) == len(v)
    # A recording of several words, in pieces of any length.
    long = [np.concatenate(data.data[:12])]
    given = model.max_frames
    try:
        whole = model.set_params(max_frames=10**5).transform_frames(long)[0]
        back = model.reconstruct(long)[0]
        for most in (1, 37, 100):
            model.set_params(max_frames=most)
            np.testing.assert_allclose(model.transform_frames(long)[0], whole, atol=1e-5)
        again = model.set_params(max_frames=60).reconstruct(long)[0]
    finally:
        model.set_params(max_frames=given)
    assert back.shape == again.shape == (1 + len(long[0]) // 80, 20)
    model.save(tmp_path / "model.safetensors")
    other = repkit.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(other.transform_frames(data.data[:3])[1], vectors[1])


def test_units(model, data):
    units = model.transform_units(data.data)
    vectors = model.transform_frames(data.data)
    assert [len(u) for u in units] == [len(v) for v in vectors]
    directions = model.networks_["Kf"].directions[0].detach().numpy()
    trained = vectors[3] @ np.linalg.inv(model.frame_basis_) + model.frame_mean_
    cosines = trained @ (directions / np.linalg.norm(directions, axis=1, keepdims=True)).T
    np.testing.assert_array_equal(units[3], cosines.argmax(1))


@pytest.mark.parametrize("method", ["leace", "subspace", "regression"])
def test_erasure(small, data, method):
    options = {"encoder": SpeechEncoder(pooling="frames"), "prototypes": CLUSTERS}
    model = small(erase=method, **options).fit(data.data, data.speaker)
    vectors = np.concatenate(model.transform_frames(data.data))
    rows = np.repeat(np.arange(48), [len(v) for v in model.transform_frames(data.data)])
    means = np.stack([vectors[data.speaker[rows] == k].mean(0) for k in range(3)])
    spread = np.abs(means - means.mean(0)).max()
    if method == "regression":
        s = model.transform_speaker(data.data)[rows]
        assert np.abs((vectors - vectors.mean(0)).T @ (s - s.mean(0))).max() < 0.02
    else:
        assert spread < (1e-4 if method == "leace" else 0.2)
    units = model.transform_units(data.data)
    plain = small(**options).fit(data.data, data.speaker).transform_units(data.data)
    assert all((a == b).all() for a, b in zip(units, plain, strict=True))


def test_whitening_can_be_left_out(small, data):
    """And is, where no voices are perturbed."""
    options = {"prototypes": CLUSTERS, "max_epochs": 1}
    plain = SpeechEncoder(pooling="frames", whiten=False)
    for change in ({"encoder": plain}, {"perturb": 0.0}, {"front_end": "mfcc"}):
        given = {"encoder": SpeechEncoder(pooling="frames"), **change}
        model = small(**options, **given).fit(data.data, data.speaker)
        assert not hasattr(model, "frame_basis_")
        spread = np.concatenate(model.transform_frames(data.data)).std(0)
        assert 0.2 < spread.min() < spread.max() < 5


def test_frames_of_somebody_else(small):
    """Stand-ins for the frames of a pretrained encoder: their vectors, times and units."""
    rng = np.random.default_rng(0)
    speaker = np.repeat(np.arange(4), 6)
    voices = rng.standard_normal((4, 48))
    frames = [rng.standard_normal((t, 48)) + voices[k] for t, k in enumerate(speaker, 9)]
    model = SpeechAutoencoder(
        8,
        4,
        width=24,
        encoder=SpeechEncoder(stack=1, pooling="both"),
        max_epochs=2,
        random_state=0,
    ).fit(frames, speaker)
    vectors, times = model.transform_frames(frames, return_times=True)
    assert [len(v) for v in vectors] == [len(x) for x in frames]
    np.testing.assert_array_equal(times[2], np.arange(11))
    assert model.convert(frames[:1], frames[-1:])[0].shape == frames[0].shape
    assert {len(u) for u in model.transform_units(frames)} == {len(x) for x in frames}


def test_skipped_utterances_have_no_vectors(model, data):
    given = [data.data[0], np.zeros(0), data.data[1]]
    model.set_params(on_error="skip")
    try:
        with pytest.warns(UserWarning, match="1 of 3 utterances were skipped"):
            vectors = model.transform_frames(given)
        with pytest.warns(UserWarning, match="1 of 3"):
            assert len(model.transform_units(given)[1]) == 0
        assert [index for index, *_ in model.iter_frames(given)] in ([0, 2], [2, 0])
    finally:
        model.set_params(on_error="raise")
    assert vectors[1].shape == (0, 8)


def test_errors(small, data, fitted):
    for method in ("transform_frames", "transform_units"):
        with pytest.raises(ValueError, match="gives no vectors of frames: fit it with"):
            getattr(fitted, method)(data.data)
    with pytest.raises(ValueError, match="gives no vectors of frames"):
        next(fitted.iter_frames(data.data))
    frames = SpeechEncoder(pooling="frames")
    plain = small(encoder=frames, max_epochs=1, prototypes=None).fit(data.data, data.speaker)
    assert plain.transform_frames(data.data[:1])[0].shape[1] == 8
    with pytest.raises(ValueError, match="there are no clusters of frames"):
        plain.transform_units(data.data)
    for change in ({"swap": Swap(cycle=0.3)}, {"prototypes": Prototypes(quantize=0.1)}):
        with pytest.raises(ValueError, match=r"(swap__cycle|prototypes__quantize) is about"):
            small(encoder=frames, **change).fit(data.data, data.speaker)
    with pytest.raises(ValueError, match="pooling must be"):
        small(encoder=SpeechEncoder(pooling="mean")).fit(data.data, data.speaker)
