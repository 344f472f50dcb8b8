"""Which rows are source and which target, and which labels may be read."""

import numpy as np
import pandas as pd
import pytest

from repkit.dann.rows import (
    as_domain_ids,
    batch_parts,
    check_domains,
    check_labels,
    hold_back,
)

# -------------------------------------------------------------------- domains


def found(sample_domain, source=None):
    d = check_domains(sample_domain, len(sample_domain), source)
    assert d.ids[d.rows].tolist() == np.asarray(sample_domain).tolist()  # each row has its own
    assert sorted([*d.source, *d.target]) == list(range(len(sample_domain)))
    return d.ids.tolist(), d.n_source


@pytest.mark.parametrize(
    ("sample_domain", "ids", "n_source"),
    [
        ([1, 1, -1, -1], [1, -1], 1),  # of one number, and two domains
        ([0, 0, -1, -1], [0, -1], 1),
        ([1, 1, -2, -2], [1, -2], 1),
        ([5, 5, 0, 0, 2, 2], [0, 2, 5], 3),
        ([-7, -7, 3, 3, -1, -1, 1, 1], [1, 3, -1, -7], 2),
        ([1.0, 1.0, -3.0, -3.0], [1, -3], 1),
    ],
)
def test_integers_are_sources_from_0_on(sample_domain, ids, n_source):
    assert found(sample_domain) == (ids, n_source)
    assert found(np.array(sample_domain)) == (ids, n_source)


def test_truth_values_say_which_rows_are_sources_only_with_source():
    mask = np.array([True, True, False, False])
    with pytest.raises(ValueError, match=r"give np.where\(mask, -1, 0\)"):
        check_domains(mask, 4)
    assert found(mask, True) == ([1, 0], 1)


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, lambda v: np.array(v, object)])
@pytest.mark.parametrize(
    ("source", "ids", "n_source"),
    [
        ("north", ["north", "east", "south"], 1),
        (["south", "north"], ["north", "south", "east"], 2),
        (("east",), ["east", "north", "south"], 1),
        (np.array(["north", "east"]), ["east", "north", "south"], 2),
        (["north", "north"], ["north", "east", "south"], 1),
        (["south", "east", "north"], ["east", "north", "south"], 3),
    ],
)
def test_names_come_with_their_sources(kind, source, ids, n_source):
    d = check_domains(kind(["south", "north", "east"] * 2), 6, source)
    assert (d.ids.tolist(), d.n_source) == (ids, n_source)
    assert d.ids[d.rows].tolist() == ["south", "north", "east"] * 2


@pytest.mark.parametrize(("source", "ids"), [(2, [2, 1, 5]), ([5, 1], [1, 5, 2]), (1, [1, 2, 5])])
def test_sources_may_be_named_among_integers(source, ids):
    assert found([1, 2, 5] * 2, source) == (ids, np.size(source))
    assert found([-4, -4, 3, 3], -4) == ([-4, 3], 1)  # then the sign says nothing


def test_without_domains_all_rows_are_one_source():
    d = check_domains(None, 4)
    assert (d.ids.tolist(), d.rows.tolist(), d.n_source) == ([0], [0] * 4, 1)
    assert d.target.tolist() == []


@pytest.mark.parametrize(
    ("sample_domain", "source", "words"),
    [
        ([1, -2], None, r"one domain for each of the 4 rows of X; its shape is \(2,\)"),
        ([[1], [1], [-2], [-2]], None, r"its shape is \(4, 1\)"),
        ([1.5, 1, -2, -2], None, "must hold integers"),
        ([np.nan, 1, -2, -2], None, "must hold integers"),
        ([np.inf, np.inf, -2, -2], None, "must hold integers"),
        ([None, "a", "b", "b"], "b", "must hold integers"),
        (["a", "a", "b", "b"], None, "has names; .* source='a'"),
        (["a", "a", "b", "b"], "c", r"source has \['c'\], which .* it has \['a', 'b'\]"),
        (["a", "a", "b", "b"], ["a", "c"], r"source has \['c'\]"),
        (["a", "a", "b", "b"], 0, r"source has \[0\]"),
        ([1, 1, -2, -2], "a", r"source has \['a'\]"),
        (["a", "a", "b", "b"], [], "source must name at least one domain"),
        (None, "a", "source='a' needs sample_domain"),
        ([-1, -1, -2, -2], None, "target rows .< 0. only"),
        ([1, 1, 1, -2], None, "1 row of the domain -2"),
        (["a", "a", "a", "b"], "a", "1 row of the domain 'b'"),
    ],
)
def test_domains_that_are_refused(sample_domain, source, words):
    with pytest.raises(ValueError, match=words):
        check_domains(sample_domain, 4, source)


def test_domains_outside_a_fit():
    assert as_domain_ids(["a", "b"], 2, names=True).tolist() == ["a", "b"]
    assert as_domain_ids([1.0, -1.0], 2, names=False).dtype == np.int64


@pytest.mark.parametrize(
    ("sample_domain", "source", "signed"),
    [
        ([1, -3, 1, -3], None, [1, -3, 1, -3]),  # what a user gave, where it is the convention
        (["a", "b", "a", "b"], "b", [-1, 0, -1, 0]),
        ([1, 2, 5] * 2, [2, 5], [-7, 6, 7] * 2),  # none of which is the id of another domain
        ([-4, 3, -4, 3], -4, [5, -6, 5, -6]),
        ([-1, 0, -1, 0], -1, [2, -3, 2, -3]),
    ],
)
def test_scorers_see_the_sign_of_a_domain(sample_domain, source, signed):
    domains = check_domains(sample_domain, len(sample_domain), source)
    assert domains.signed.tolist() == signed


# -------------------------------------------------------------------- labels

DOMAIN = [1, 1, 1, -2, -2, -2]


def labels(y, target_labels=False):
    return check_labels(y, check_domains(DOMAIN, 6), target_labels=target_labels, name="DANN")


@pytest.mark.parametrize("rest", [["c", "a", "z"], [None, None, None], [-1, np.nan, "a"]])
def test_target_labels_are_not_read(rest):
    classes, codes = labels(["b", "a", "b", *rest])
    assert classes.tolist() == ["a", "b"]
    assert codes.tolist() == [1, 0, 1, -1, -1, -1]


class Unreadable:
    def __eq__(self, other):
        raise AssertionError("a target label was read")

    __hash__ = None


def test_target_labels_are_not_even_compared():
    y = np.array(["b", "a", "b", *[Unreadable()] * 3], dtype=object)
    assert labels(y)[1].tolist() == [1, 0, 1, -1, -1, -1]


@pytest.mark.parametrize("none", [-1, None, np.nan])
def test_target_labels_where_there_are_some(none):
    classes, codes = labels([4, 9, 4, none, 9, none], target_labels=True)
    assert classes.tolist() == [4, 9]
    assert codes.tolist() == [0, 1, 0, -1, 1, -1]


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (None, "requires y to be passed"),
        ([1, 1, 1, 2, 2, 2], "only one class: 1"),
        ([0, 1, 0, 7, -1, -1], "label 7 at the target row 3, which no source row has"),
        ([0.5, 1.2, 0.1, -1, -1, -1], "Unknown label type"),
        ([np.nan, 1, 0, -1, -1, -1], "no label at 1 source rows .*, the first of them row 0"),
        ([0, 1, -1, 0, 1, 1], "no label at 1 source rows .*, the first of them row 2"),
        ([0, 1, 0, 1], "one label for each of the 6 rows of X; it has 4"),
    ],
)
def test_labels_that_are_refused(y, words):
    with pytest.raises(ValueError, match=words):
        labels(y, target_labels=True)


# -------------------------------------------------------------------- rows of a training


def test_rows_that_are_held_back():
    """A share of every class in every source domain; never of a target."""
    domains = check_domains(np.repeat([0, 1, -1], [100, 40, 60]), 200)
    codes = np.where(domains.rows < 2, np.arange(200) % 4 == 0, -1).astype(int)
    held = hold_back(codes, domains, 0.4, seed=1)
    assert (np.diff(held) > 0).all()
    for domain, n in ((0, 100), (1, 40)):
        own = codes[held[domains.rows[held] == domain]]
        assert np.bincount(own).tolist() == [round(0.3 * n), round(0.1 * n)]
    assert not np.isin(held, domains.target).any()
    assert (hold_back(codes, domains, 0.4, seed=1) == held).all()
    assert (hold_back(codes, domains, 0.4, seed=2) != held).any()
    assert len(hold_back(codes, domains, 0.0, seed=1)) == 0


def test_a_row_of_every_class_and_two_of_every_domain_stay():
    domains = check_domains([0] * 6 + [1] * 3 + [-1] * 2, 11)
    codes = np.array([0, 0, 0, 0, 1, 2, 0, 0, 0, -1, -1])
    for seed in range(20):
        kept = np.setdiff1d(np.arange(9), hold_back(codes, domains, 0.9, seed))
        assert set(codes[kept]) == {0, 1, 2}
        assert (np.bincount(domains.rows[kept]) >= 2).all()


def test_a_batch_is_shared_by_the_domains_of_each_side():
    domains = check_domains([1] * 5 + [3] * 4 + [-2] * 6, 15)
    codes = np.where(domains.rows < 2, 0, -1)
    streams, layout, labeled = batch_parts(codes, domains, 8)
    assert layout == [(4, 0), (4, 1), (8, 2)]
    assert labeled == 8
    assert [(rows.tolist(), count) for rows, count in streams] == [
        ([0, 1, 2, 3, 4], 4),
        ([5, 6, 7, 8], 4),
        (list(range(9, 15)), 8),
    ]


def test_labeled_target_rows_are_a_part_of_their_own():
    domains = check_domains([1] * 4 + [-2] * 6, 10)
    codes = np.array([0, 1, 0, -1, 1, -1, -1, -1, -1, -1])  # the fourth row is held back
    streams, layout, labeled = batch_parts(codes, domains, 8)
    assert layout == [(4, 0), (4, 1), (8, 1)]
    assert labeled == 8
    assert [rows.tolist() for rows, _ in streams] == [[0, 1, 2], [4], [4, 5, 6, 7, 8, 9]]


def test_every_domain_is_in_every_batch():
    domains = check_domains(np.repeat([0, 1, 2, -1], 2), 8)
    _, layout, labeled = batch_parts(np.where(domains.rows < 3, 0, -1), domains, 2)
    assert layout == [(1, 0), (1, 1), (1, 2), (2, 3)]
    assert labeled == 3
