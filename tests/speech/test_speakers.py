"""Who speaks: labels, pairs, and the names of sub-folders."""

from pathlib import Path

import numpy as np
import pytest

from repkit.speech.speakers import folder_speakers, numbered, speaker_labels


def test_pairs_make_components():
    labels, known = speaker_labels(None, [[3, 1], [1, 5], [0, 2]], 7)
    assert known.tolist() == [True, True, True, True, False, True, False]
    assert labels[1] == labels[3] == labels[5] != labels[0] == labels[2]
    for wrong in ([[0, 7]], [[-1, 0]]):
        with pytest.raises(ValueError, match="pairs must hold numbers of utterances"):
            speaker_labels(None, wrong, 7)
    for wrong in ([0, 1], [[0.0, 1.0]], np.zeros((0, 2), int)):
        with pytest.raises(ValueError, match="pairs must be whole numbers"):
            speaker_labels(None, wrong, 7)
    with pytest.raises(ValueError, match="not both"):
        speaker_labels([0, 1], [[0, 1]], 2)


def test_numbers_from_zero():
    labels, known = speaker_labels(["b", "-1", "a", "b"], None, 4)
    speakers, place = numbered(labels, known)
    assert speakers.tolist() == ["a", "b"]
    assert place.tolist() == [1, -1, 0, 1]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["ann/1.wav", "ann/2.wav", "bob/1.wav"], ["ann", "ann", "bob"]),
        (["ann/book/1.wav", "bob/book/2.wav"], ["ann", "bob"]),
        (["wav/ann/1.wav", "wav/bob/1.wav"], ["ann", "bob"]),
        (["1.wav", "ann/1.wav", "bob/1.wav"], ["-1", "ann", "bob"]),
        (["1.wav", "2.wav"], None),
        (["wav/1.wav", "wav/2.wav"], None),
        (["1.wav"], None),
    ],
)
def test_speakers_are_the_folders_where_paths_part(files, expected):
    found = folder_speakers([Path("data") / name for name in files])
    assert (found if found is None else found.tolist()) == expected
    assert expected is None or isinstance(found, np.ndarray)
