from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from sklearn.metrics import average_precision_score, det_curve, roc_curve
from torch.utils._python_dispatch import TorchDispatchMode

from repkit.metrics import same_different, speaker_eer
from repkit.metrics.speaker._same_different import average_precision


class Largest(TorchDispatchMode):
    """Record the size of the largest tensor that any operation makes."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(t, torch.Tensor):
                self.bytes = max(self.bytes, t.untyped_storage().nbytes())
        return out


def voices(n=120, d=6, n_speakers=4, n_words=5, seed=0):
    """Vectors of words and speakers that are neither told apart nor alike."""
    rng = np.random.default_rng(seed)
    speakers, words = rng.integers(n_speakers, size=n), rng.integers(n_words, size=n)
    X = rng.normal(size=(n_speakers, d))[speakers] + rng.normal(size=(n_words, d))[words]
    return X + rng.normal(size=(n, d)), words, speakers


def pairs(X, *labels):
    """Cosine of every pair, and whether each kind of label agrees: plain loops."""
    rows = []
    for i, j in combinations(range(len(X)), 2):
        cosine = X[i] @ X[j] / max(np.linalg.norm(X[i]) * np.linalg.norm(X[j]), 1e-300)
        rows.append([round(cosine, 12), *(y[i] == y[j] for y in labels)])
    return np.array(rows).T


def roc_eer(cosine, same):
    far, hit, _ = roc_curve(same, cosine, drop_intermediate=False)
    gap = lambda t: np.interp(t, np.arange(len(far)), far + hit - 1)
    t = brentq(gap, 0, len(far) - 1, xtol=1e-12)
    return np.interp(t, np.arange(len(far)), far)


@pytest.mark.parametrize("seed", range(5))
def test_eer_is_where_the_curves_of_scikit_learn_cross(seed):
    X, _, speakers = voices(seed=seed)
    cosine, same = pairs(X, speakers)
    eer = speaker_eer(X, speakers)
    assert eer == pytest.approx(roc_eer(cosine, same), abs=1e-9)
    false_alarm, miss, _ = det_curve(same, cosine)
    nearest = np.abs(false_alarm - miss).argmin()
    assert eer == pytest.approx((false_alarm + miss)[nearest] / 2, abs=2 / same.sum())


def test_eer_of_a_case_worked_out_by_hand():
    angle = np.deg2rad([0.0, 10.0, 30.0, 90.0])
    X = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    # by angle 10 same, 20 and 30 different: half of both accepted
    assert speaker_eer(X, ["a", "a", "b", "b"]) == pytest.approx(1 / 2)
    # 10 different, 20 same, 30 different: 2 of 3 accepted, and 60 and 80 missed of the same
    assert speaker_eer(X, ["a", "b", "b", "b"]) == pytest.approx(2 / 3)
    # one cosine alone: half way along the line from nothing to everything
    assert speaker_eer([[1.0, 0], [1, 0], [1, 0]], ["a", "a", "b"]) == pytest.approx(0.5)


def test_eer_at_its_ends_and_at_chance():
    codes = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    assert speaker_eer(codes, [0, 0, 1, 1, 2, 2]) == 0
    assert speaker_eer(codes, [0, 1, 2, 0, 1, 2]) > 0.5
    X, _, speakers = voices(n=400)
    rng = np.random.default_rng(1)
    assert speaker_eer(rng.normal(size=(400, 5)), speakers) == pytest.approx(0.5, abs=0.02)
    with_sign_flipped = 1 - speaker_eer(X, speakers)
    assert with_sign_flipped > 0.6  # a similarity, not a distance


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_that_of_scikit_learn(seed):
    X, words, speakers = voices(seed=seed)
    cosine, same_word, same_speaker = pairs(X, words, speakers)
    scores = same_different(X, words, speakers)
    assert scores["ap"] == pytest.approx(average_precision_score(same_word, cosine), abs=1e-12)
    assert scores["chance"] == pytest.approx(same_word.mean())
    other = same_speaker == 0
    across = average_precision_score(same_word[other], cosine[other])
    assert scores["ap_across"] == pytest.approx(across, abs=1e-12)
    assert scores["chance_across"] == pytest.approx(same_word[other].mean())
    alone = same_different(X, words)
    assert alone == {key: scores[key] for key in ("ap", "chance")}


def test_ties_are_one_threshold():
    # few directions of different lengths: most cosines are equal up to rounding
    rng = np.random.default_rng(0)
    X = rng.integers(-1, 2, size=(60, 2)) * rng.uniform(0.1, 9, size=(60, 1))
    words, speakers = rng.integers(3, size=(2, 60))
    cosine, same_word, same_speaker = pairs(X, words, speakers)
    assert len(np.unique(cosine)) < 9
    assert speaker_eer(X, speakers) == pytest.approx(roc_eer(cosine, same_speaker), abs=1e-9)
    ap = average_precision_score(same_word, cosine)
    assert same_different(X, words)["ap"] == pytest.approx(ap, abs=1e-12)


def test_a_histogram_where_the_pairs_do_not_fit():
    X, words, speakers = voices(n=400)
    budget = 2**18  # all pairs in double precision would take 6e5 bytes, and 4e6 sorted
    exact = speaker_eer(X, speakers), same_different(X, words, speakers)
    with Largest() as seen:
        found = speaker_eer(X, speakers, device="cpu", batch_bytes=budget)
        found = found, same_different(X, words, speakers, device="cpu", batch_bytes=budget)
    assert budget / 4 < seen.bytes <= budget
    assert found[0] == pytest.approx(exact[0], abs=5e-4)
    assert found[1] == pytest.approx(exact[1], abs=5e-4)
    assert found != exact  # so that both ways are seen


@pytest.mark.parametrize("budget", [2**13, 2**28])
def test_blocks_hold_every_pair_once(budget):
    X, words, _ = voices(n=41)
    one = same_different(X, words, batch_bytes=budget)
    # pairs of one word, of all 820
    sizes = np.bincount(words)
    assert one["chance"] == pytest.approx((sizes * (sizes - 1) / 2).sum() / 820)


def test_scale_and_kind_of_input_do_not_matter():
    X, words, speakers = voices(n=60)
    eer = speaker_eer(X, speakers)
    scales = 10.0 ** np.random.default_rng(0).integers(-200, 200, size=(60, 1))
    assert speaker_eer(X * scales, speakers) == pytest.approx(eer, abs=1e-12)
    names = np.array(list("abcd"))[speakers]
    assert speaker_eer(torch.tensor(X), list(names)) == eer
    single = X.astype(np.float32)
    assert same_different(single, words)["ap"] == pytest.approx(
        same_different(X, words)["ap"], abs=1e-5
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda X: speaker_eer(X, [0, 0, 0, 0]),
            r"speakers must hold at least 2 speakers, not np\.int64\(0\)",
        ),
        (
            lambda X: speaker_eer(X, [0, 1, 2, 3]),
            "speakers must hold at least 2 utterances of some speaker, a",
        ),
        (lambda X: speaker_eer(X, [0, 1, 2]), "speakers has 3 entries for 4 rows"),
        (lambda X: speaker_eer(X * np.nan, [0, 0, 1, 1]), "vectors contains NaN"),
        (
            lambda X: speaker_eer(X[:1], [0]),
            "vectors must have at least 2 rows, not 1: check the split that",
        ),
        (
            lambda X: speaker_eer(X, [0, 0, 1, 1], batch_bytes=8),
            "batch_bytes must be at least 65536, not 8",
        ),
        (
            lambda X: same_different(X, [0, 1, 2, 3]),
            "categories must hold at least 2 utterances of some category",
        ),
        (
            lambda X: same_different(X, [0, 0, 1, 1], [0, 0, 1, 1]),
            "speakers must hold at least 2 speakers in some category: pass",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.eye(4))


@pytest.mark.parametrize("seed", [33, 35, 66])  # 1.0000000000000002 without a bound
def test_a_perfect_precision_is_not_above_1(seed):
    same = np.random.default_rng(seed).integers(1, 1000, 10)
    assert average_precision(same, np.zeros_like(same)) <= 1.0
