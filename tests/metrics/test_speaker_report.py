import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from repkit.metrics import (
    abx_error,
    disentanglement_report,
    linear_probe,
    mean_std,
    probe_report,
    resampled_pca,
    same_different,
    speaker_eer,
    swap_test,
)

WORDS, SPEAKERS = np.tile(np.arange(4), 90), np.repeat(np.arange(3), 120)
TEST = np.arange(360) // 4 % 3 == 0


def vectors(words=0.0, speakers=0.0, d=6, seed=0):
    """Vectors that hold as much of the word and the speaker as is asked."""
    rng = np.random.default_rng(seed)
    of_word, of_speaker = rng.normal(size=(4, d)), rng.normal(size=(3, d))
    noise = rng.normal(size=(360, d))
    return words * of_word[WORDS] + speakers * of_speaker[SPEAKERS] + noise


def rings(n, rng):
    """Two classes at two distances from the origin: nothing for a linear probe."""
    y = np.arange(n) % 2
    X = rng.normal(size=(n, 2))
    X *= ((1 + y) / np.linalg.norm(X, axis=1))[:, None]
    return X + 0.1 * rng.normal(size=(n, 2)), y


def test_the_mlp_sees_what_the_linear_probe_does_not():
    rng = np.random.default_rng(0)
    (X, y), (X_test, y_test) = rings(400, rng), rings(200, rng)
    scores = probe_report(X, y, X_test, y_test)
    assert scores["linear"] == linear_probe(X, y, X_test, y_test)["accuracy"] < 0.65
    assert scores["mlp"] > 0.95
    assert scores["chance"] == 0.5
    assert scores["linear_random"] == pytest.approx(0.5, abs=0.15)
    assert scores["mlp_random"] == pytest.approx(0.5, abs=0.15)


def test_shuffled_labels_bring_both_probes_to_chance():
    X = vectors(words=3, speakers=1)
    scores = probe_report(X[~TEST], WORDS[~TEST], X[TEST], WORDS[TEST])
    assert scores["linear"] > 0.95
    assert scores["mlp"] > 0.95
    assert scores["linear_random"] < 0.45
    assert scores["mlp_random"] < 0.45


def test_chance_is_the_best_constant_answer():
    y = np.array(["a", "b"] * 20)
    scores = probe_report(np.zeros((40, 2)), y, np.zeros((4, 2)), np.array(["b", "b", "a", "b"]))
    assert scores["chance"] == 0.75
    assert scores["linear"] in (0.25, 0.75)


def test_probes_do_not_hang_on_the_scale_and_survive_constant_columns():
    X = vectors(words=2)
    scores = probe_report(X[~TEST], WORDS[~TEST], X[TEST], WORDS[TEST])
    far = np.concatenate([10.0 ** np.arange(-3, 3) * X + 1e3, np.full((360, 2), 7.0)], axis=1)
    again = probe_report(far[~TEST], WORDS[~TEST], far[TEST], WORDS[TEST])
    assert again["mlp"] == pytest.approx(scores["mlp"], abs=0.05)
    with torch.no_grad():
        assert probe_report(X[~TEST], WORDS[~TEST], X[TEST], WORDS[TEST]) == scores


def test_swap():
    real, converted = vectors(3, 3), vectors(3, 3)
    # the speaker of the next ones, by moving the vectors there
    target = (SPEAKERS + 1) % 3
    of_speaker = np.stack([real[s == SPEAKERS].mean(axis=0) for s in range(3)])
    moved = converted + of_speaker[target] - of_speaker[SPEAKERS]
    part = {"real": real[~TEST], "real_speakers": SPEAKERS[~TEST], "real_words": WORDS[~TEST]}
    asked = {"target_speakers": target[TEST], "words": WORDS[TEST]}
    asked["source_speakers"] = SPEAKERS[TEST]
    good, ignored = (swap_test(X[TEST], **asked, **part) for X in (moved, converted))
    for probe in ("linear", "mlp"):
        assert good[f"speaker_{probe}"] > 0.9
        assert good[f"source_{probe}"] < 0.1
        assert good[f"word_{probe}"] > 0.9
        assert ignored[f"speaker_{probe}"] < 0.1
        assert ignored[f"source_{probe}"] > 0.9
    assert (good["speaker_chance"], good["word_chance"]) == (pytest.approx(1 / 3), 0.25)


def test_swap_pools_frames():
    rng = np.random.default_rng(0)
    frames = [x + rng.normal(size=(rng.integers(3, 9), 6)) for x in vectors(3, 3)]
    part = [f for f, t in zip(frames, TEST, strict=True) if t]
    rest = [f for f, t in zip(frames, TEST, strict=True) if not t]
    labels = SPEAKERS[TEST], WORDS[TEST]
    found = swap_test(part, *labels, rest, SPEAKERS[~TEST], WORDS[~TEST])
    pooled = swap_test(mean_std(part), *labels, mean_std(rest), SPEAKERS[~TEST], WORDS[~TEST])
    assert found == pooled
    # utterances of one length may come as one array
    even = vectors(1, 1)[:, None] + rng.normal(size=(360, 2, 6))
    found = swap_test(even[TEST], *labels, even[~TEST], SPEAKERS[~TEST], WORDS[~TEST])
    listed = swap_test(list(even[TEST]), *labels, list(even[~TEST]), SPEAKERS[~TEST], WORDS[~TEST])
    assert found == listed


def test_mean_std():
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(t, 3)) for t in (1, 5, 2)]
    found = mean_std(frames)
    np.testing.assert_allclose(found[1], [*frames[1].mean(axis=0), *frames[1].std(axis=0)])
    np.testing.assert_array_equal(found[0], [*frames[0][0], 0, 0, 0])


def test_resampled_pca():
    # frames along a line in time: resampling them is exact
    rng = np.random.default_rng(0)
    slope, start = rng.normal(size=(2, 30, 2))
    lengths = rng.integers(2, 12, size=30)
    line = lambda i, t: start[i] + np.linspace(0, 1, t)[:, None] * slope[i]
    frames = [line(i, t) for i, t in enumerate(lengths)]
    test = np.arange(30) < 10
    found = resampled_pca(frames, test, n_steps=4, n_components=3)
    even = np.stack([line(i, 4).ravel() for i in range(30)])
    np.testing.assert_allclose(found, PCA(3).fit(even[~test]).transform(even), atol=1e-10)
    everything = resampled_pca(frames, n_steps=4, n_components=3)
    np.testing.assert_allclose(everything, PCA(3).fit_transform(even), atol=1e-10)
    assert np.isfinite(resampled_pca([f[:1] for f in frames], n_steps=4, n_components=2)).all()


@pytest.fixture(scope="module")
def report():
    return disentanglement_report(
        vectors(words=3),
        vectors(speakers=3),
        WORDS,
        SPEAKERS,
        TEST,
        baselines={"both": vectors(3, 3)},
    )


def test_report_holds_what_the_single_functions_give(report):
    X, word, speaker = vectors(3, 3), WORDS[TEST], SPEAKERS[TEST]
    row = report.loc["both"]
    assert row["word_linear"] == linear_probe(X[~TEST], WORDS[~TEST], X[TEST], word)["accuracy"]
    assert row["eer"] == speaker_eer(X[TEST], speaker)
    for mode in ("within", "across"):
        assert row[f"abx_{mode}"] == abx_error(X[TEST], word, speaker, mode=mode)["error"]
    scores = same_different(X[TEST], word, speaker)
    assert row[["ap", "ap_across"]].tolist() == [scores["ap"], scores["ap_across"]]
    assert report.loc["chance", "ap"] == pytest.approx(scores["chance"])
    assert report.loc["chance", "ap_across"] == pytest.approx(scores["chance_across"])


def test_report_tells_the_vectors_apart(report):
    assert report.index.tolist() == ["phonetic", "speaker", "both", "chance", "random labels"]
    assert report.shape == (5, 9)
    assert report.notna().all(axis=None)
    chance = report.loc["chance"]
    assert chance[:4].tolist() == [0.25, 0.25, pytest.approx(1 / 3), pytest.approx(1 / 3)]
    good, voice = report.loc["phonetic"], report.loc["speaker"]
    assert (good[["word_linear", "word_mlp"]] > 0.95).all()
    assert (voice[["speaker_linear", "speaker_mlp"]] > 0.95).all()
    for row, nothing in ((good, ["speaker_linear", "speaker_mlp"]), (voice, ["word_linear"])):
        np.testing.assert_allclose(row[nothing], chance[nothing], atol=0.15)
    assert good["eer"] == pytest.approx(0.5, abs=0.05)
    assert voice["eer"] < 0.1
    assert good["abx_across"] < 0.1
    assert voice["abx_across"] == pytest.approx(0.5, abs=0.05)
    assert good["ap_across"] > 0.6
    assert voice["ap_across"] < 0.35
    np.testing.assert_allclose(report.loc["random labels"], chance, atol=0.15)


def test_report_of_a_speaker_left_out():
    test = SPEAKERS == 2
    found = disentanglement_report(vectors(3), vectors(0, 3), WORDS, SPEAKERS, test)
    undefined = ["speaker_linear", "speaker_mlp", "eer", "abx_across", "ap_across"]
    assert found[undefined].isna().all(axis=None)
    assert found.drop(columns=undefined).notna().all(axis=None)
    assert found.loc["phonetic", "word_mlp"] > 0.95


def test_report_repeats():
    whole = vectors(1), vectors(0, 1), WORDS, SPEAKERS, TEST
    arguments = [x[::3] for x in whole]
    first, same = (disentanglement_report(*arguments, random_state=1) for _ in range(2))
    assert first.equals(same)
    assert not first.equals(disentanglement_report(*arguments, random_state=2))


X = vectors()
HALVES = X[~TEST], WORDS[~TEST], X[TEST], WORDS[TEST]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: probe_report(*HALVES[:3], HALVES[3] + 1),
            r"y_test must hold classes of y_train only, not \[4\]: add",
        ),
        (lambda: probe_report(*HALVES, C=0), "C must be a number above 0"),
        (
            lambda: probe_report(*HALVES, n_hidden=0),
            "n_hidden must be an integer of at least 1, not 0",
        ),
        (lambda: probe_report(X, WORDS, X[:, :2], WORDS), "X_train has 6 features but X_test has"),
        (
            lambda: swap_test(X, SPEAKERS + 9, WORDS, X, SPEAKERS, WORDS),
            "target_speakers must hold classes of real_speakers only, not",
        ),
        (lambda: swap_test(X, SPEAKERS, WORDS, X, SPEAKERS, WORDS[1:]), "real_words has 359"),
        (
            lambda: swap_test(X, SPEAKERS, WORDS, X, SPEAKERS * 0, WORDS),
            r"real_speakers must hold at least 2 classes, not np\.int64\(0\)",
        ),
        (
            lambda: swap_test(X, SPEAKERS, WORDS + 9, X, SPEAKERS, WORDS),
            r"words must hold classes of real_words only, not \[9, 10, 11",
        ),
        (lambda: swap_test(X[:, 1:], SPEAKERS, WORDS, X, SPEAKERS, WORDS), "real has 6 features"),
        (lambda: mean_std([]), r"frames must not be empty: pass at least one array \(T, d\) of"),
        (
            lambda: mean_std([X, X[:0]]),
            r"frames\[1\] must have at least 1 rows, not 0: check the split",
        ),
        (lambda: mean_std([X, X * np.nan]), r"frames\[1\] contains NaN"),
        (
            lambda: resampled_pca([X] * 3, n_components=4),
            "n_components must be from 1 to 3, the lesser of n_steps x width",
        ),
        (
            lambda: resampled_pca([X] * 3, n_steps=0),
            "n_steps must be an integer of at least 1, not 0",
        ),
        (
            lambda: resampled_pca([X] * 3, [True] * 3),
            "test must leave some utterances for training and take some, not",
        ),
        (
            lambda: disentanglement_report(X, X, WORDS, SPEAKERS, [0, 1]),
            r"test must be a bool mask of shape \(360,\), True for test",
        ),
        (
            lambda: disentanglement_report(X, X[1:], WORDS, SPEAKERS, TEST),
            "speaker_vectors has 359 rows",
        ),
        (
            lambda: disentanglement_report(X, X, WORDS, SPEAKERS, TEST, baselines={"chance": X}),
            "baselines must not have the names of other rows: rename",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
