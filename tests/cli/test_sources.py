"""DATA of the command line: what it holds, and its labels."""

import click
import numpy as np
import pandas as pd
import pytest

from repkit.cli.sources import Wanted, open_source


def load(given, speech=False, **wanted):
    return open_source(str(given), Wanted(**wanted), speech=speech).load()


def test_tables(files):
    X, y = load("source.csv", label="kind")
    assert list(X.columns) == ["a", "b"]
    assert set(y) == {"up", "down"}
    X, y = load("source.csv", drop=("kind", "a"))
    assert (list(X.columns), y) == (["b"], None)
    X, y = load("source.csv", label="nope", lenient=True, drop=("kind",))
    assert (list(X.columns), y) == (["a", "b"], None)
    pd.read_csv("source.csv").to_csv("source.tsv.gz", sep="\t", index=False)
    assert load("source.tsv.gz", label="kind")[0].shape == (40, 2)


def test_arrays(files):
    X, y = load("table.npz")
    assert X.shape == (80, 2)
    assert set(y) == {0, 1}
    np.save("labels.npy", y)
    np.save("short.npy", y[:3])
    mapped, same = load("table.npy", label="labels.npy")
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(same, y)
    with pytest.raises(ValueError, match=r"table.npy has 80 samples, but 3 labels"):
        load("table.npy", label="short.npy")
    np.savez("odd.npz", a=X, b=y)
    with pytest.raises(click.UsageError, match="has the arrays a, b; one must be called X or x"):
        load("odd.npz")
    np.savez("one.npz", a=X)
    assert load("one.npz")[1] is None
    np.save("objects.npy", np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"objects.npy cannot be read as arrays"):
        load("objects.npy")


def test_images(files):
    X, y = load("images")
    assert (X.shape, X.dtype, set(y)) == ((24, 10, 8), np.uint8, {"thin", "wide"})
    assert load("images", size=(5, 4))[0].shape == (24, 5, 4)
    assert set(load("images", label=r"(\d)\.png")[1]) == set("0123456789")
    (files / "images" / "thin" / "00.png").rename(files / "images" / "00.png")
    assert load("images")[1].tolist().count("-1") == 1  # beside the classes: no label
    assert load("images/thin")[1] is None


def test_images_as_the_model_takes_them(files):
    class Model:
        input_shape_ = (3, 6, 6)

    assert load("images", model=Model())[0].shape == (24, 3, 6, 6)
    Model.input_shape_ = (1, 6, 6)
    assert load("images", model=Model())[0].shape == (24, 1, 6, 6)
    Model.input_shape_ = (6, 6)
    assert load("images", model=Model())[0].shape == (24, 6, 6)


def test_images_of_several_sizes_need_one(files):
    from PIL import Image

    Image.new("L", (5, 7)).save("images/wide/z.png")
    with pytest.raises(ValueError, match=r"wide/z.png has 7x5; give --size 10, say"):
        load("images")


def test_lists_of_sound(files):
    folder, speakers = load("wavs", speech=True)
    assert set(speakers) == {"speaker0", "speaker1"}
    names = [path.removeprefix("wavs/") for path in folder]
    (files / "wavs" / "list.txt").write_text("\n".join(names) + "\n\n")
    assert load("wavs/list.txt", speech=True)[0] == folder
    words = [name.partition("word")[2][:1] for name in names]
    pd.DataFrame({"path": names, "said": words}).to_csv("wavs/list.csv", index=False)
    paths, said = load("wavs/list.csv", speech=True, label="said")
    assert (paths, said.astype(str).tolist()) == (folder, words)
    with pytest.raises(click.UsageError, match="no column 'who'"):
        load("wavs/list.csv", speech=True, label="who")
    paths, who = load("wavs", speech=True, label=r"speaker(\d)")
    assert set(who) == {"0", "1"}
    assert len(load(folder[0], speech=True)[0]) == 1
    (files / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"empty.txt lists no file"):
        load("empty.txt", speech=True)


def test_embedded_sets():
    X, y = load("moons:target")
    assert (X.shape, set(y)) == ((300, 2), {0, 1})
    with pytest.raises(click.UsageError, match="moons has no label 'z'; it has y"):
        load("moons", label="z")
    source = open_source("speech", Wanted(label="word"), speech=True)
    assert source.sample_rate == 8000
    assert set(source.load()[1]) == set(range(8))


def test_ids_tell_one_data_from_another(files):
    stamps = [
        open_source(given, Wanted(), speech=speech).stamp()
        for given, speech in (("source.csv", 0), ("target.csv", 0), ("images", 0), ("wavs", 1))
    ]
    assert len({str(stamp) for stamp in stamps}) == 4
    assert open_source("moons", Wanted(), speech=False).stamp() == {"data": "moons"}
