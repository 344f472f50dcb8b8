"""Internal. Checkpoints: written whole or not at all, checked when read, a folder for each run."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

import torch

from repkit.engine.files import write_whole

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["CheckpointError", "Checkpoints"]

MAGIC = b"repkit-checkpoint-2\n"
LAYOUT = 3  # of the state: a checkpoint of another cannot be read
KEEP = 2


class CheckpointError(ValueError):
    """A checkpoint folder that cannot be used."""


class Checkpoints:
    """The checkpoints of one run, in a folder of its own inside the given one.

    A file is written under a temporary name, flushed to the disk and renamed, so a kill at any
    moment leaves the one before. The last two are kept; a file whose digest is wrong is passed
    over, with a warning, for the one before it. While it is open, no other process can use the
    run's folder.

    Parameters
    ----------
    folder : path
        Created if it is not there.
    run : str
        Fingerprint of what is being trained: hexadecimal digits. Every run has its own sub-folder.
    length : int, optional
        Epochs of the run. Runs that differ in nothing else have sub-folders beside each other, and
        one without checkpoints starts from the longest that is shorter.

    Raises
    ------
    CheckpointError
        If the folder cannot be made, or another process uses this run's.
    """

    def __init__(self, folder: str | os.PathLike[str], run: str, length: int | None = None) -> None:
        self.folder = Path(folder) / (run[:16] if length is None else f"{run[:16]}-{length}")
        self.run, self.length = run, length
        self.extra: dict[str, Any] = {"length": length}  # goes into every checkpoint
        self._lock: IO[str] | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"checkpoint={str(folder)!r} must be a folder in which files can be written: "
                f"{error}"
            ) from error

    def __enter__(self) -> Self:
        self._lock = (self.folder / "lock").open("a+")
        if fcntl is not None:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self._lock.seek(0)
                holder = self._lock.read().strip() or "another process"
                self._lock.close()
                raise CheckpointError(
                    f"checkpoint={str(self.folder.parent)!r}: {holder} is training this very run; "
                    "wait for it, or choose another folder"
                ) from error
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        self._lock.flush()
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()  # which gives up the lock, as the end of a process does
            self._lock = None

    def files(self, folder: Path | None = None) -> list[Path]:
        """List the finished checkpoints.

        Parameters
        ----------
        folder : Path, optional
            Where; by default, in the run's own folder.

        Returns
        -------
        list of Path
            The files, newest first.
        """
        return sorted((folder or self.folder).glob("epoch-*.ckpt"), reverse=True)

    def epoch(self) -> int:
        """Look how far the run has come.

        Returns
        -------
        int
            The epoch of the newest checkpoint; 0 if there is none.
        """
        files = self.files()
        return int(files[0].stem.rpartition("-")[2]) if files else 0

    def _shorter(self) -> list[Path]:
        """Folders with checkpoints of shorter runs, those that came furthest first."""
        found = {}
        for folder in self.folder.parent.glob(f"{self.run[:16]}-*"):
            length, files = folder.name.rpartition("-")[2], self.files(folder)
            if files and length.isdecimal() and int(length) < (self.length or 0):
                found[folder] = files[0].name
        return sorted(found, key=found.__getitem__, reverse=True)

    def save(self, epoch: int, state: Mapping[str, Any]) -> None:
        """Write the state at the end of an epoch.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 1.
        state : mapping of str to object
            Tensors, numbers, texts, and dicts and lists of them.

        Raises
        ------
        OSError
            If it cannot be written. The earlier checkpoints are then still there.
        """
        buffer = io.BytesIO()
        torch.save({"layout": LAYOUT, "run": self.run, **self.extra, **state}, buffer)
        payload = buffer.getvalue()
        path = self.folder / f"epoch-{epoch:08d}.ckpt"
        digest = hashlib.sha256(payload).hexdigest().encode()
        write_whole(path, [MAGIC, digest, b"\n", payload])
        for old in self.files()[KEEP:]:
            old.unlink(missing_ok=True)
        for stale in self.folder.glob("epoch-*.part"):  # of a process that was killed while writing
            stale.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """Read the newest whole checkpoint of this run, or else of a shorter one.

        Returns
        -------
        dict or None
            The state, its tensors on the CPU; None if there is no checkpoint. Its ``"length"`` is
            that of the run it is of.

        Raises
        ------
        CheckpointError
            If the folder holds only damaged files, or files of another version of repkit.
        """
        state = self._newest(self.folder)
        if state is None:
            for folder in self._shorter():
                try:
                    return self._newest(folder)
                except CheckpointError as error:
                    warnings.warn(f"{error}; this fit does not go on from it", stacklevel=2)
        return state

    def _newest(self, folder: Path) -> dict[str, Any] | None:
        files = self.files(folder)
        for path in files:
            try:
                state = self._read(path)
            except CheckpointError as error:
                warnings.warn(f"{error}; trying the checkpoint before it", stacklevel=3)
                continue
            if state.get("layout") != LAYOUT or state.get("run") != self.run:
                raise CheckpointError(
                    f"{str(path)!r} was written by another version of repkit; remove "
                    f"{str(folder)!r} to start afresh"
                )
            return state
        if files:
            raise CheckpointError(
                f"all {len(files)} checkpoints in {str(folder)!r} are damaged; remove the "
                "folder to start afresh"
            )
        return None

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"{path.name} cannot be read: {error}") from error
        digest, _, payload = data[len(MAGIC) :].partition(b"\n")
        if not data.startswith(MAGIC) or hashlib.sha256(payload).hexdigest().encode() != digest:
            raise CheckpointError(f"{path.name} is damaged or not a repkit checkpoint")
        try:
            state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a hostile payload provokes
            raise CheckpointError(f"{path.name} cannot be read: {error}") from error
        if not isinstance(state, dict):
            raise CheckpointError(f"{path.name} is not a repkit checkpoint")
        return state
