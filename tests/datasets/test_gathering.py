"""Samples of lists, data sets and loaders."""

import re
from pathlib import Path

import numpy as np
import pytest

from repkit.datasets import gather_samples

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (6, 3, 9, 7), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2]


class Rows:
    """What a data set of Hugging Face looks like: rows are dicts, columns have names."""

    column_names = ("img", "fine_label")

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, k):
        if not isinstance(k, int):
            raise TypeError("rows are read one by one")
        return {"img": self.images[k], "fine_label": self.labels[k]}


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(zip(BYTES, LABELS, strict=True))


def pictures():
    Image = pytest.importorskip("PIL.Image")
    return [Image.fromarray(x.transpose(1, 2, 0)) for x in BYTES]


def sources():
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(BYTES), torch.tensor(LABELS))
    loader = torch.utils.data.DataLoader
    return {
        "data set": pairs,
        "loader": loader(pairs, batch_size=4),
        "loader without batches": loader(pairs, batch_size=None),
        "stream": Stream(),
        "loader of a stream": loader(Stream(), batch_size=4),
        "subset": torch.utils.data.Subset(pairs, range(6)),
        "rows": Rows(BYTES, LABELS),
        "loader of rows": loader(Rows(BYTES, LABELS), batch_size=4),
        "tuples": list(zip(BYTES, LABELS, strict=True)),
        "channels last": list(zip(BYTES.transpose(0, 2, 3, 1), LABELS, strict=True)),
        "generator": (pair for pair in zip(BYTES, LABELS, strict=True)),
    }


@pytest.mark.parametrize("kind", list(sources()))
def test_every_collection(kind, tmp_path):
    found = gather_samples(sources()[kind])
    np.testing.assert_array_equal(found.data, BYTES)
    assert (found.data.dtype, found.target.tolist()) == (np.uint8, LABELS)
    mapped = gather_samples(sources()[kind], memory_map=tmp_path / "x.npy").data
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, BYTES)


def test_images_and_paths_of_several_sizes(tmp_path):
    images = pictures()
    found = gather_samples(images)
    np.testing.assert_array_equal(found.data, BYTES)
    assert found.target is None
    for k, image in enumerate(images):
        image.resize((7 + k, 9)).save(tmp_path / f"{k}.png")
    paths = sorted(tmp_path.glob("*.png"))
    with pytest.raises(ValueError, match=r"source\[1\] has \(3, 9, 8\); give size="):
        gather_samples(paths)
    found = gather_samples(list(zip(map(str, paths), LABELS, strict=True)), size=(5, 4))
    assert (found.data.shape, found.target.tolist()) == ((6, 3, 5, 4), LABELS)
    np.testing.assert_array_equal(
        gather_samples(Rows(images, LABELS), size=8, color=False).data.shape, (6, 8, 8)
    )
    gray = [images[0].convert("L"), images[1]]
    with pytest.raises(ValueError, match="image 1 has colors and image 0 has none; give color="):
        gather_samples(gray)
    assert gather_samples(gray, color=True).data.shape == (2, 3, 9, 7)


def test_keys_and_kinds():
    items = [{"a": torch.ones(3, dtype=torch.bfloat16), "b": "x", "c": 2.0}] * 2
    found = gather_samples(items, sample="a", label="c")
    assert (found.data.dtype, found.data.shape, found.target.tolist()) == (
        np.float32, (2, 3), [2.0, 2.0],
    )  # fmt: skip
    found = gather_samples([(1, np.ones(3), "up")] * 2, sample=1, label=2)
    assert found.target.tolist() == ["up", "up"]
    assert gather_samples([(np.ones(3),)] * 2).target is None


@pytest.mark.parametrize(
    ("source", "how", "message"),
    [
        ("folder", {}, "source must be a list of images or paths, or a data set, not 'folder'"),
        (Path("a"), {}, "source must be a list"),
        ([], {}, "source must hold a sample, but it is empty"),
        ([np.ones(3), np.ones(4)], {}, "of one shape, but source[0] has (3,)"),
        ([{"a": 1}], {}, "source[0] has none of image, img"),
        ([{"x": np.ones(2)}], {"label": "z"}, "label must be a key of source[0], one of x"),
        ([(np.ones(2), 1)], {"sample": 2}, "sample must be a place in source[0], which has 2"),
        ([np.ones(2)], {"label": 1}, "source[0] must be a tuple or a dict"),
        ([object()], {}, "source[0] must be an image of Pillow, a path, an array or a tensor"),
        ([np.ones(2)], {"size": 0}, "size must be an integer of at least 1"),
        ([np.ones(2)], {"color": 2}, "color must be"),
        ([np.ones(2)], {"memory_map": "x.bin"}, "memory_map must be a path that ends in .npy"),
        ([(np.ones(2), 1), (np.ones(2),)], {}, "source must have a label for each item"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(source, how, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        gather_samples(source, **how)
