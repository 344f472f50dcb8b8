"""Finding, downloading and refusing files."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from repkit.datasets import DataCorruptedError, DataNotFoundError, _download, _fetch, load_mnist
from repkit.datasets._sources import CONTENT, SOURCES, Source

GOOD = b"the right bytes\n"
SUM = f"sha256:{hashlib.sha256(GOOD).hexdigest()}"
NOWHERE = "http://127.0.0.1:9/good.bin"  # the discard port: nobody answers


def known(monkeypatch, *sources):
    monkeypatch.setitem(SOURCES, "toy", sources)


def put(folder: Path, path: str, content: bytes) -> Path:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target


def test_data_folder_comes_before_the_cache(folders, monkeypatch):
    root, cache = folders
    known(monkeypatch, Source("toy/good.bin", (SUM,), NOWHERE))
    kept = put(cache, "toy/good.bin", GOOD)
    assert _fetch.fetch("toy") == kept
    own = put(root, "toy/good.bin", GOOD)
    assert _fetch.fetch("toy") == own


def test_later_form_is_found_and_any_of_its_sums_accepted(folders, monkeypatch):
    root, _ = folders
    md5 = f"md5:{hashlib.md5(GOOD).hexdigest()}"
    known(monkeypatch, Source("toy/a.npz", (SUM,)), Source("toy/b.bz2", ("sha256:00", md5)))
    path = put(root, "toy/b.bz2", GOOD)
    assert _fetch.fetch("toy") == path


def test_wrong_file_is_named_with_both_sums(folders, monkeypatch):
    root, cache = folders
    known(monkeypatch, Source("toy/good.bin", (SUM,), NOWHERE))
    put(cache, "toy/good.bin", GOOD)
    torn = put(root, "toy/good.bin", GOOD[:-3])
    with pytest.raises(DataCorruptedError) as caught:
        _fetch.fetch("toy")
    message = str(caught.value)
    assert str(torn) in message
    assert SUM in message
    assert hashlib.sha256(GOOD[:-3]).hexdigest() in message
    assert isinstance(caught.value, OSError)
    assert torn.exists()  # the user's own file


def test_wrong_file_in_the_cache_is_refused(folders, monkeypatch):
    _, cache = folders
    known(monkeypatch, Source("toy/good.bin", (SUM,), NOWHERE))
    put(cache, "toy/good.bin", b"altered")
    with pytest.raises(DataCorruptedError, match="delete it to have it downloaded"):
        _fetch.fetch("toy")


def test_checksum_is_taken_once_until_the_file_changes(folders, monkeypatch):
    root, _ = folders
    known(monkeypatch, Source("toy/good.bin", (SUM,)))
    path = put(root, "toy/good.bin", GOOD)
    taken = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: taken.append(a) or real(*a))
    _fetch.fetch("toy")
    _fetch.fetch("toy")
    assert len(taken) == 1
    path.write_bytes(b"changed")
    with pytest.raises(DataCorruptedError):
        _fetch.fetch("toy")


def test_missing_says_what_where_and_what_to_do(folders):
    root, cache = folders
    with pytest.raises(DataNotFoundError) as caught:
        _fetch.fetch("mnist_m/test")
    message = str(caught.value)
    assert isinstance(caught.value, FileNotFoundError)
    for part in ("mnist_m/mnist_m_test.npz", str(root), str(cache), "set REPKIT_DATA", "609c42d5"):
        assert part in message
    assert "make_mnist_m" in message


def test_unset_data_folder_is_said(folders, monkeypatch):
    monkeypatch.delenv("REPKIT_DATA")
    with pytest.raises(DataNotFoundError, match=r"REPKIT_DATA \(not set\)"):
        _fetch.fetch("mnist_m/test")


def test_data_folder_that_is_none(folders, monkeypatch, tmp_path):
    monkeypatch.setenv("REPKIT_DATA", str(tmp_path / "typo"))
    with pytest.raises(DataNotFoundError, match="REPKIT_DATA must name a folder, not"):
        load_mnist()


def test_download_is_verified_and_kept(folders, monkeypatch, serve):
    _, cache = folders
    url = serve("good.bin", GOOD)
    known(monkeypatch, Source("toy/good.bin", (SUM,), url))
    path = _fetch.fetch("toy")
    assert path == cache / "toy/good.bin"
    assert path.read_bytes() == GOOD
    serve("good.bin", b"another")
    assert _fetch.fetch("toy").read_bytes() == GOOD


def test_wrong_download_is_not_kept(folders, monkeypatch, serve):
    _, cache = folders
    known(monkeypatch, Source("toy/good.bin", (SUM,), serve("good.bin", GOOD + b"!")))
    with pytest.raises(DataCorruptedError, match=SUM) as caught:
        _fetch.fetch("toy")
    assert hashlib.sha256(GOOD + b"!").hexdigest() in str(caught.value)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_failed_download_says_how_to_go_on(folders, monkeypatch, serve):
    _, cache = folders
    for url in (NOWHERE, serve("here.bin", b"") + ".not"):
        known(monkeypatch, Source("toy/good.bin", (SUM,), url))
        with pytest.raises(DataNotFoundError) as caught:
            _fetch.fetch("toy")
        message = str(caught.value)
        for part in (url, "could not be downloaded", "set REPKIT_DATA", "toy/good.bin", SUM):
            assert part in message
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_torn_download_is_not_kept(folders, monkeypatch, serve):
    _, cache = folders
    url = serve("good.bin", GOOD)
    # The server announces three bytes more than it sends, and there is no sum to notice it by.
    send = SimpleHTTPRequestHandler.send_header
    monkeypatch.setattr(
        SimpleHTTPRequestHandler,
        "send_header",
        lambda self, key, value: send(
            self, key, str(int(value) + 3) if key == "Content-Length" else value
        ),
    )
    known(monkeypatch, Source("toy/good.bin", (), url))
    with pytest.raises(DataNotFoundError, match="could not be downloaded"):
        _fetch.fetch("toy")
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def parse(path: Path) -> _fetch.Arrays:
    return {"x": np.array([int(word) for word in path.read_text().split()], np.int32)}


def test_content_is_checked_where_the_file_has_no_sum(folders, monkeypatch, serve):
    _, cache = folders
    known(monkeypatch, Source("toy/n.txt", (), serve("n.txt", b"1 2 3")))
    monkeypatch.setitem(CONTENT, "toy", _fetch.digest({"x": np.array([1, 2, 3], np.int32)}))
    assert _fetch.read("toy", parse)["x"].tolist() == [1, 2, 3]
    (cache / "toy/n.txt").write_text("1  2  3")  # same content, other bytes
    _fetch.read("toy", parse)
    for wrong, reason in (("1 2 4", CONTENT["toy"]), ("<html>", "invalid literal")):
        (cache / "toy/n.txt").write_text(wrong)
        with pytest.raises(DataCorruptedError, match=reason) as caught:
            _fetch.read("toy", parse)
        assert "removed from the cache" in str(caught.value)
        assert not (cache / "toy/n.txt").exists()


def test_wrong_content_in_the_data_folder_stays_there(folders, monkeypatch):
    root, _ = folders
    known(monkeypatch, Source("toy/n.txt"))
    monkeypatch.setitem(CONTENT, "toy", "0" * 64)
    path = put(root, "toy/n.txt", b"1 2 3")
    with pytest.raises(DataCorruptedError, match=r"does not hold 'toy'.*: replace or delete it$"):
        _fetch.read("toy", parse)
    assert path.exists()


def test_digest_tells_values_shapes_dtypes_and_names_apart():
    x = np.arange(6, dtype=np.int32)
    others = [x[::-1], x.reshape(2, 3), x.astype(np.int64), x.view(np.uint32)]
    digests = {_fetch.digest({"x": a}) for a in [x, *others]} | {_fetch.digest({"y": x})}
    assert len(digests) == 6
    assert _fetch.digest({"x": x.astype(">i4")}) == _fetch.digest({"x": x})
    assert _fetch.digest({"x": x, "y": x[:2]}) == _fetch.digest({"y": x[:2], "x": x})


@pytest.mark.parametrize("value", [256, -1, 0.5, np.nan])
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_as_uint8_changes_no_value(value):
    assert _fetch.as_uint8(np.array([0.0, 255.0])).tolist() == [0, 255]
    with pytest.raises(ValueError, match="0 to 255"):
        _fetch.as_uint8(np.array([value]))


@pytest.mark.parametrize("missing", [(), ("rich",), ("rich", "tqdm")])
def test_download_with_any_progress_bar(folders, monkeypatch, serve, missing):
    real = _download.find_spec
    monkeypatch.setattr(_download, "find_spec", lambda n: None if n in missing else real(n))
    if missing == ("rich",) and real("tqdm") is None:
        pytest.skip("tqdm is not installed")
    known(monkeypatch, Source("toy/good.bin", (SUM,), serve("good.bin", GOOD)))
    assert _fetch.fetch("toy").read_bytes() == GOOD


def test_sources_are_complete():
    for name, sources in SOURCES.items():
        for source in sources:
            if not source.sums:
                assert name in CONTENT
            for total in source.sums:
                kind, _, value = total.partition(":")
                assert len(value) == {"sha256": 64, "md5": 32}[kind]
            assert source.url is None or source.url.startswith("https://")
    assert CONTENT.keys() <= SOURCES.keys()


def test_stands_alone():
    code = (
        "import sys, repkit.datasets as d; d.load_digits_domains(random_state=0); "
        "late = {'torch', 'pooch', 'requests'} & sys.modules.keys(); "
        "own = [m for m in sys.modules if m.startswith('repkit.') "
        "and m not in ('repkit._arguments', 'repkit._importing', 'repkit._optional', "
        "'repkit._random', 'repkit._version') "
        "and '.datasets' not in m]; "
        "sys.exit(str((late, own)) if late or own else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_download_names_its_extra(monkeypatch, tmp_path):
    monkeypatch.setenv("REPKIT_DATA", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"^downloads need pooch: .*'repkit\[data\]'$"):
        load_mnist()
