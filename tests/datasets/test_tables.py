"""Amazon reviews and Office-Caltech."""

from __future__ import annotations

import io

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import issparse
from sklearn.datasets import dump_svmlight_file
from sklearn.linear_model import LogisticRegression

from repkit.datasets import (
    AMAZON_DOMAINS,
    OFFICE_DOMAINS,
    DataCorruptedError,
    DataNotFoundError,
    _fetch,
    amazon,
    load_amazon_reviews,
    load_office_caltech,
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
    tables = {name: content for name, content in CONTENT.items() if name != "fsdd"}
    for name, expected in tables.items():
        module = amazon if name.startswith("amazon_reviews") else office
        path = _fetch.fetch(name)
        assert path.suffix == ".npz"
        assert _fetch.digest(module._parse(path, name.partition("/")[2])) == expected


@pytest.mark.parametrize("load", [load_amazon_reviews, load_office_caltech])
def test_unknown_domain(load):
    with pytest.raises(ValueError, match=r"domain must be one of .*, not 'toys'"):
        load("toys")
