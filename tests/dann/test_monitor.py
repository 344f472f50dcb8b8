"""What is watched while DANN trains, and what is said at the end."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from repkit.dann.monitor import Monitor, ShareWarning, judge_adversary, judge_shares
from repkit.dann.parts import SCORES
from repkit.dann.rows import check_domains
from repkit.metrics import (
    batch_nuclear_norm,
    information_maximization,
    logit_matrix_norm,
    prediction_entropy,
    soft_neighborhood_density,
)

CPU = torch.device("cpu")
N = 30  # source rows; the target has 10
DOMAINS = check_domains([1] * N + [-2] * 10, N + 10)
X = np.random.default_rng(0).normal(size=(N + 10, 3)).astype(np.float32)


def look(x, places):
    """Class logits are the row; the domain is said to be that of the first column's sign."""
    return x, x, torch.stack([x[:, 0], -x[:, 0]], 1)


def take(rows):
    return torch.from_numpy(X[rows])


def monitor(look=look, take=take, domains=DOMAINS, seed=0, **options):
    options = {"shares": np.full(3, 1 / 3), **options}
    return Monitor(look, take, domains, device=CPU, seed=seed, **options)


def test_scores_are_of_target_rows_and_greater_is_better():
    found = monitor()()
    proba = torch.softmax(torch.from_numpy(X[N:]), 1)
    assert found["entropy"] == pytest.approx(-prediction_entropy(proba), abs=1e-6)
    assert found["infomax"] == pytest.approx(information_maximization(proba), abs=1e-6)
    assert found["snd"] == pytest.approx(soft_neighborhood_density(proba), abs=1e-5)
    assert found["bnm"] == pytest.approx(batch_nuclear_norm(proba), abs=1e-6)
    assert found["mano"] == pytest.approx(logit_matrix_norm(proba), abs=1e-6)
    assert set(SCORES) <= set(found)
    assert "score" not in found


def test_domains_are_found_by_the_networks():
    found = monitor()()
    right = (X[:N, 0] >= 0).sum() + (X[N:, 0] < 0).sum()
    assert found["domain_accuracy"] == pytest.approx(right / len(X))
    assert found["domain_chance"] == pytest.approx(N / len(X))


def test_a_scorer_adds_a_column():
    assert monitor(score=lambda: np.float32(0.25))()["score"] == 0.25


def test_a_sample_of_rows_is_looked_at():
    """As many of each side at most, drawn once; in every epoch the same, with their domains."""
    taken, seen = [], []

    def take(rows):
        taken.append(rows)
        return torch.from_numpy(rows[:, None] * np.ones((1, 3))).float()

    def spy(x, places):
        seen.append((x[:, 0].tolist(), places.tolist()))
        return look(x, places)

    domains = check_domains(np.repeat([1, -2], [1400, 600]), 2000)
    for seed in (0, 0, 1):
        watch = monitor(spy, take, domains, seed)
        watch()
        watch()
    assert len(taken) == 3
    assert seen[0][1] == [0] * 512 + [1] * 512
    assert max(seen[0][0][:512]) < 1400 <= min(seen[0][0][512:])
    assert len(set(seen[0][0])) == 1024
    assert seen[:4] == [seen[0]] * 4
    assert seen[4] == seen[5] != seen[0]


# -------------------------------------------------------------------- verdicts


def history(loss, accuracy, lam=1.0, epochs=8):
    rows = {"domain_loss": loss, "domain_accuracy": accuracy, "lam": lam}
    return pd.DataFrame({k: np.broadcast_to(v, epochs) for k, v in rows.items()})


FALLING = np.linspace(0.7, 0.1, 8)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (history(0.7, 0.5), "domain classifier is dead: its loss stayed at 0.7"),
        (history(FALLING, [0.5] * 6 + [1.0, 1.0]), "adversary has collapsed"),
        (history(FALLING, 1.0), "adversary has collapsed"),
    ],
)
def test_an_adversary_that_is_none(rows, words):
    with pytest.warns(ConvergenceWarning, match=words):
        judge_adversary(rows)


@pytest.mark.parametrize(
    "rows",
    [
        history(FALLING, 0.8),
        history(FALLING, [1.0] * 7 + [0.9]),  # it has been fooled at last
        history(FALLING, 1.0, lam=0.0),  # nobody tries to fool it
        history(0.7, 0.5, epochs=3),  # too early to say
        history(0.7, 0.5).assign(failed_step=3.0),  # another warning has been given
    ],
)
def test_an_adversary_that_may_be_one(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge_adversary(rows)


@pytest.mark.parametrize(
    ("loss", "warns"), [(np.full(8, 0.2), True), (FALLING, False), (np.full(3, 0.2), False)]
)
def test_a_divergence_that_never_moves(loss, warns):
    rows = pd.DataFrame({"divergence": loss, "lam": 1.0})
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        judge_adversary(rows)
    assert [str(w.message)[:22] for w in record] == ["the divergence is dead"] * warns


def test_shares_of_the_classes_on_target_rows():
    """Half the sum of the differences, of predicted and of true shares."""
    shares = np.array([0.5, 0.3, 0.2])
    found = monitor(shares=shares)()
    mean = torch.softmax(torch.from_numpy(X[N:]), 1).mean(0).numpy()
    assert found["share_distance"] == pytest.approx(np.abs(mean - shares).sum() / 2, abs=1e-6)


def test_without_classes_and_domain_classifier_there_is_little_to_see():
    assert Monitor(lambda x, p: (x, x, None), take, DOMAINS, device=CPU, seed=0)() == {}


@pytest.mark.parametrize(
    ("distance", "chance", "aligned", "far"),
    [
        (0.41, 0.0, False, 0.4),
        (0.4, 0.0, False, None),
        (0.21, 0.0, True, 0.2),
        (0.2, 0.0, True, None),
        (0.31, 0.15, True, 0.3),  # so few target rows that chance may do as much
        (0.29, 0.15, True, None),
        (0.51, 0.25, False, 0.5),
    ],
)
def test_shares_that_part_far_are_told(distance, chance, aligned, far):
    rows = pd.DataFrame({"share_distance": [0.9, distance, 0.0, 0.0], "share_chance": chance})
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        judge_shares(rows, 2, aligned)
        judge_shares(rows, 3, aligned)
        judge_shares(rows.assign(failed_step=1.0), 1, aligned)
    assert [w.category for w in record] == [ShareWarning] * (far is not None)
    for said in (str(w.message) for w in record):
        assert f"by {distance} " in said
        assert f"above {far} is far" in said
        assert "entropy__prior='estimate'" in said
        assert ("select__guard=True" in said) == aligned


def test_an_early_share_is_no_sign_of_harm():
    rows = pd.DataFrame({"share_distance": [0.3] * 3, "share_chance": 0.0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge_shares(rows, 3, True)


def test_what_chance_makes_of_equal_shares():
    """The mean distance of samples of so many rows from the shares that they are drawn from."""
    shares = np.array([0.5, 0.3, 0.2])
    drawn = np.random.default_rng(0).multinomial(10, shares, 4000) / 10
    expected = np.abs(drawn - shares).sum(1).mean() / 2
    assert monitor(shares=shares)()["share_chance"] == pytest.approx(expected, rel=0.1)
