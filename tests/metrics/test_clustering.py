import numpy as np
import pytest

from repkit.metrics import match_clusters

CLUSTERS = np.array([0, 0, 0, 1, 1, 1, 2, 2])
LABELS = np.array(["a", "a", "b", "a", "a", "c", "c", "c"])


def test_matching_counts_agreement():
    # Clusters 0 and 1 both are mostly "a"; only 0 holds a "b".
    assert list(match_clusters(CLUSTERS, LABELS)) == ["b", "a", "c"]


def test_clusters_beyond_the_labels_get_their_commonest():
    labels = np.where(LABELS == "c", "b", LABELS)
    assert list(match_clusters(CLUSTERS, labels)) == ["a", "a", "b"]


def test_an_empty_cluster_has_a_name():
    assert match_clusters(CLUSTERS, LABELS, 5).shape == (5,)


@pytest.mark.parametrize(
    ("clusters", "labels", "n", "message"),
    [
        ([0, 1], ["a"], None, "labels has 1 entries for 2 rows"),
        ([0, 1], ["a", None], None, "labels is missing"),
        ([0, -1], ["a", "b"], 2, "clusters must be integers from 0 to 1"),
        ([0, 2], ["a", "b"], 2, "clusters must be integers from 0 to 1"),
        ([0.5, 1], ["a", "b"], 2, "clusters must be integers from 0, not dtype float64"),
    ],
)
def test_bad_input(clusters, labels, n, message):
    with pytest.raises(ValueError, match=message):
        match_clusters(np.array(clusters), np.array(labels, dtype=object), n)
