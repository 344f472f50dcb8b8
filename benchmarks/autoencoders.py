"""What a user would pick instead of a BiGAN: an auto-encoder or a VAE of the same networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import peers
from repkit.nets.build import BODIES
from repkit.nets.generators import GENERATORS
from repkit.nets.trunks import Encoder, features_of

ROWS = 1000


class Autoencoder(nn.Module):
    """Encoder and decoder trained on ``|x - G(E(x))|^2``, plainly or as a VAE.

    Parameters
    ----------
    shape : tuple of int
        Of a sample in [0, 1].
    kind : {"mlp", "dcgan"}
        The networks, those of repkit's estimators, where none are given.
    latent_dim, n_features : int
    beta : float, optional
        Weight of the KL divergence from N(0, 1) in a VAE with Bernoulli likelihood; None: a plain
        auto-encoder.
    body, generator : callable, optional
        ``(shape, n_features) -> features`` and ``(latent_dim, shape) -> logits``.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        kind: str,
        latent_dim: int,
        n_features: int,
        beta: float | None = None,
        body: Callable[..., nn.Module] | None = None,
        generator: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.beta, self.latent_dim = beta, latent_dim
        if body is None:
            trunk = BODIES[kind](shape, n_features)
            with torch.no_grad():
                width = trunk(torch.zeros(2, *shape)).shape[1]
            features = features_of(trunk, width, n_features)
        else:
            features = body(shape, n_features)
        outputs = latent_dim if beta is None else 2 * latent_dim
        self.E = Encoder(features, n_features, outputs, bounded=False)
        self.G = (
            GENERATORS[kind](latent_dim, shape, n_features)
            if generator is None
            else generator(latent_dim, shape)
        )

    def loss(self, x: Tensor) -> Tensor:
        code = self.E(x)
        if self.beta is None:
            return F.mse_loss(torch.sigmoid(self.G(code).float()), x)
        mean, log_variance = code.float().chunk(2, 1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        likelihood = F.binary_cross_entropy_with_logits(self.G(z).float(), x, reduction="sum")
        kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum()
        return (likelihood + self.beta * kl) / len(x)

    def fit(
        self,
        X: np.ndarray,
        *,
        steps: int,
        seed: int,
        device: str,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        bf16: bool = False,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> Autoencoder:
        """Adam, the learning rate falling to 0 along a half cosine."""
        device = torch.device(peers.resolve(device))
        self.to(device).train()
        data = torch.as_tensor(X).to(device)
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam(self.parameters(), learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            rows = torch.randint(len(data), (batch_size,), generator=generator).to(device)
            x = scaled(data[rows])
            x = x if augment is None else augment(x)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                loss = self.loss(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        self.eval()
        return self

    @torch.no_grad()
    def _map(self, X: np.ndarray, function) -> np.ndarray:
        device = next(self.parameters()).device
        parts = (X[k : k + ROWS] for k in range(0, len(X), ROWS))
        return np.concatenate(
            [function(scaled(torch.as_tensor(p).to(device))).float().cpu().numpy() for p in parts]
        )

    def hidden(self, X: np.ndarray) -> np.ndarray:
        """The last hidden layer of the encoder."""
        return self._map(X, self.E.hidden)

    def latent(self, X: np.ndarray) -> np.ndarray:
        """Codes; of a VAE, the posterior means."""
        return self._map(X, lambda x: self.E(x)[:, : self.latent_dim])

    def reconstruct(self, X: np.ndarray) -> np.ndarray:
        """In [0, 1]."""
        return self._map(X, lambda x: torch.sigmoid(self.G(self.E(x)[:, : self.latent_dim])))


def scaled(x: Tensor) -> Tensor:
    return x.float() / 255.0 if x.dtype == torch.uint8 else x.float()
