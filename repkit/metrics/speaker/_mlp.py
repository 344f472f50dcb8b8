"""Small classifiers with one hidden layer, several label vectors at once, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_BATCH = 200
_LEAST_STEPS = 500
_LR = 3e-3
_DECAY = 1e-4


class MLPs:
    """A network of its own for each label vector, all fitted to the same rows at once.

    Standardised features, one hidden layer of ReLU, Adam with a rate that falls to 0 along a
    cosine, batches of 200. The networks share no weight, and Adam treats each weight alone, so
    that each is what it would be alone from the same start. Not scikit-learn's ``MLPClassifier``,
    which knows no device and one label vector at a time; on a processor that is no slower.

    Parameters
    ----------
    n_hidden, n_epochs : int
        At least 500 steps are taken, however few rows there are.
    rng : Generator
        First weights and order of the rows.
    device : torch.device
    """

    def __init__(
        self, n_hidden: int, n_epochs: int, rng: np.random.Generator, device: torch.device
    ) -> None:
        self.n_hidden, self.n_epochs, self.rng, self.device = n_hidden, n_epochs, rng, device

    def fit(self, X: np.ndarray, labels: Sequence[np.ndarray]) -> MLPs:
        """Fit rows (n, d) and label vectors (n,) of classes from 0."""
        import torch
        from torch.nn.functional import cross_entropy

        self.centre_ = X.mean(axis=0, dtype=np.float64)
        deviation = X.std(axis=0, dtype=np.float64)
        constant = deviation <= 1e-6 * np.abs(self.centre_)
        self.scale_ = np.where(constant, 1.0, deviation)
        Z = self._standardised(X)
        # (n_labels, n): one batch of networks is one step
        target = torch.from_numpy(np.stack(labels).astype(np.int64)).to(self.device)
        sizes = target.amax(dim=1) + 1
        width, hidden, most = X.shape[1], self.n_hidden, int(sizes.max())
        self.weights_ = [
            self._uniform(width, (len(labels), width + 1, hidden)),
            self._uniform(hidden, (len(labels), hidden + 1, most)),
        ]
        # classes that a label vector does not have
        absent = torch.arange(most, device=self.device) >= sizes[:, None]
        self.mask_ = torch.zeros(absent.shape, device=self.device)
        self.mask_ = self.mask_.masked_fill_(absent, -torch.inf)[:, None]
        steps_per_epoch = -(-len(X) // _BATCH)
        n_epochs = max(self.n_epochs, -(-_LEAST_STEPS // steps_per_epoch))
        optimizer = torch.optim.Adam(self.weights_, lr=_LR, weight_decay=_DECAY, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs * steps_per_epoch)
        with torch.enable_grad():
            for _ in range(n_epochs):
                order = torch.from_numpy(self.rng.permutation(len(X))).to(self.device)
                for rows in order.split(_BATCH):
                    scores = self._scores(Z[rows])
                    loss = cross_entropy(
                        scores.flatten(0, 1), target[:, rows].flatten(), reduction="sum"
                    )
                    optimizer.zero_grad()
                    (loss / len(rows)).backward()
                    optimizer.step()
                    schedule.step()
        return self

    def predict(self, X: np.ndarray) -> list[np.ndarray]:
        """Give the predicted classes (m,) of rows (m, d) for each label vector."""
        import torch

        blocks = np.array_split(X, -(-len(X) // 2**14))
        with torch.no_grad():
            parts = [self._scores(self._standardised(b)).argmax(dim=2).cpu() for b in blocks]
        return list(torch.cat(parts, dim=1).numpy())

    def _standardised(self, X: np.ndarray) -> torch.Tensor:
        import torch

        Z = ((X - self.centre_) / self.scale_).astype(np.float32)
        return torch.from_numpy(Z).to(self.device)

    def _uniform(self, fan_in: int, shape: tuple[int, ...]) -> torch.Tensor:
        """Draw weights and, in the last row, biases as torch's linear layers do."""
        import torch

        drawn = self.rng.uniform(-1, 1, size=shape) / fan_in**0.5
        return torch.tensor(drawn, dtype=torch.float32, device=self.device, requires_grad=True)

    def _scores(self, Z: torch.Tensor) -> torch.Tensor:
        """Give the scores (n_labels, m, n_classes) of rows (m, d)."""
        import torch

        first, second = self.weights_
        hidden = torch.baddbmm(first[:, -1:], Z.expand(len(first), -1, -1), first[:, :-1]).relu_()
        return torch.baddbmm(second[:, -1:] + self.mask_, hidden, second[:, :-1])
