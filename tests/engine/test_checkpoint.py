import hashlib
import io
import os
import pickle
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from repkit.engine.checkpoint import LAYOUT, MAGIC, CheckpointError, Checkpoints


def state(epoch):
    return {"engine": {"position": epoch, "w": torch.arange(200.0) + epoch}, "training": {"a": [1]}}


@pytest.fixture
def folder(tmp_path):
    """Two checkpoints of one run."""
    store = Checkpoints(tmp_path / "run", "mine")
    for epoch in (1, 2, 3):
        store.save(epoch, state(epoch))
    return tmp_path / "run" / "mine"


def load(folder, run="mine"):
    return Checkpoints(folder.parent, run).load()


def write(folder, payload, epoch=9):
    """A file whose digest is right, whatever is in it."""
    digest = hashlib.sha256(payload).hexdigest().encode()
    (folder / f"epoch-{epoch:08d}.ckpt").write_bytes(MAGIC + digest + b"\n" + payload)


def newest(folder):
    return max(folder.glob("*.ckpt"))


def test_round_trip(folder):
    assert sorted(p.name for p in folder.iterdir()) == [
        "epoch-00000002.ckpt",
        "epoch-00000003.ckpt",
    ]
    found = load(folder)
    assert found["run"] == "mine"
    assert found["engine"]["position"] == 3
    assert torch.equal(found["engine"]["w"], torch.arange(200.0) + 3)
    assert found["training"] == {"a": [1]}
    assert load(folder / "empty") is None


def test_what_goes_into_every_checkpoint(tmp_path):
    store = Checkpoints(tmp_path, "mine")
    store.extra["seed"] = 2**62
    store.save(1, state(1))
    assert store.load()["seed"] == 2**62


@pytest.mark.parametrize("left", [0, 1, len(MAGIC), len(MAGIC) + 30, 0.1, 0.5, 0.99, -1])
def test_a_torn_file_falls_back_to_the_one_before(folder, left):
    whole = newest(folder).read_bytes()
    kept = int(left * len(whole)) if isinstance(left, float) else left
    newest(folder).write_bytes(whole[:kept])
    with pytest.warns(
        UserWarning, match=r"epoch-00000003.ckpt is damaged .*; trying the checkpoint"
    ):
        assert load(folder)["engine"]["position"] == 2


def test_a_flipped_bit_anywhere_falls_back(folder):
    whole = newest(folder).read_bytes()
    for place in [*range(0, len(MAGIC) + 66, 7), *np.linspace(90, len(whole) - 1, 20).astype(int)]:
        damaged = bytearray(whole)
        damaged[place] ^= 4
        newest(folder).write_bytes(damaged)
        with pytest.warns(UserWarning, match="damaged"):
            assert load(folder)["engine"]["position"] == 2


def test_the_damaged_file_is_written_anew(folder):
    newest(folder).write_bytes(b"")
    store = Checkpoints(folder.parent, "mine")
    with pytest.warns(UserWarning, match="damaged"):
        store.load()
    store.save(3, state(3))
    assert load(folder)["engine"]["position"] == 3


def test_all_torn(folder):
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(CheckpointError, match=r"all 2 checkpoints in .* are damaged; remove"),
    ):
        load(folder)


def test_every_run_has_a_folder_of_its_own(folder):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    other = Checkpoints(folder.parent, "yours")
    assert other.load() is None
    other.save(7, state(7))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert load(folder)["engine"]["position"] == 3
    assert other.load()["engine"]["position"] == 7


@pytest.mark.parametrize("change", [{"run": "yours"}, {"layout": LAYOUT - 1}])
def test_a_checkpoint_of_another_version_is_refused(folder, change):
    buffer = io.BytesIO()
    torch.save({"layout": LAYOUT, "run": "mine", **state(9), **change}, buffer)
    write(folder, buffer.getvalue())
    with pytest.raises(CheckpointError, match="written by another version of repkit; remove"):
        load(folder)


LOCKER = """
import sys
from repkit.engine.checkpoint import Checkpoints

with Checkpoints(sys.argv[1], "mine"):
    print("locked", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(find_spec("fcntl") is None, reason="needs locks of files")
@pytest.mark.parametrize("end", ["closed", "killed"])
def test_one_process_at_a_time(folder, end):
    """The lock names its holder, and ends with it, however it ends."""
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", LOCKER, str(folder.parent)], **pipe) as other:
        assert other.stdout.readline() == "locked\n"
        with (
            pytest.raises(CheckpointError, match=rf"process {other.pid} on .* this very run"),
            Checkpoints(folder.parent, "mine"),
        ):
            pass
        with Checkpoints(folder.parent, "yours"):  # another run is free
            pass
        other.kill() if end == "killed" else other.communicate("\n")
    with Checkpoints(folder.parent, "mine") as store:
        assert store.load()["engine"]["position"] == 3
    with Checkpoints(folder.parent, "mine"):  # given up
        pass


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_in_the_file_is_not_run(folder, tmp_path, kind):
    bomb, buffer = {"run": "mine", "engine": Bomb(tmp_path / "boom")}, io.BytesIO()
    if kind == "pickle":
        pickle.dump(bomb, buffer, protocol=2)
    else:
        torch.save(bomb, buffer)
    write(folder, buffer.getvalue())
    with pytest.warns(UserWarning, match=r"epoch-00000009.ckpt cannot be read"):
        assert load(folder)["engine"]["position"] == 3
    assert not (tmp_path / "boom").exists()
    # It is a live one:
    if kind == "pickle":
        pickle.loads(buffer.getvalue())
    else:
        torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
    assert (tmp_path / "boom").exists()


@pytest.mark.parametrize("content", [[1, 2], 5, b""])
def test_a_file_of_something_else(folder, content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write(folder, b"" if content == b"" else buffer.getvalue())
    with pytest.warns(UserWarning, match="not a repkit checkpoint|cannot be read"):
        assert load(folder)["engine"]["position"] == 3


def test_a_path_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(CheckpointError, match=r"file' must be a folder in which files can be"):
        Checkpoints(path, "run")
    assert path.read_text() == "mine"


def test_a_write_that_fails_leaves_no_trace(folder, monkeypatch):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def full(*args):
        raise OSError("no space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(OSError, match="no space"):
                Checkpoints(folder.parent, "mine").save(4, state(4))
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_other_files_are_left_alone(folder):
    (folder / "epoch-x1.part").write_bytes(b"half of a checkpoint")
    (folder / "film.part").write_bytes(b"a download")
    (folder / "notes.txt").write_text("mine")
    Checkpoints(folder.parent, "mine").save(4, state(4))
    names = {p.name for p in folder.iterdir()}
    assert names == {"film.part", "notes.txt", "epoch-00000003.ckpt", "epoch-00000004.ckpt"}
