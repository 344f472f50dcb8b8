"""A library of an extra: imported where it is there, named with its extra where not."""

import sys

import pytest

from repkit._optional import need


def test_what_is_installed_is_returned():
    assert need("json", "data") is sys.modules["json"]
    assert need("os.path", "data") is sys.modules["os.path"]


def test_what_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r"^plots need umap-learn: .* 'repkit\[plots\]'$"):
        need("umap", "plots")


@pytest.mark.parametrize("error", ["ImportError", "OSError", "RuntimeError"])
def test_what_does_not_load_says_why(tmp_path, monkeypatch, error):
    (tmp_path / "broken_audio.py").write_text(f"raise {error}('libfoo.so is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"cannot be imported \(libfoo\.so is missing\)"):
        need("broken_audio", "speech")


def test_an_unknown_extra_is_still_named():
    with pytest.raises(ImportError, match=r"^the extra 'other' needs nothing_here: "):
        need("nothing_here.at_all", "other")
