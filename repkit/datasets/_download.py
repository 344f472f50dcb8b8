"""Internal. Download one file, with a progress bar where rich or tqdm is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from repkit._optional import need

_TIMEOUT = 30  # seconds without a byte


def download(url: str, output_file: str, pooch: object = None) -> None:
    """Write what `url` answers to `output_file`: a ``downloader`` for ``pooch.retrieve``.

    Unlike pooch's own it closes the connection on an error too, and needs no particular progress
    bar.

    Raises
    ------
    OSError
        No answer, an answer other than success, or fewer bytes than announced.
    """
    requests = need("requests", "data")

    with requests.get(url, stream=True, timeout=_TIMEOUT) as response:
        response.raise_for_status()
        total = int(response.headers.get("content-length", 0)) or None
        with Path(output_file).open("wb") as file, _progress(url, total) as advance:
            for chunk in response.iter_content(chunk_size=2**16):
                file.write(chunk)
                advance(len(chunk))


@contextmanager
def _progress(url: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """Give a function to call with the number of bytes that arrived."""
    label = url.rpartition("/")[2]
    if find_spec("rich") is not None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(label, total=total)
            yield lambda n: progress.advance(task, n)
    elif find_spec("tqdm") is not None:
        from tqdm import tqdm

        with tqdm(desc=label, total=total, unit="B", unit_scale=True) as bar:
            yield bar.update
    else:
        yield lambda n: None
