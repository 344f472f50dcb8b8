"""Files are there whole or not at all."""

import os

import pytest

from repkit.engine.files import write_whole


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "weights.bin"
    write_whole(path, [b"one ", b"two"])
    assert path.read_bytes() == b"one two"
    write_whole(path, [b""])
    assert path.read_bytes() == b""
    assert [p.name for p in tmp_path.iterdir()] == ["weights.bin"]


def parts_that_end(error):
    yield b"half of it"
    raise error


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_an_error_leaves_the_file_of_before_and_no_trace(tmp_path, error):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"of before")
    with pytest.raises(type(error)):
        write_whole(path, parts_that_end(error))
    assert path.read_bytes() == b"of before"
    assert [p.name for p in tmp_path.iterdir()] == ["weights.bin"]


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append("flush") or fsync(handle))
    monkeypatch.setattr(os, "replace", lambda *names: calls.append("rename") or replace(*names))
    write_whole(tmp_path / "x", [b"1"])
    assert calls[:2] == ["flush", "rename"]
    assert calls[2:] == (["flush"] if hasattr(os, "O_DIRECTORY") else [])
