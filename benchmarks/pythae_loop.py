"""Pythae's VAEGAN on repkit's networks, as its own trainer runs it."""

from __future__ import annotations

import logging
import tempfile

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import peers
from benchmarks.loops import Loop


def vaegan(networks: dict[str, nn.Module], X: np.ndarray, latent_dim: int, device: str) -> Loop:
    """Whole epochs of its trainer, batches of 64 from its own data set and loader.

    Parameters
    ----------
    networks : dict
        E, G and D of a `repkit.VAEGAN` with the two-way discriminator.
    X : ndarray of shape (n, ...)
        In [0, 1].
    latent_dim : int
    device : str
    """
    logging.getLogger("pythae").setLevel(logging.ERROR)
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAEGAN, VAEGANConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseDiscriminator, BaseEncoder
    from pythae.trainers import (
        CoupledOptimizerAdversarialTrainer,
        CoupledOptimizerAdversarialTrainerConfig,
    )

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            BaseEncoder.__init__(self)
            self.network = networks["E"]

        def forward(self, x: Tensor) -> ModelOutput:
            mean, log_variance = self.network(x).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            BaseDecoder.__init__(self)
            self.network = networks["G"]

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.network(z))

    class Discriminator(BaseDiscriminator):
        def __init__(self) -> None:
            BaseDiscriminator.__init__(self)
            self.network = networks["D"]
            self.depth = 2

        def forward(self, x: Tensor, output_layer_levels: list[int] | None = None) -> ModelOutput:
            if output_layer_levels is not None:
                return ModelOutput(embedding_layer_1=self.network.body(x))
            return ModelOutput(embedding=torch.sigmoid(self.network(x)[1]))

    # A margin that nothing exceeds: in every step every network is trained, as in ours.
    config = VAEGANConfig(
        input_dim=X.shape[1:], latent_dim=latent_dim, reconstruction_layer=1, margin=1e6
    )
    model = VAEGAN(config, encoder=Encoder(), decoder=Decoder(), discriminator=Discriminator())
    with tempfile.TemporaryDirectory() as folder:
        trainer = CoupledOptimizerAdversarialTrainer(
            model=model,
            train_dataset=BaseDataset(torch.from_numpy(X), torch.zeros(len(X))),
            training_config=CoupledOptimizerAdversarialTrainerConfig(
                output_dir=folder,
                per_device_train_batch_size=64,
                no_cuda=peers.resolve(device) == "cpu",
            ),
        )
        trainer.prepare_training()
    trainer.callback_handler.callbacks = []  # no progress bars

    def run(steps: int) -> None:
        for _ in range(steps // len(trainer.train_loader)):
            trainer.train_step(epoch=1)

    return run
