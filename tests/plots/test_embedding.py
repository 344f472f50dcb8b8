"""`EmbeddingDisplay`: what is drawn, and what is refused."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from repkit import DANN, EmbeddingDisplay, SpeechVectorsDisplay
from repkit.datasets import make_domains
from repkit.plots import embedding
from repkit.plots.embedding import to_plane


def test_embedding_is_colored_by_class_and_by_domain(plt):
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(60, 2)), np.repeat([0, 1, -1], 20)
    domain = np.tile([1, -2], 30)
    display = EmbeddingDisplay(points, labels, domain).plot()
    classes, domains = (
        [text.get_text() for text in ax.get_legend().get_texts()] for ax in display.ax_
    )
    assert classes == ["unlabeled", "0", "1"]
    assert domains == ["source 1", "target -2"]
    drawn = np.concatenate([c.get_offsets() for c in display.ax_[0].collections])
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, points))
    assert display.figure_ is display.ax_[1].get_figure()


def test_numbers_are_on_a_scale_of_colors(plt):
    rng = np.random.default_rng(0)
    points, y = rng.normal(size=(30, 2)), rng.normal(size=30)
    y[4:6] = np.nan, np.inf
    display = EmbeddingDisplay(points, y, np.tile([1, -2], 15)).plot()
    unknown, drawn = display.ax_[0].collections
    np.testing.assert_array_equal(unknown.get_offsets(), points[4:6])
    np.testing.assert_array_equal(drawn.get_offsets(), points[np.isfinite(y)])
    np.testing.assert_array_equal(drawn.get_array(), y[np.isfinite(y)])
    assert display.ax_[0].get_legend() is None
    assert len(display.figure_.axes) == 3  # two, and the scale
    assert [ax.get_title() for ax in display.ax_] == ["by label", "by domain"]
    whole = EmbeddingDisplay(points, np.arange(30.0) % 3).plot()  # floats that are classes
    assert len(whole.ax_[0].get_legend().get_texts()) == 3


@pytest.mark.parametrize(
    ("labels", "unlabeled"),
    [
        (["a", None, "b", "a"], -1),
        (["a", -1, "b", "a"], -1),
        (["a", "?", "b", "a"], "?"),
        ([0.0, np.nan, 1.0, 0.0], -1),
        ([0, -1, 1, 0], -1),
        ([0, 7, 1, 0], 7),
        (np.array([0, None, "b", 0], dtype=object), -1),
        ([True, None, False, True], None),
    ],
)
def test_rows_without_a_label_are_gray(plt, labels, unlabeled):
    points = np.random.default_rng(0).normal(size=(4, 2))
    displays = [EmbeddingDisplay(points, labels, unlabeled=unlabeled)]
    if unlabeled == -1:
        displays.append(SpeechVectorsDisplay({"v": points}, {"word": labels}))
    for display in displays:
        unknown, *known = display.plot().ax_[0].collections
        assert unknown.get_label() == "unlabeled"
        np.testing.assert_array_equal(unknown.get_offsets(), points[1:2])
        assert sorted(len(c.get_offsets()) for c in known) == [1, 2]


def test_a_legend_leaves_room_for_the_points(plt):
    for n, there in ((60, True), (61, False)):
        display = EmbeddingDisplay(np.zeros((n, 2)), np.arange(n)).plot()
        assert (display.ax_[0].get_legend() is not None) == there


def test_embedding_uses_the_axes_given(plt):
    figure, axes = plt.subplots(1, 1)
    display = EmbeddingDisplay(np.zeros((4, 2)), labels=list("abab")).plot(ax=axes)
    assert display.ax_ == [axes]
    assert display.figure_ is figure
    with pytest.raises(ValueError, match="ax must hold 2 Axes"):
        EmbeddingDisplay(np.zeros((4, 2)), list("abab"), [1, 1, -2, -2]).plot(ax=axes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((np.zeros((4, 3)), [1] * 4), r"shape \(n, 2\)"), ((np.zeros((4, 2)),), "nothing to color")],
)
def test_embedding_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingDisplay(*arguments)


def test_embedding_by_umap_is_reproducible_and_parts_clusters(plt):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(150, 8)) + 20 * np.repeat([0, 1], 75)[:, None]
    y = np.repeat(["a", "b"], 75)
    first, display = (
        EmbeddingDisplay.from_embedding(features, y, max_points=100, random_state=0)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.points, display.points)
    assert display.points.shape == (100, 2)
    a, b = (display.points[display.labels == k] for k in "ab")
    gap = np.linalg.norm(a.mean(0) - b.mean(0))
    assert gap > 2 * max(a.std(0).max(), b.std(0).max())


@pytest.mark.parametrize("fails", [False, True])
def test_umap_leaves_the_threads_of_torch_alone(monkeypatch, fails):
    """Numba sets those of OpenMP at its first call in a process, which are torch's, too."""

    class UMAP:
        def __init__(self, **_):
            pass

        def fit_transform(self, features):
            torch.set_num_threads(2)
            if fails:
                raise RuntimeError("numba")
            return features[:, :2]

    monkeypatch.setattr(embedding, "need", lambda *_: SimpleNamespace(UMAP=UMAP))
    with contextlib.nullcontext() if not fails else pytest.raises(RuntimeError, match="numba"):
        to_plane(np.eye(4), seed=0)
    assert torch.get_num_threads() == 1


def test_embedding_of_an_estimator(plt):
    data = make_domains(n_samples=60, random_state=0)
    model = DANN(max_epochs=1, width=2, random_state=0)
    model.fit(data.X, data.y, sample_domain=data.sample_domain)
    display = EmbeddingDisplay.from_estimator(
        model, data.X, data.y, data.sample_domain, max_points=50, random_state=0
    )
    assert len(display.ax_) == 2
    features = model.transform(data.X, data.sample_domain)
    assert set(map(tuple, display.points)) <= set(map(tuple, features))
    assert len(display.points) == len(display.labels) == len(display.sample_domain) == 50


def test_thirty_classes_look_different(plt):
    labels = np.repeat(np.arange(30), 2)
    display = EmbeddingDisplay(np.random.default_rng(0).random((60, 2)), labels).plot()
    looks = {
        (tuple(points.get_facecolor()[0][:3]), points.get_paths()[0].vertices.tobytes())
        for points in display.ax_[0].collections
    }
    assert len(looks) == 30
