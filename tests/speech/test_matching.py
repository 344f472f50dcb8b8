"""Matching of frames, and vocoders."""

import numpy as np
import pytest
import torch

from repkit.speech import blend_source, match_frames, match_moments, match_voice


def test_the_mean_of_the_nearest_by_hand():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 5)) for n in (7, 3)]
    reference = [rng.normal(size=(n, 5)) for n in (6, 8)]
    frames = [rng.normal(size=(n, 2)) for n in (6, 8)]
    table, rows = np.concatenate(reference), np.concatenate(frames)
    found = match_frames(X, reference, frames, n_neighbors=3)
    for x, y in zip(X, found, strict=True):
        cosines = (x @ table.T) / np.linalg.norm(table, axis=1)
        wanted = rows[np.argsort(-cosines, axis=1)[:, :3]].mean(1)
        np.testing.assert_allclose(y, wanted)


def test_the_voice_is_that_of_the_reference():
    x = np.eye(4)
    (same,) = match_frames(x, x, n_neighbors=1)
    np.testing.assert_array_equal(same, x)
    (whole,) = match_frames(x, [x[:1], x[1:]], n_neighbors=4)
    np.testing.assert_allclose(whole, np.full((4, 4), 0.25))


def test_what_does_not_go_together():
    x = np.ones((3, 2))
    with pytest.raises(ValueError, match="reference must have the 2 columns of X, not 4"):
        match_frames(x, np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"reference_frames must have a row for each .*\[3\]"):
        match_frames(x, x, np.ones((2, 4)))
    with pytest.raises(ValueError, match="n_neighbors must be an integer from 1 to 3, not 4"):
        match_frames(x, x)
    with pytest.raises(ValueError, match=r"X\[0\] contains NaN"):
        match_frames(np.full((3, 2), np.nan), x, n_neighbors=1)


def test_a_vocoder_of_ones_own(fitted, data):
    frames = fitted.convert(data.data[:2], data.data[-1:])
    seen = []

    def vocoder(x):
        seen.append(x)
        return torch.zeros(80 * len(x), requires_grad=True)

    waves = fitted.to_waveform(frames, vocoder=vocoder)
    assert [len(w) for w in waves] == [80 * len(x) for x in frames]
    assert waves[0].dtype == np.float32
    np.testing.assert_array_equal(seen[1], frames[1])
    for wrong, message in (
        (lambda x: x, r"vocoder must give a waveform \(samples,\)"),
        (lambda x: np.full(3, np.nan), "vocoder must give finite numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.to_waveform(frames[0], vocoder=wrong)
    with pytest.raises(TypeError, match="vocoder must be callable, or None, not 'hifi'"):
        fitted.to_waveform(frames[0], vocoder="hifi")


def scaled(frames):
    rows = np.concatenate(frames)
    return [(x - rows.mean(0)) / rows.std(0) for x in frames]


def test_a_voice_by_hand():
    rng = np.random.default_rng(0)
    source = [3 + 2 * rng.normal(size=(n, 4)) for n in (9, 12)]
    voice = [rng.normal(size=(n, 4)) - 5 for n in (8, 11)]
    found = match_voice(source[:1], voice, source=source, n_neighbors=6, context=1, blend=0.25)

    def beside(x):
        return np.hstack([np.concatenate([x[:1], x[:-1]]), x, np.concatenate([x[1:], x[-1:]])])

    (q, _), table = scaled(source), np.concatenate([beside(y) for y in scaled(voice)])
    distances = ((beside(q)[:, None] - table[None]) ** 2).sum(2)
    rows = np.concatenate(voice)
    near = rows[np.argsort(distances, axis=1)[:, :6]].mean(1)
    own = q * rows.std(0) + rows.mean(0)
    assert len(found) == 1
    np.testing.assert_allclose(found[0], 0.75 * near + 0.25 * own, atol=1e-4)
    # Of four bands, the zeroth and the first coefficient alone.
    (found,) = match_voice(
        source[:1], voice, source=source, n_neighbors=6, context=1, blend=0.25, n_cepstra=2
    )
    first = np.cos(np.pi * (np.arange(4) + 0.5) / 4)
    first /= np.linalg.norm(first)
    broad = np.full((4, 4), 0.25) + np.outer(first, first)
    np.testing.assert_allclose(found, near + 0.25 * (own - near) @ broad, atol=1e-4)


def test_a_voice_has_what_the_reference_has():
    rng = np.random.default_rng(0)
    x, voice = rng.normal(size=(300, 3)), 10 + rng.normal(size=(500, 3))
    (all_of_it,) = match_voice(x, voice, blend=1.0)
    np.testing.assert_allclose(all_of_it.mean(0), voice.mean(0), atol=1e-4)
    np.testing.assert_allclose(all_of_it.std(0), voice.std(0), atol=1e-4)
    (none,) = match_voice(x, voice, blend=0.0, n_neighbors=1, context=0)
    assert {tuple(row) for row in none} <= {tuple(row) for row in voice}
    # A person to himself: nothing is lost.
    (same,) = match_voice(x, x, n_neighbors=1)
    np.testing.assert_allclose(same, x, atol=1e-5)


def test_what_a_voice_cannot_be_made_of():
    x = np.random.default_rng(0).normal(size=(6, 2))
    with pytest.raises(ValueError, match="reference must have the 2 columns of X, not 3"):
        match_voice(x, np.ones((9, 3)))
    with pytest.raises(ValueError, match="source must have the 2 columns of X, not 3"):
        match_voice(x, x, source=np.ones((9, 3)))
    with pytest.raises(ValueError, match="n_neighbors must be an integer from 1 to 6, not 7"):
        match_voice(x, x, n_neighbors=7)
    with pytest.raises(ValueError, match="blend must be"):
        match_voice(x, x, blend=1.5)
    with pytest.raises(ValueError, match="n_cepstra must be"):
        match_voice(x, x, n_cepstra=0)
    with pytest.raises(ValueError, match="context must be an integer from 0"):
        match_voice(x, x, context=-1)
    with pytest.raises(ValueError, match=r"source\[0\] contains NaN"):
        match_voice(x, x, source=np.full((3, 2), np.nan))


def test_what_was_said_by_hand():
    rng = np.random.default_rng(0)
    made, said = ([rng.normal(size=(n, 4)) for n in (9, 12)] for _ in range(2))
    source = [3 + 2 * rng.normal(size=(n, 4)) for n in (20, 5)]
    voice = [rng.normal(size=(n, 4)) - 5 for n in (8, 11)]
    found = blend_source(made, said, voice, source=source, blend=0.25, n_cepstra=2)
    first = np.cos(np.pi * (np.arange(4) + 0.5) / 4)
    first /= np.linalg.norm(first)
    broad = np.full((4, 4), 0.25) + np.outer(first, first)
    (mean, std), (own_mean, own_std) = (
        (np.concatenate(some).mean(0), np.concatenate(some).std(0)) for some in (voice, source)
    )
    for x, y, z in zip(made, said, found, strict=True):
        own = (y - own_mean) / own_std * std + mean
        np.testing.assert_allclose(z, x + 0.25 * (own - x) @ broad, atol=1e-4)
    # All of it is what was said, in the voice's moments; none of it changes nothing.
    whole = np.concatenate(blend_source(made, said, voice, blend=1.0, n_cepstra=4))
    np.testing.assert_allclose(whole.mean(0), mean, atol=1e-4)
    np.testing.assert_allclose(whole.std(0), std, atol=1e-4)
    (same,) = blend_source(made[0], said[0], voice, blend=0.0)
    np.testing.assert_allclose(same, made[0], atol=1e-6)
    # What `match_voice` blends is the same.
    near = match_voice(said, voice, source=source, blend=0.0)
    for x, y in zip(
        match_voice(said, voice, source=source, blend=0.4, n_cepstra=3),
        blend_source(near, said, voice, source=source, blend=0.4, n_cepstra=3),
        strict=True,
    ):
        np.testing.assert_allclose(x, y, atol=1e-5)


def test_what_cannot_be_blended():
    x = np.random.default_rng(0).normal(size=(6, 2))
    with pytest.raises(ValueError, match=r"said must have the shapes of X, .*\(6, 2\).*\(5, 2\)"):
        blend_source(x, x[:5], x)
    with pytest.raises(ValueError, match="said must have the shapes of X"):
        blend_source([x], [x, x], x)
    with pytest.raises(ValueError, match="reference must have the 2 columns of said, not 3"):
        blend_source(x, x, np.ones((9, 3)))
    with pytest.raises(ValueError, match="source must have the 2 columns of said, not 3"):
        blend_source(x, x, x, source=np.ones((9, 3)))
    with pytest.raises(ValueError, match="blend must be"):
        blend_source(x, x, x, blend=-0.1)
    with pytest.raises(ValueError, match="n_cepstra must be"):
        blend_source(x, x, x, n_cepstra=0)
    with pytest.raises(ValueError, match=r"said\[0\] contains NaN"):
        blend_source(x, np.full((6, 2), np.nan), x)


def test_moments_by_hand():
    rng = np.random.default_rng(0)
    x, made, real = (
        [rng.normal(size=3) + n * rng.normal(size=(t, 3)) for t in (7, 12)] for n in (1.0, 2.0, 3.0)
    )
    found = match_moments(x, made, real)
    (mean, smooth), (wanted_mean, wanted) = (
        (np.mean([a.mean(0) - a.mean() for a in some], 0), np.mean([a.var(0) for a in some], 0))
        for some in (made, real)
    )
    for y, a in zip(found, x, strict=True):
        np.testing.assert_allclose(y.mean(0), a.mean(0) + wanted_mean - mean, atol=1e-6)
        np.testing.assert_allclose(y.std(0), a.std(0) * np.sqrt(wanted / smooth), rtol=1e-5)
        assert y.mean() == pytest.approx(a.mean())  # as loud as before
    # On average, what was made is as what is real then.
    again = match_moments(made, made, real)
    np.testing.assert_allclose(np.mean([y.var(0) for y in again], 0), wanted, rtol=1e-5)
    np.testing.assert_allclose(np.mean([y.mean(0) - y.mean() for y in again], 0), wanted_mean)


def test_moments_of_what_does_not_vary():
    flat, real = np.ones((4, 2)), np.random.default_rng(0).normal(size=(9, 2))
    mean = real.mean(0) - real.mean()
    (found,) = match_moments(flat, flat, real)
    np.testing.assert_allclose(found, flat + mean, atol=1e-6)
    (found,) = match_moments(real, flat, real)  # nothing says how much is missing
    np.testing.assert_allclose(found, real + mean, atol=1e-6)
    (found,) = match_moments(real, real, flat)
    np.testing.assert_allclose(found, np.full((9, 2), real.mean()), atol=1e-6)
    with pytest.raises(ValueError, match="made must have the 2 columns of X, not 3"):
        match_moments(real, np.ones((9, 3)), real)
    with pytest.raises(ValueError, match="real must have the 2 columns of X, not 3"):
        match_moments(real, real, np.ones((9, 3)))
    with pytest.raises(ValueError, match=r"made\[0\] contains NaN"):
        match_moments(real, np.full((3, 2), np.nan), real)
    with pytest.raises(ValueError, match="real must not be empty"):
        match_moments(real, real, [])
