"""Displays of speech."""

import numpy as np
import pytest

from repkit import DANN, SpectrogramDisplay, SpeechVectorsDisplay


class Fake:
    """Vectors of two dimensions, which are drawn as they are."""

    def transform_phonetic(self, X):
        return np.stack([np.arange(len(X)), np.zeros(len(X))], 1)

    def transform_speaker(self, X):
        return np.stack([np.zeros(len(X)), np.arange(len(X))], 1)


def test_both_vectors_by_word_and_by_speaker(plt):
    words, speakers = np.array(list("aabbcc")), np.arange(6) % 2
    display = SpeechVectorsDisplay.from_estimator(Fake(), [None] * 6, words, speakers)
    titles = [axes.get_title() for axes in display.ax_]
    assert titles == [
        "phonetic vectors by word",
        "phonetic vectors by speaker",
        "speaker vectors by word",
        "speaker vectors by speaker",
    ]
    legends = [[t.get_text() for t in axes.get_legend().get_texts()] for axes in display.ax_]
    assert legends == [["a", "b", "c"], ["0", "1"]] * 2
    drawn = display.ax_[1].collections[1].get_offsets()
    np.testing.assert_array_equal(drawn[:, 0], [1, 3, 5])
    fewer = SpeechVectorsDisplay.from_estimator(Fake(), [None] * 6, words, speakers, max_points=4)
    phonetic, voice = fewer.points["phonetic vectors"], fewer.points["speaker vectors"]
    kept = phonetic[:, 0].astype(int)
    assert len(set(kept)) == 4
    np.testing.assert_array_equal(voice[:, 1], kept)
    np.testing.assert_array_equal(fewer.colorings["word"], words[kept])
    np.testing.assert_array_equal(fewer.colorings["speaker"], speakers[kept])


def test_points_that_do_not_go_together():
    with pytest.raises(ValueError, match=r"points\['p'\] must have shape \(n, 2\), not \(3, 3\)"):
        SpeechVectorsDisplay({"p": np.zeros((3, 3))}, {"word": [1, 2, 3]})
    with pytest.raises(ValueError, match="inconsistent"):
        SpeechVectorsDisplay({"p": np.zeros((3, 2))}, {"word": [1, 2]})
    with pytest.raises(
        ValueError, match="points and colorings must not be empty, or there is nothing to"
    ):
        SpeechVectorsDisplay({"p": np.zeros((3, 2))}, {})
    with pytest.raises(ValueError, match="inconsistent"):
        SpeechVectorsDisplay.from_estimator(Fake(), [None] * 6, range(7), range(6))
    with pytest.raises(TypeError, match="estimator must have the method transform_phonetic, as"):
        SpeechVectorsDisplay.from_estimator(DANN(), [None] * 6, range(6), range(6))


def test_spectrograms_share_their_colors(plt):
    frames = {"input": np.arange(12.0).reshape(4, 3), "conversion": np.full((5, 3), 20.0)}
    display = SpectrogramDisplay(frames).plot()
    images = [axes.images[0] for axes in display.ax_]
    assert [image.get_clim() for image in images] == [(0.0, 20.0)] * 2
    np.testing.assert_array_equal(images[0].get_array(), frames["input"].T)
    assert [axes.get_title() for axes in display.ax_] == list(frames)
    figure, axes = plt.subplots(1, 2)
    assert SpectrogramDisplay(frames).plot(axes).figure_ is figure


@pytest.mark.parametrize("frames", [{}, {"input": np.zeros(3)}, {"input": np.zeros((0, 3))}])
def test_no_frames(frames):
    with pytest.raises(ValueError, match="frames"):
        SpectrogramDisplay(frames)


def test_units_stand_over_their_frames(plt):
    frames = {"sentence": np.zeros((8, 3)), "other": np.ones((4, 3))}
    display = SpectrogramDisplay(frames, {"sentence": [7, 7, 2, 7]}).plot()
    axes = display.ax_[0]
    assert [(t.get_text(), t.get_position()[0]) for t in axes.texts] == [
        ("7", 1.5),
        ("2", 4.5),
        ("7", 6.5),
    ]
    assert [line.get_xdata()[0] for line in axes.lines] == [3.5, 5.5]
    assert not display.ax_[1].texts
    with pytest.raises(ValueError, match="units must have names of frames, 'sentence', 'other', n"):
        SpectrogramDisplay(frames, {"word": [1]})
    with pytest.raises(ValueError, match=r"units\['other'\] must be whole numbers of shape \(K,\)"):
        SpectrogramDisplay(frames, {"other": [0.5]})
