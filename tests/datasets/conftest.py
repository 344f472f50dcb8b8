"""A small web server, a private cache and the real data where there is one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from repkit.datasets import _fetch


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def real_data() -> Path:
    """Return the folder with the real data, or skip."""
    folder = os.environ.get("REPKIT_DATA")
    if not folder:
        pytest.skip("REPKIT_DATA is not set: it would name the folder that holds the real data")
    return Path(folder)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """An empty data folder and an empty cache, in place of the user's."""
    root, cache = tmp_path / "data", tmp_path / "cache"
    root.mkdir()
    cache.mkdir()
    monkeypatch.setenv("REPKIT_DATA", str(root))
    monkeypatch.setattr(_fetch, "_cache_folder", lambda: cache)
    return root, cache


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str, bytes], str]]:
    """``serve(name, content)`` gives the address of a file on this machine."""
    public = tmp_path / "public"
    public.mkdir()
    handler = partial(_Quiet, directory=str(public))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def put(name: str, content: bytes) -> str:
        (public / name).write_bytes(content)
        return f"http://127.0.0.1:{server.server_address[1]}/{name}"

    yield put
    server.shutdown()
    thread.join()
    server.server_close()
