"""A judge of voices that nothing here has trained: the GE2E encoder of Wan et al. 2018.

Its weights (LSTM of 3 x 256, 40 mel bands) come in the wheel ``resemblyzer`` 0.1.4, MIT, of which
no code is run: ``pip download resemblyzer==0.1.4 --no-deps``, unpack it, and set ``REPKIT_GE2E`` to
its ``resemblyzer/pretrained.pt``. Figures that need it are left out without.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torchaudio.functional as A
from torch import Tensor, nn

RATE, WINDOW, HOP, BANDS, PIECE = 16000, 400, 160, 40, 160
LOUDNESS = 10.0 ** (-30 / 20)  # to which quiet recordings are raised


class GE2E(nn.Module):
    """Mel energies of pieces ``(n, 160, 40)`` to vectors of length 1 ``(n, 256)``."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)
        filters = A.melscale_fbanks(WINDOW // 2 + 1, 0.0, RATE / 2, BANDS, RATE, "slaney", "slaney")
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, mels: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(self.linear(hidden[-1]).relu(), dim=1)

    def mels(self, wave: np.ndarray) -> Tensor:
        """Mel energies, not their logarithms, of a waveform at 16 kHz: ``(T, 40)``."""
        x = torch.from_numpy(np.asarray(wave, dtype=np.float32))
        x = x * max(1.0, LOUDNESS / max(float(x.square().mean().sqrt()), 1e-8))
        spectrum = torch.stft(
            x,
            WINDOW,
            HOP,
            window=torch.hann_window(WINDOW),
            pad_mode="constant",
            return_complex=True,
        )
        mels: Tensor = spectrum.abs().square().T @ self.filters
        return mels

    @torch.no_grad()
    def embed(self, waves: list[np.ndarray]) -> np.ndarray:
        """One vector of length 1 for each waveform; of long ones the mean over pieces of 1.6 s."""
        pieces, owner = [], []
        for k, wave in enumerate(waves):
            # As much silence follows as a whole number of pieces needs.
            mels = self.mels(np.pad(wave, (0, max(0, PIECE * HOP - len(wave)))))
            for start in range(0, max(len(mels) - PIECE // 4, 1), PIECE // 2):
                piece = mels[start : start + PIECE]
                pieces.append(nn.functional.pad(piece, (0, 0, 0, PIECE - len(piece))))
                owner.append(k)
        found = torch.cat(
            [self(torch.stack(pieces[k : k + 64])) for k in range(0, len(pieces), 64)]
        )
        total = np.zeros((len(waves), 256), dtype=np.float32)
        np.add.at(total, np.array(owner), found.numpy())
        unit: np.ndarray = total / np.linalg.norm(total, axis=1, keepdims=True)
        return unit


@cache
def ge2e() -> GE2E | None:
    """The encoder with its weights, or None where ``REPKIT_GE2E`` does not name them."""
    path = Path(os.environ.get("REPKIT_GE2E", ""))
    if not path.is_file():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    model = GE2E()
    names = model.state_dict().keys()
    model.load_state_dict({k: v for k, v in state.items() if k in names})
    return model.eval()
