"""Amazon reviews, Office-Caltech, PACS features and drifting gas sensors."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import issparse
from sklearn.datasets import dump_svmlight_file
from sklearn.linear_model import LogisticRegression

from repkit.datasets import (
    AMAZON_DOMAINS,
    GAS_BATCHES,
    OFFICE_DOMAINS,
    PACS_DOMAINS,
    DataCorruptedError,
    DataNotFoundError,
    _fetch,
    amazon,
    gas,
    load_amazon_reviews,
    load_gas_drift,
    load_office_caltech,
    load_pacs_deep,
    office,
)
from repkit.datasets._sources import CONTENT, SOURCES, Source

REVIEWS = {
    "books": (2201, 2264),
    "dvd": (1779, 1807),
    "electronics": (2824, 2857),
    "kitchen": (2991, 2954),
}
OBJECTS = {
    "amazon": [92, 82, 94, 99, 100, 100, 99, 100, 94, 98],
    "caltech": [151, 110, 100, 138, 85, 128, 133, 94, 87, 97],
    "dslr": [12, 21, 12, 13, 10, 24, 22, 12, 8, 23],
    "webcam": [29, 21, 31, 27, 27, 30, 43, 30, 27, 30],
}


@pytest.mark.parametrize("domain", AMAZON_DOMAINS)
def test_amazon(real_data, domain):
    data = load_amazon_reviews(domain)
    for part, labels in (("train", (1000, 1000)), ("test", REVIEWS[domain])):
        x, y = data[f"x_{part}"], data[f"y_{part}"]
        assert issparse(x)
        assert x.format == "csr"
        assert x.shape == (sum(labels), 5000)
        assert x.dtype == np.float32
        assert x.data.min() >= 1
        assert (x.data == x.data.round()).all()
        assert y.dtype == np.int64
        assert tuple(np.bincount(y)) == labels


def test_amazon_rows_go_with_labels(real_data):
    books, dvd = load_amazon_reviews("books"), load_amazon_reviews("dvd")
    model = LogisticRegression(C=0.05).fit(books.x_train.log1p(), books.y_train)
    assert model.score(dvd.x_test.log1p(), dvd.y_test) == pytest.approx(0.799, abs=0.001)


@pytest.mark.parametrize("domain", OFFICE_DOMAINS)
def test_office(real_data, domain):
    data = load_office_caltech(domain)
    assert data.data.shape == (sum(OBJECTS[domain]), 800)
    assert data.data.dtype == np.float32
    assert (data.data == data.data.round()).all()
    assert data.target.dtype == np.int64
    assert np.bincount(data.target).tolist() == OBJECTS[domain]


def as_svmlight(x, y):
    raw = io.BytesIO()
    dump_svmlight_file(x, y, raw, zero_based=True)
    return raw.getvalue()


def test_amazon_from_the_published_form(real_data, folders, monkeypatch, serve):
    """Written as the authors publish it, the content has the same digest."""
    root, cache = folders
    monkeypatch.setenv("REPKIT_DATA", str(real_data))
    data = load_amazon_reviews("kitchen")
    monkeypatch.setenv("REPKIT_DATA", str(root))
    for part in ("train", "test"):
        name = f"amazon_reviews/kitchen_{part}"
        packed, published = SOURCES[name]
        assert published.url.endswith(f"/kitchen_{part}.svmlight")
        raw = as_svmlight(data[f"x_{part}"], 2 * data[f"y_{part}"] - 1)
        local = Source(published.path, published.sums, serve(f"kitchen_{part}", raw))
        monkeypatch.setitem(SOURCES, name, (packed, local))
    again = load_amazon_reviews("kitchen")
    assert (cache / "amazon_reviews/kitchen_test.svmlight").is_file()
    for part in ("train", "test"):
        assert (again[f"x_{part}"] != data[f"x_{part}"]).nnz == 0
        np.testing.assert_array_equal(again[f"y_{part}"], data[f"y_{part}"])


@pytest.mark.parametrize("change", ["count", "label", "torn", "page"])
def test_amazon_download_with_other_content(folders, monkeypatch, serve, change):
    _, cache = folders
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3, (6, 5000)), np.array([1, -1, 1, -1, 1, -1])
    right = as_svmlight(x, y)
    path = cache / "right.svmlight"
    path.write_bytes(right)
    content = _fetch.digest(amazon._parse(path, "dvd_train"))
    monkeypatch.setitem(CONTENT, "amazon_reviews/dvd_train", content)
    if change == "count":
        x[3, 7] += 1
    elif change == "label":
        y[2] = -1
    raw = {"torn": right[:-9], "page": b"<html>404</html>"}.get(change, as_svmlight(x, y))
    source = Source("amazon_reviews/dvd_train.svmlight", (), serve("dvd_train", raw))
    monkeypatch.setitem(SOURCES, "amazon_reviews/dvd_train", (source,))
    with pytest.raises(DataCorruptedError, match="removed from the cache"):
        load_amazon_reviews("dvd")
    assert not (cache / source.path).exists()


def test_amazon_labels_file_missing(real_data, folders):
    root, _ = folders
    (root / "amazon_reviews").mkdir()
    name = "amazon_reviews/books_train.npz"
    (root / name).write_bytes((real_data / name).read_bytes())
    with pytest.raises(DataNotFoundError, match=r"amazon_reviews/labels\.npz"):
        load_amazon_reviews("books")


def test_office_from_the_published_form(real_data, folders, monkeypatch, serve):
    root, cache = folders
    monkeypatch.setenv("REPKIT_DATA", str(real_data))
    for domain in OFFICE_DOMAINS:
        data = load_office_caltech(domain)
        name = f"office_caltech/{domain}"
        packed, published = SOURCES[name]
        assert published.url.lower().endswith(f"/{published.path.rpartition('/')[2]}".lower())
        raw = io.BytesIO()
        savemat(raw, {"fts": data.data.astype(float), "labels": data.target[:, None] + 1.0})
        local = Source(published.path, (), serve(f"{domain}.mat", raw.getvalue()))
        monkeypatch.setitem(SOURCES, name, (packed, local))
    monkeypatch.setenv("REPKIT_DATA", str(root))
    for domain in OFFICE_DOMAINS:
        assert load_office_caltech(domain).data.shape == (sum(OBJECTS[domain]), 800)
    # A wrong label is noticed.
    path = cache / published.path
    savemat(path, {"fts": data.data.astype(float), "labels": np.roll(data.target, 1) + 1.0})
    with pytest.raises(DataCorruptedError, match="sha256"):
        load_office_caltech(domain)


def test_content_digests(real_data):
    """The digests stand for the files whose checksums are known, not for a download."""
    tables = {name: content for name, content in CONTENT.items() if "/" in name}
    for name, expected in tables.items():
        module = amazon if name.startswith("amazon_reviews") else office
        path = _fetch.fetch(name)
        assert path.suffix == ".npz"
        assert _fetch.digest(module._parse(path, name.partition("/")[2])) == expected


@pytest.mark.parametrize("load", [load_amazon_reviews, load_office_caltech, load_pacs_deep])
def test_unknown_domain(load):
    with pytest.raises(ValueError, match=r"domain must be one of .*, not 'toys'"):
        load("toys")


# -------------------------------------------------------------------- PACS

THINGS = {
    "art_painting": [379, 255, 285, 184, 201, 295, 449],
    "cartoon": [389, 457, 346, 135, 324, 288, 405],
    "photo": [189, 202, 182, 186, 199, 280, 432],
    "sketch": [772, 740, 753, 608, 816, 80, 160],
}


@pytest.mark.parametrize("domain", PACS_DOMAINS)
def test_pacs(real_data, domain):
    data = load_pacs_deep(domain)
    assert data.data.shape == (sum(THINGS[domain]), 1280)
    assert data.data.dtype == np.float32
    assert data.data.min() == 0
    assert data.data.max() == pytest.approx(255 * 0.0144196, rel=1e-4)
    assert data.target.dtype == np.int64
    assert np.bincount(data.target).tolist() == THINGS[domain]
    assert data.target_names[::6] == ("dog", "person")


def test_pacs_rows_go_with_labels(real_data):
    """The accuracy from art to photographs that came with the file."""
    art, photo = load_pacs_deep("art_painting"), load_pacs_deep("photo")
    mean, std = art.data.mean(0), art.data.std(0) + 1e-6
    model = LogisticRegression(C=0.01, max_iter=60).fit((art.data - mean) / std, art.target)
    assert model.score((photo.data - mean) / std, photo.target) == pytest.approx(0.959, abs=0.01)


def test_what_is_published_nowhere_says_what_to_do(folders):
    with pytest.raises(DataNotFoundError, match=r"(?s)published nowhere.*set REPKIT_DATA.*36c0b9a"):
        load_pacs_deep("photo")


# -------------------------------------------------------------------- gas


GASES = {
    1: [90, 98, 83, 30, 70, 74],
    2: [164, 334, 100, 109, 532, 5],
    3: [365, 490, 216, 240, 275],
    4: [64, 43, 12, 30, 12],
    5: [28, 40, 20, 46, 63],
    6: [514, 574, 110, 29, 606, 467],
    8: [30, 30, 40, 33, 143, 18],
    9: [61, 55, 100, 75, 78, 101],
}


@pytest.mark.parametrize("batch", GAS_BATCHES)
def test_gas(real_data, batch):
    data = load_gas_drift(batch)
    assert data.data.shape == (sum(GASES[batch]), 128)
    assert data.data.dtype == data.concentration.dtype == np.float32
    assert data.target.dtype == np.int64
    assert np.bincount(data.target).tolist() == GASES[batch]
    assert 1 <= data.concentration.min() < data.concentration.max() <= 1000


def test_gas_rows_go_with_labels(real_data):
    first, second = load_gas_drift(1), load_gas_drift(2)
    mean, std = first.data.mean(0), first.data.std(0)
    model = LogisticRegression(max_iter=2000).fit((first.data - mean) / std, first.target)
    found = model.score((second.data - mean) / std, second.target)
    assert found == pytest.approx(0.826, abs=0.02)


def gas_archive(tables, end=" \n"):
    """As it is published: a file for each batch, in the order of their names."""
    raw = io.BytesIO()
    line = "%d;%.6f " + " ".join(f"{k}:%.6f" for k in range(1, 129)) + end
    with zipfile.ZipFile(raw, "w") as archive:
        for batch in sorted(tables, key=str):
            lines = [line % (y + 1, c, *x) for x, y, c in zip(*tables[batch], strict=True)]
            archive.writestr(f"Dataset/batch{batch}.dat", "".join(lines))
    return raw.getvalue()


def test_gas_from_the_published_form(real_data, folders, monkeypatch, serve):
    """Written as it is published, the content has the same digest."""
    root, cache = folders
    monkeypatch.setenv("REPKIT_DATA", str(real_data))
    data = {batch: load_gas_drift(batch) for batch in GAS_BATCHES}
    tables = {
        b: (d.data.astype(float), d.target, d.concentration.astype(float)) for b, d in data.items()
    }
    monkeypatch.setenv("REPKIT_DATA", str(root))
    packed, published = SOURCES["gas_drift"]
    assert published.url.endswith(".zip")
    archive = gas_archive({**tables, 7: tables[8], 10: tables[4]})  # which are left out
    local = Source(published.path, (), serve("gas.zip", archive))
    monkeypatch.setitem(SOURCES, "gas_drift", (packed, local))
    again = load_gas_drift(9)
    np.testing.assert_array_equal(again.data, data[9].data)
    np.testing.assert_array_equal(again.concentration, data[9].concentration)
    # Other values are noticed.
    (cache / published.path).write_bytes(gas_archive(dict.fromkeys(GAS_BATCHES, tables[4])))
    with pytest.raises(DataCorruptedError, match="sha256"):
        load_gas_drift(9)


@pytest.mark.parametrize("batch", [7, 10, 0, "1", None])
def test_gas_batches(batch):
    with pytest.raises(ValueError, match=r"batch must be one of \[1, 2, 3, 4, 5, 6, 8, 9\], not"):
        load_gas_drift(batch)


def test_gas_of_a_made_archive(folders, monkeypatch):
    """Lines without a blank at the end, and a torn archive."""
    path = folders[1] / "x.zip"
    x = np.arange(128.0)
    tables = {b: ([x + b, x], [b % 6, 5], [10.0, 2.5]) for b in GAS_BATCHES}
    path.write_bytes(gas_archive(tables, end="\n"))
    found = gas._parse(path)
    assert found["x"].shape == (16, 128)
    np.testing.assert_array_equal(found["x"][::2, 0], GAS_BATCHES)
    assert found["y"].tolist() == [v for b in GAS_BATCHES for v in (b % 6, 5)]
    assert found["concentration"][:2].tolist() == [10.0, 2.5]
    assert found["batch"].tolist() == [b for b in GAS_BATCHES for _ in "12"]
