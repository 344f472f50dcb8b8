from functools import partial

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard
from scipy.stats import special_ortho_group
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.svm import LinearSVC

from repkit.metrics import (
    beta_vae_score,
    dci,
    disentanglement_scores,
    factor_vae_score,
    mig,
    modularity_explicitness,
    sap,
)
from repkit.metrics.disentanglement._batches import _Fresh, _Rows
from repkit.metrics.disentanglement._beta_vae import _differences
from repkit.metrics.disentanglement._checks import factor_table, random_split
from repkit.metrics.disentanglement._dci import _concentration
from repkit.metrics.disentanglement._factor_vae import _majority_vote, _votes
from repkit.metrics.disentanglement._mig import (
    _gaps,
    entropies,
    histogram_bins,
    mutual_information,
)
from repkit.metrics.disentanglement._modularity import _modularity
from repkit.metrics.disentanglement._sap import _mean_gap, _squared_correlations

SIZES = (2, 3, 5, 8)
TURN = special_ortho_group.rvs(4, random_state=3)
FOREST = RandomForestClassifier(5, max_features=None, min_samples_leaf=5, random_state=0)
FEWER = {"n_train": 600, "n_eval": 300}
ALL = {
    "mig": mig,
    "dci": partial(dci, model=FOREST),
    "sap": sap,
    "factor_vae": partial(factor_vae_score, **FEWER),
    "beta_vae": partial(beta_vae_score, **FEWER),
    "modularity_explicitness": modularity_explicitness,
}
# The value of each score that sums it up.
MAIN = {
    "mig": "mig",
    "dci": "disentanglement",
    "sap": "sap",
    "factor_vae": "factor_vae",
    "beta_vae": "beta_vae",
    "modularity_explicitness": "modularity",
}


@pytest.fixture(scope="module")
def factors():
    return np.random.default_rng(0).integers(0, SIZES, size=(3000, 4))


def standardized(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


@pytest.fixture(scope="module")
def codes(factors):
    """Identity codes, independent codes, and the identity turned at random and to an even mix."""
    identity = standardized(factors)
    noise = np.random.default_rng(1).normal(size=identity.shape)
    return {
        "identity": identity,
        "independent": noise,
        "mixed": identity @ TURN,
        "even": identity @ hadamard(4) / 2,
    }


def test_figures_of_known_codes(codes, factors):
    found = {
        kind: {name: score(X, factors)[MAIN[name]] for name, score in ALL.items()}
        for kind, X in codes.items()
    }
    one, none, mixed, even = (found[kind] for kind in ("identity", "independent", "mixed", "even"))
    for name in ("mig", "dci", "factor_vae", "beta_vae"):
        assert one[name] > 0.995, name
    assert one["modularity_explicitness"] > 0.98
    # one binary factor gives 1/2, the inner classes of the others are not linearly separable
    assert 0.25 < one["sap"] < 0.5
    for name in ("mig", "dci", "sap"):
        assert none[name] < 0.03, name
    for name in ("factor_vae", "beta_vae"):
        assert none[name] == pytest.approx(1 / 4, abs=0.06)
    for name in ("mig", "dci", "sap"):
        assert none[name] < mixed[name] < one[name] - 0.1, name
    assert mixed["modularity_explicitness"] < one["modularity_explicitness"] - 0.1
    # when each code knows as much of each factor, no score is left
    for name in ALL:
        assert even[name] < one[name] - 0.2, name
    for name in ("factor_vae", "beta_vae"):
        assert even[name] == pytest.approx(1 / 4, abs=0.08)
    # the codes that are the factors say all about them, noise says nothing
    full = dci(codes["identity"], factors, model=FOREST)
    assert full["completeness"] > 0.995
    assert full["informativeness_train"] == full["informativeness_test"] == 1
    empty = dci(codes["independent"], factors, model=FOREST)
    assert empty["completeness"] < 0.03
    assert empty["informativeness_test"] == pytest.approx(np.mean(1 / np.array(SIZES)), abs=0.04)
    explicit = modularity_explicitness(codes["independent"], factors)
    assert explicit["explicitness_test"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name", ALL)
def test_order_sign_and_scale_of_the_codes_do_not_matter(name, codes, factors):
    wanted = ALL[name](codes["identity"], factors)[MAIN[name]]
    changed = codes["identity"][:, [2, 0, 3, 1]] * [2, -1, 4, 0.5]
    tolerance = 0.03 if name == "sap" else 5e-3
    assert ALL[name](changed, factors)[MAIN[name]] == pytest.approx(wanted, abs=tolerance)


@pytest.mark.parametrize("name", ALL)
def test_labels_of_the_classes_do_not_matter(name, codes, factors):
    wanted = ALL[name](codes["mixed"], factors)
    other = ALL[name](torch.tensor(codes["mixed"]), (3 * factors - 7).astype(float))
    assert other == pytest.approx(wanted)


def test_mig_by_hand():
    # rows (v, u): each of four pairs twice
    v, u = np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.array([0, 1, 0, 1, 0, 1, 0, 1])
    both = (v & u).astype(float)
    # H(both) = ln 4 - 3/4 ln 3; given v = 0 nothing is left, given v = 1 ln 2
    shared = np.log(4) - 0.75 * np.log(3) - 0.5 * np.log(2)
    wanted = 1 - shared / np.log(2)
    table = np.stack([v * 3.0, both], axis=1)
    assert mig(table, v[:, None])["mig"] == pytest.approx(wanted)
    # of u the first code knows nothing: the gap is what `both` knows
    assert mig(table, u[:, None])["mig"] == pytest.approx(shared / np.log(2))
    assert mig(table, np.stack([v, u], axis=1))["mig"] == pytest.approx(
        (wanted + shared / np.log(2)) / 2
    )
    # the two best count, not the best and the worst
    np.testing.assert_allclose(
        _gaps(np.array([[0.2, 0.0], [0.9, 0.1], [0.6, 0.5]]), np.array([1.0, 2.0])), [0.3, 0.2]
    )


def test_information_is_sklearns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3))
    classes = np.stack([rng.integers(0, 4, 500), (X[:, 0] > 0) * 2], axis=1)
    bins = histogram_bins(X, 20)
    assert bins.min(axis=0).tolist() == [0, 0, 0]
    assert bins.max(axis=0).tolist() == [19, 19, 19]
    for i in range(3):
        np.testing.assert_array_equal(
            np.bincount(bins[:, i], minlength=20), np.histogram(X[:, i], 20)[0]
        )
    wanted = [[mutual_info_score(b, c) for c in classes.T] for b in bins.T]
    np.testing.assert_allclose(mutual_information(bins, classes), wanted, atol=1e-12)
    np.testing.assert_allclose(
        entropies(classes), [mutual_info_score(c, c) for c in classes.T], atol=1e-12
    )
    assert np.unique(histogram_bins(np.ones((5, 1)), 20)).size == 1


def test_mig_with_too_few_bins(factors):
    # four bins of eight classes see two of three bits
    column = factors[:, [3]]
    table = np.hstack([column, np.zeros_like(column)])
    assert mig(table, column, n_bins=4)["mig"] == pytest.approx(2 / 3, abs=0.01)


def test_mig_takes_at_most_max_samples(codes, factors):
    X = codes["mixed"]
    few = mig(X, factors, max_samples=200)["mig"]
    assert few == mig(X, factors, max_samples=200)["mig"]
    assert few != mig(X, factors, max_samples=200, random_state=1)["mig"]
    assert mig(X, factors, max_samples=None) == mig(X, factors)


def test_importance_entropies_by_hand():
    importance = np.array([[3.0, 0], [1, 2], [0, 0]])
    # rows: all on one factor (weight 3), thirds (weight 3), nothing (weight 0)
    thirds = 1 - (np.log(3) - 2 / 3 * np.log(2)) / np.log(2)
    assert _concentration(importance) == pytest.approx((3 * 1 + 3 * thirds) / 6)
    # columns: 3/4 and 1/4 of three codes (weight 4), one code (weight 2)
    quarters = 1 - (np.log(4) - 0.75 * np.log(3)) / np.log(3)
    assert _concentration(importance.T) == pytest.approx((4 * quarters + 2 * 1) / 6)
    assert _concentration(np.eye(3)) == 1
    assert _concentration(np.ones((3, 4))) == pytest.approx(0)
    assert _concentration(np.zeros((3, 4))) == 0


def test_dci_models(codes, factors):
    X, y = codes["identity"][:300], factors[:300, :2]
    boosted = dci(X, y)  # two and three classes: 400 trees
    assert boosted["disentanglement"] == pytest.approx(1, abs=0.01)
    assert boosted["completeness"] == pytest.approx(1, abs=0.01)
    assert boosted["informativeness_test"] == 1
    # the published choice is scikit-learn's with its defaults
    again = dci(X, y, model=GradientBoostingClassifier(random_state=3))
    assert again == pytest.approx(boosted, abs=1e-6)
    forest = dci(codes["mixed"], factors, model="random_forest")
    assert 0.05 < forest["disentanglement"] < 0.6
    assert forest != dci(codes["mixed"], factors, model=FOREST)
    # the model given is left as it was
    assert not hasattr(FOREST, "classes_")


def test_dci_of_one_code_for_two_factors(factors):
    rng = np.random.default_rng(0)
    v = factors[:, :2]
    scores = dci(np.column_stack([2 * v[:, 1] + v[:, 0], rng.normal(size=3000)]), v, model=FOREST)
    assert scores["completeness"] > 0.99
    assert scores["disentanglement"] < 0.02
    # and of two codes for one factor, both needed: which of 4 classes
    pair = rng.integers(0, 2, size=(3000, 3))
    scores = dci(pair, np.column_stack([2 * pair[:, 0] + pair[:, 1], pair[:, 2]]), model=FOREST)
    assert scores["disentanglement"] > 0.99
    # weights are equal; two of three codes share the first factor: 1 - ln 2 / ln 3
    assert scores["completeness"] == pytest.approx(1 - np.log(2) / np.log(3) / 2, abs=0.01)


def test_dci_takes_disjoint_rows():
    # labels are noise: what was seen in training would be known by heart
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(900, 2)), rng.integers(0, 2, size=(900, 2))
    model = RandomForestClassifier(10, random_state=0)
    scores = dci(X, y, model=model)
    assert scores["informativeness_train"] > 0.95
    assert scores["informativeness_test"] == pytest.approx(0.5, abs=0.1)


def test_sap_by_hand():
    assert _mean_gap(np.array([[0.9, 0.5], [0.6, 0.8], [0.3, 0.75]])) == pytest.approx(0.175)
    a = np.array([[1.0, 5], [2, 5], [3, 5], [4, 5]])
    b = np.array([[2.0], [4], [6], [8.0]])
    np.testing.assert_allclose(_squared_correlations(a, b), [[1], [0]], atol=1e-12)
    # what moves by rounding has no correlation
    np.testing.assert_array_equal(_squared_correlations(a * 1e-7, b), 0)
    # correlation of (1, 2, 3, 4) with (0, 0, 1, 0): 0.5 / sqrt(5 * 0.75)
    r = _squared_correlations(a, np.array([[0], [0], [1], [0]]))
    np.testing.assert_allclose(r, [[0.25 / 3.75], [0]])


def test_sap_of_continuous_factors():
    rng = np.random.default_rng(0)
    v = rng.uniform(size=(2000, 3))
    assert sap(v, v, continuous=True)["sap"] == pytest.approx(1, abs=0.01)
    turned = v @ special_ortho_group.rvs(3, random_state=0)
    assert sap(turned, v, continuous=True)["sap"] < 0.7
    # a code twice: nothing is separated
    assert sap(np.hstack([v, v]), v, continuous=True)["sap"] == pytest.approx(0)
    # each column by its kind: 1 for the continuous, 1/2 for the binary
    kinds = np.column_stack([v[:, 0], v[:, 1] > 0.5])
    table = np.column_stack([v[:, 0], (v[:, 1] > 0.5) * 4.0])
    assert sap(table, kinds, continuous=[True, False])["sap"] == pytest.approx(0.75, abs=0.03)


def test_sap_of_discrete_factors_is_that_of_linear_svms(codes, factors):
    X, y = codes["mixed"], factors[:, :2]
    part = random_split(X, y, 10000, 5000, 0)
    matrix = np.array(
        [
            [
                LinearSVC(C=0.01, class_weight="balanced", max_iter=10**5, random_state=0)
                .fit(part.codes[:, [i]], part.factors[:, j])
                .score(part.codes_test[:, [i]], part.factors_test[:, j])
                for j in range(2)
            ]
            for i in range(4)
        ]
    )
    assert sap(X, y)["sap"] == pytest.approx(_mean_gap(matrix), abs=2e-3)


def test_majority_votes_by_hand():
    train = np.array([[5, 1, 0], [2, 4, 0]])
    test = np.array([[3, 2, 1], [1, 3, 0]])
    # code 0 stands for factor 0, code 1 for factor 1, and code 2 without votes for factor 0
    assert _majority_vote(train, test) == (9 / 12, 7 / 10)


def test_votes_by_hand():
    class Fixed:
        n_factors = 2

        def same_value(self, j, count, size):
            assert size == 3
            still, moving = np.array([1.0, 1.1, 1.2]), np.array([0.0, 3.0, 6.0])
            columns = [still, moving, 0 * still] if j == 0 else [moving, still, 0 * still]
            yield np.broadcast_to(np.stack(columns, axis=1), (count, 3, 3))

    # the third code never moves, but has no variance at all and is not active
    rng, variance = np.random.default_rng(0), np.array([1.0, 1.0, 0.0])
    votes = _votes(Fixed(), variance, variance > 0, 50, 3, rng)
    assert votes[0, 1] == votes[1, 0] == votes[:, 2].sum() == 0
    assert votes.sum() == 50
    assert votes.min(axis=1).tolist() == [0, 0]
    assert votes.max(axis=1).min() > 10
    # variances count relative to those of all rows: 900 / 1000 of the second beats 0.01 / 0.001
    votes = _votes(Fixed(), np.array([0.001, 1000, 0]), variance > 0, 50, 3, rng)
    assert votes[0, 0] == 0


def test_batches_share_a_value_and_no_row():
    rng = np.random.default_rng(0)
    n = 400
    factors = np.stack([np.arange(n) % 4, rng.integers(0, 2, n)], axis=1)
    source = _Rows(np.arange(float(n))[:, None], factors, rng)
    blocks = list(source.same_value(0, 3000, 8))
    assert len(blocks) > 1
    rows = np.concatenate(blocks)[:, :, 0].astype(int)
    assert rows.shape == (3000, 8)
    values = factors[rows, 0]
    assert (values == values[:, :1]).all()
    assert all(len(set(batch)) == 8 for batch in rows)
    # every value and every row has its share
    np.testing.assert_allclose(np.bincount(values[:, 0]) / 3000, 0.25, atol=0.03)
    assert np.bincount(rows.ravel(), minlength=n).min() > 60 * 0.6
    # as many rows as a batch: each batch is all of them
    (batch,) = source.same_value(0, 5, 100)
    assert all(len(set(rows)) == 100 for rows in batch[:, :, 0])
    # a value three times as frequent comes three times as often
    source = _Rows(np.arange(float(n))[:, None], (np.arange(n) % 4 == 0)[:, None].astype(int), rng)
    first = np.concatenate(list(source.same_value(0, 2000, 2)))[:, 0, 0]
    assert np.mean(first % 4 == 0) == pytest.approx(0.25, abs=0.05)


def test_small_groups_are_drawn_with_replacement():
    factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [1, 0]])
    source = _Rows(np.arange(5.0)[:, None], factors, np.random.default_rng(0))
    with pytest.warns(UserWarning, match=r"factors\[:, 0\] has a value with only 2 rows.*with rep"):
        (batch,) = source.same_value(0, 40, 3)
    values = factors[batch[:, :, 0].astype(int), 0]
    assert (values == values[:, :1]).all()
    assert set(np.unique(batch[values[:, 0] == 0])) == {0.0, 1.0}
    # and the message reaches the user of the score
    with pytest.warns(UserWarning, match="pass more rows, or encode"):
        factor_vae_score(np.arange(10.0).reshape(5, 2), factors, n_train=5, n_eval=5)


def test_pairs_share_a_value_and_are_two_rows():
    rng = np.random.default_rng(0)
    factors = np.array([[0, 0], [1, 0], [0, 0], [1, 1], [2, 1], [0, 1]])
    source = _Rows(np.arange(6.0)[:, None], factors, rng)
    both = zip(*source.pairs(0, 500, 40), strict=True)
    one, two = (np.concatenate(b)[..., 0].astype(int) for b in both)
    assert one.shape == two.shape == (500, 40)
    np.testing.assert_array_equal(factors[one, 0], factors[two, 0])
    # the value 2 has one row, which is its own partner; no other row is
    assert set(one[one == two]) == {4}
    pairs = np.bincount((6 * one + two).ravel(), minlength=36).reshape(6, 6) / one.size
    wanted = np.zeros((6, 6))
    wanted[np.ix_([0, 2, 5], [0, 2, 5])] = 1 / 12
    wanted[np.ix_([1, 3], [1, 3])] = 1 / 6
    wanted[range(4), range(4)] = wanted[5, 5] = 0
    wanted[4, 4] = 1 / 6
    np.testing.assert_allclose(pairs, wanted, atol=0.01)


def test_fresh_batches_follow_the_protocol():
    values = [np.array([2, 5, 9]), np.arange(4)]
    source = _Fresh(lambda f: f * 1.0, values, 2, np.random.default_rng(0))
    drawn = np.concatenate(list(source.same_value(0, 3000, 6)))
    assert drawn.shape == (3000, 6, 2)
    assert (drawn[:, :, 0] == drawn[:, :1, 0]).all()
    assert not (drawn[:, :, 1] == drawn[:, :1, 1]).all()
    for v in values[0]:
        assert np.mean(drawn[:, 0, 0] == v) == pytest.approx(1 / 3, abs=0.03)
    for v in values[1]:
        assert np.mean(drawn[:, :, 1] == v) == pytest.approx(1 / 4, abs=0.02)
    both = zip(*source.pairs(1, 3000, 6), strict=True)
    one, two = (np.concatenate(parts) for parts in both)
    np.testing.assert_array_equal(one[..., 1], two[..., 1])
    assert np.mean(one[..., 0] == two[..., 0]) == pytest.approx(1 / 3, abs=0.03)


def test_beta_vae_differences():
    # factor 0 held fixed: the first code is the same in a pair, the second differs by 0 or 3
    factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    source = _Fresh(lambda f: f * [1.0, 3.0], [[0, 1], [0, 1]], 2, np.random.default_rng(0))
    X, y = _differences(source, 400, 64, np.random.default_rng(0))
    assert X.shape == (400, 2)
    assert X[y == 0, 0].max() == X[y == 1, 1].max() == 0
    assert X[y == 0, 1].mean() == pytest.approx(1.5, abs=0.05)
    assert X[y == 1, 0].mean() == pytest.approx(0.5, abs=0.02)
    assert np.mean(y) == pytest.approx(0.5, abs=0.08)
    # halving the mean of all rows: pairs of arrays never hold the same row twice
    rows = _Rows(factors * [1.0, 3.0], factors, np.random.default_rng(0))
    X, y = _differences(rows, 50, 64, np.random.default_rng(0))
    np.testing.assert_allclose(X, np.where(y[:, None] == 0, [0, 3.0], [1.0, 0]))


@pytest.mark.parametrize("score", [factor_vae_score, beta_vae_score])
def test_rows_and_encode_agree(score, codes, factors):
    def encode(f):
        assert f.ndim == 2
        return (f - factors.mean(axis=0)) / factors.std(axis=0) @ TURN

    name = MAIN[score.__name__.removesuffix("_score")]
    # small batches err now and then
    sizes = {"n_train": 4000, "n_eval": 4000, "batch_size": 3}
    given = score(codes["mixed"], factors, **sizes)[name]
    drawn = score(codes["mixed"], factors, **sizes, encode=encode)[name]
    assert given == pytest.approx(drawn, abs=0.03)
    assert given != drawn
    assert 0.4 < given < 0.9


def test_factor_vae_is_the_published_loop(codes, factors):
    """The protocol written down plainly, one batch at a time."""
    rng, X = np.random.default_rng(5), codes["mixed"]
    variance = X.var(axis=0, ddof=1)
    tables = []
    for n in (3000, 3000):
        votes = np.zeros((4, 4))
        for _ in range(n):
            j = rng.integers(4)
            same = np.flatnonzero(factors[:, j] == factors[rng.integers(len(X)), j])
            batch = X[rng.choice(same, 3, replace=False)]
            votes[j, np.argmin(batch.var(axis=0, ddof=1) / variance)] += 1
        tables.append(votes)
    wanted = tables[1][tables[0].argmax(axis=0), range(4)].sum() / 3000
    found = factor_vae_score(X, factors, batch_size=3)["factor_vae"]
    assert found == pytest.approx(wanted, abs=0.03)
    assert 0.4 < found < 0.9


def test_dead_codes_do_not_vote(codes, factors):
    rng = np.random.default_rng(0)
    # it moves with the first factor, and not much: unpruned it would take part in the vote
    dead = 0.01 * codes["identity"][:, [0]] + 1e-4 * rng.normal(size=(3000, 1))
    X = np.hstack([codes["identity"], dead, np.ones((3000, 1))])
    scores = factor_vae_score(X, factors, **FEWER)
    assert scores == {"factor_vae": 1.0, "factor_vae_train": 1.0, "active_codes": 4.0}
    assert factor_vae_score(X, factors, min_std=0, **FEWER)["active_codes"] == 5
    with pytest.warns(UserWarning, match="no column of codes has a standard deviation of min_std"):
        scores = factor_vae_score(X / 1000, factors)
    assert scores == {"factor_vae": 0.0, "factor_vae_train": 0.0, "active_codes": 0.0}


def test_modularity_by_hand():
    # two codes of one factor, one of both, one of nothing, one that leans: 1 - 1/4
    information = np.array([[2.0, 0], [0, 1], [1, 1], [0, 0], [1, 2]])
    assert _modularity(information) == pytest.approx((1 + 1 + 0 + 0 + 0.75) / 5)
    # three factors: the rest is shared among two
    assert _modularity(np.array([[2.0, 1, 1]])) == pytest.approx(1 - 2 / 8)


def test_rounding_moves_no_score_out_of_bounds():
    """A code of all factors alike was -2e-16 disentangled, one of a single factor 1 + 2e-16."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        d, k = rng.integers(2, 8, 2)
        alike = np.ones((d, k)) * rng.random((d, 1))
        one = np.eye(d, k) * rng.random(k)
        for score in (_concentration, _modularity):
            assert 0.0 <= score(alike) <= 1e-12
            assert 0.0 <= score(one) <= 1.0
        # The entropy of a factor, rounded to less than what one code has of it.
        gaps = _gaps(one, np.where(one.max(0) > 0, np.nextafter(one.max(0), 0), 1.0))
        assert ((gaps >= 0) & (gaps <= 1)).all()


def test_explicitness_is_one_against_the_rest(codes, factors):
    X, y = codes["mixed"] * [1, 100, 0.01, 1], factors[:, 1:3]
    part = random_split(X, y, 10000, 5000, 0)
    scale = part.codes.mean(axis=0), part.codes.std(axis=0)
    Z, Z_test = ((part_ - scale[0]) / scale[1] for part_ in (part.codes, part.codes_test))
    areas = []
    for j in range(2):
        models = [LogisticRegression().fit(Z, part.factors[:, j] == c) for c in range(SIZES[j + 1])]
        proba = np.stack([model.predict_proba(Z_test)[:, 1] for model in models], axis=1)
        truth = np.eye(SIZES[j + 1])[part.factors_test[:, j]]
        areas.append(roc_auc_score(truth, proba, average="macro"))
    found = modularity_explicitness(X, y)
    assert found["explicitness_test"] == pytest.approx(np.mean(areas), abs=1e-4)
    assert found["explicitness_train"] != found["explicitness_test"]
    # two classes along one code: perfect
    found = modularity_explicitness(codes["identity"], np.stack([factors[:, 0]] * 2, axis=1))
    assert found["explicitness_train"] == found["explicitness_test"] == 1


def test_random_split():
    X = np.arange(40.0)[:, None]
    y = np.arange(40)[:, None] % 2
    part = random_split(X, y, 10, 5, 0)
    assert [len(a) for a in part] == [10, 10, 5, 5]
    assert not set(part.codes[:, 0]) & set(part.codes_test[:, 0])
    for rows, classes in ((part.codes, part.factors), (part.codes_test, part.factors_test)):
        np.testing.assert_array_equal(rows % 2, classes)
    # too few rows for both: all of them, two to one
    for n_train, n_test in ((10000, 5000), (10, 5)):
        part = random_split(X[:12], y[:12], n_train, n_test, 0)
        assert [len(a) for a in part] == [8, 8, 4, 4]
    with pytest.raises(ValueError, match=r"codes has 40 rows, too few.*factors\[:, 0\].*more rows"):
        random_split(X, (y * 0) + (X == 3), 3, 3, 0)


@pytest.mark.parametrize("name", ALL)
def test_seeds(name, codes, factors):
    score, X, factors = ALL[name], codes["even"][:900], factors[:900]
    before = np.random.get_state()[1].copy()
    wanted = score(X, factors, random_state=3)
    assert score(X, factors, random_state=3) == wanted
    assert score(X, factors, random_state=np.random.default_rng(3)) == wanted
    one, two = (score(X, factors, random_state=np.random.RandomState(3)) for _ in range(2))
    assert one == two
    if name != "mig":  # which takes all rows here
        assert score(X, factors, random_state=4) != wanted
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_all_in_one_call(codes, factors):
    X, factors = codes["mixed"][:900], factors[:900]
    found = disentanglement_scores(X, factors, model=FOREST, random_state=7)
    wanted = {
        **mig(X, factors, random_state=7),
        **{f"dci_{k}": v for k, v in dci(X, factors, model=FOREST, random_state=7).items()},
        **sap(X, factors, random_state=7),
        **factor_vae_score(X, factors, random_state=7),
        **beta_vae_score(X, factors, random_state=7),
        **modularity_explicitness(X, factors, random_state=7),
    }
    assert found == wanted
    assert all(type(value) is float for value in found.values())
    assert list(disentanglement_scores(X, factors, scores=["sap", "mig"])) == ["sap", "mig"]
    calls = []

    def encode(f):
        calls.append(len(f))
        return (f - factors.mean(axis=0)) / factors.std(axis=0)

    found = disentanglement_scores(X, factors, scores=["factor_vae", "beta_vae"], encode=encode)
    assert found["factor_vae"] == found["beta_vae"] == 1
    # 15 000 batches of 64, and of 64 pairs
    assert sum(calls) == 15000 * 64 * 3
    for scores in ("mig", [], ["mig", "irs"]):
        with pytest.raises(ValueError, match="scores must be a sequence of names among"):
            disentanglement_scores(X, factors, scores=scores)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": np.full((40, 2), np.nan)}, r"codes contains NaN .*row 0.*"),
        ({"codes": np.zeros((39, 2))}, "factors has 40 rows for 39 rows of codes"),
        ({"codes": np.zeros(40)}, r"codes must have shape \(n_samples, n_features\), not \(40,\)"),
        (
            {"codes": np.zeros((1, 2)), "factors": [[0, 1]]},
            "codes must have at least .* rows, not 1: check the split that",
        ),
        (
            {"factors": np.zeros(40, dtype=int)},
            r"factors must have shape \(n_samples, n_factors\), not \(40,\).*reshape",
        ),
        (
            {"factors": np.eye(40)[:, :2] / 2},
            r"factors\[:, 0\] must hold class numbers, not fractions.*digitize",
        ),
        ({"factors": np.eye(40)[:, :2] * np.nan}, "factors contains NaN"),
        (
            {"factors": np.array([["a", "b"]] * 40)},
            "factors must hold whole numbers, not dtype <U1: encode each",
        ),
        (
            {"factors": np.stack([np.arange(40) % 2, np.full(40, 3)], axis=1)},
            r"factors\[:, 1\] must vary, not always be 3: drop it, for",
        ),
    ],
)
def test_errors_name_the_argument(name, change, message):
    rng = np.random.default_rng(0)
    good = {"codes": rng.normal(size=(40, 2)), "factors": rng.integers(0, 2, size=(40, 2))}
    with pytest.raises(ValueError, match=message):
        ALL[name](**{**good, **change})


def test_more_errors(codes, factors):
    X = codes["identity"]
    for score in (mig, dci, sap):
        with pytest.raises(
            ValueError, match="codes must have at least 2 columns, which the score compares"
        ):
            score(X[:, :1], factors)
    for score in (dci, factor_vae_score, beta_vae_score, modularity_explicitness):
        with pytest.raises(
            ValueError, match="factors must have at least 2 columns, which the score compares"
        ):
            score(X, factors[:, :1])
    with pytest.raises(ValueError, match="n_bins must be an integer of at least 2"):
        mig(X, factors, n_bins=1)
    with pytest.raises(ValueError, match="model must be 'gradient_boosting', 'random_forest' or a"):
        dci(X, factors, model="svm")
    with pytest.raises(
        ValueError, match="continuous must be True, False or a sequence of 4 of these, not"
    ):
        sap(X, factors, continuous=[True])
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 2, not 1"):
        factor_vae_score(X, factors, batch_size=1)
    with pytest.raises(ValueError, match="n_eval must be an integer of at least 1, not 0"):
        beta_vae_score(X, factors, n_eval=0)
    for bad in (lambda f: f[:, :2], lambda f: f[:5]):
        with pytest.raises(ValueError, match="encode must give the shape"):
            factor_vae_score(X, factors, encode=bad)
    with pytest.raises(ValueError, match=r"encode\(factors\) contains NaN"):
        beta_vae_score(X, factors, encode=lambda f: f * np.nan)
    # the only test row is of a class that leaves no other in the test part
    rare = np.repeat([[0, 0], [1, 1]], [5, 7], axis=0)
    with pytest.raises(ValueError, match="too few for a class of each factor to be in both"):
        modularity_explicitness(X[:12], rare, n_train=11, n_test=1)


def test_factor_table_numbers_the_classes():
    table = factor_table([[10.0, -1], [30, 5], [10, 2]], 3)
    assert table.dtype == np.int64
    assert table.tolist() == [[0, 0], [1, 2], [0, 1]]
    table = factor_table([[0.5, 7], [0.25, 8]], 2, continuous=[True, False])
    assert table.tolist() == [[0.5, 0], [0.25, 1]]
    assert factor_table(np.array([[True], [False]]), 2).tolist() == [[1], [0]]
