"""Training checkpoints: written whole or not at all, checked when read."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from repkit.engine.files import write_whole

MAGIC = b"repkit-checkpoint-1\n"
KEEP = 2


class CheckpointError(ValueError):
    """A checkpoint folder that cannot be resumed from."""


class Checkpoints:
    """The checkpoints of one run, in one folder.

    A file is written under a temporary name, flushed to the disk and renamed, so a kill at any
    moment leaves the one before. The last two are kept; a file whose digest is wrong is passed
    over, with a warning, for the one before it.

    Parameters
    ----------
    folder : path
        Created if it is not there.
    run : str
        Fingerprint of what is being trained; another run's checkpoint is refused.
    """

    def __init__(self, folder: str | os.PathLike[str], run: str) -> None:
        self.folder = Path(folder)
        self.run = run
        self.extra: dict[str, Any] = {}  # goes into every checkpoint
        if self.folder.exists() and not self.folder.is_dir():
            raise CheckpointError(f"checkpoint={str(folder)!r} is a file; give a folder")
        self.folder.mkdir(parents=True, exist_ok=True)

    def files(self) -> list[Path]:
        """The finished checkpoints, newest first."""
        return sorted(self.folder.glob("epoch-*.ckpt"), reverse=True)

    def save(self, epoch: int, state: Mapping[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save({"run": self.run, **self.extra, **state}, buffer)
        payload = buffer.getvalue()
        path = self.folder / f"epoch-{epoch:08d}.ckpt"
        digest = hashlib.sha256(payload).hexdigest().encode()
        write_whole(path, [MAGIC, digest, b"\n", payload])
        for old in self.files()[KEEP:]:
            old.unlink()
        for stale in self.folder.glob("epoch-*.part"):  # of a process that was killed while writing
            stale.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The newest whole checkpoint of this run, on the CPU; None if the folder holds none.

        Raises
        ------
        CheckpointError
            If the folder holds another run, or only damaged files.
        """
        files = self.files()
        for path in files:
            try:
                state = self._read(path)
            except CheckpointError as error:
                warnings.warn(f"{error}; trying the checkpoint before it", stacklevel=2)
                continue
            if state.get("run") != self.run:
                raise CheckpointError(
                    f"checkpoint={str(self.folder)!r} holds a different run: its data or its "
                    "parameters are not the ones given now. Choose another folder, or empty this "
                    "one to start afresh."
                )
            return state
        if files:
            raise CheckpointError(
                f"checkpoint={str(self.folder)!r}: all {len(files)} checkpoints are damaged. "
                "Empty the folder to start afresh."
            )
        return None

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        data = path.read_bytes()
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
