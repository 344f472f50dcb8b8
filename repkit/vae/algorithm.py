"""VAE: Kingma and Welling 2014; with a weight on the divergence, beta-VAE (Higgins et al. 2017).

E gives the mean and log variance of q(z|x), G decodes z, and both minimize the negative bound

    -E_q log p(x|z) + beta KL(q(z|x) || N(0, I))            (Kingma and Welling, equations 3, 10),

sums over pixels and over components of z, means over samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace

from torch import Tensor, nn

from repkit.engine.batches import Batch, to_float
from repkit.engine.system import Noise, Phase, System
from repkit.losses import LIKELIHOODS, draw, kl_from_standard


def vae(
    networks: Mapping[str, nn.Module],
    *,
    latent_dim: int,
    beta: float = 1.0,
    likelihood: str = "bernoulli",
    augment: Callable[[Tensor], Tensor] | None = None,
    prepare: Callable[[Tensor], Tensor] = to_float,
) -> System:
    """The system with the networks E, ``x -> (n, 2 * latent_dim)``, and G, ``z -> x`` in (0, 1).

    Parameters
    ----------
    networks : mapping
    latent_dim : int
    beta : float
        Weight of the divergence, times the schedule ``kl_weight``.
    likelihood : {"bernoulli", "gaussian"}
        Of a pixel in [0, 1]; "gaussian" has variance 1.
    augment : callable, optional
        Maps a float batch of images to another: the data are then its images.
    prepare : callable
        Stored rows to what the networks see.
    """
    cost = LIKELIHOODS[likelihood]

    def step(n: SimpleNamespace, b: Batch) -> dict[str, Tensor]:
        x = prepare(b.x)
        x = x if augment is None else augment(x)
        posterior = n.E(x)
        kl = kl_from_standard(posterior)
        likely = cost(n.G(draw(posterior, b.noise)), x)
        return {"EG": likely + beta * b.kl_weight * kl, "reconstruction_loss": likely, "kl": kl}

    return System(
        networks,
        {"EG": ("E", "G")},
        (Phase(step),),
        noise={"noise": Noise((latent_dim,))},
        schedules={"kl_weight": rising},
    )


def rising(progress: float, until: float = 0.1) -> float:
    """From 0 to 1 over the first tenth: codes that say nothing are not settled on early."""
    return min(1.0, progress / until)
