"""Runs a training algorithm: networks, groups that share an optimizer, one loss for each group.

`System` says what is trained, `Engine` takes its steps over `Batches`, and `train` is the loop over
epochs with its history, checkpoints and recovery. Knows no paper and no scikit-learn.
"""

from repkit.engine.batches import Batch, Batches
from repkit.engine.checkpoint import CheckpointError, Checkpoints
from repkit.engine.engine import Engine
from repkit.engine.system import Noise, Phase, System
from repkit.engine.training import Training, train

__all__ = [
    "Batch",
    "Batches",
    "CheckpointError",
    "Checkpoints",
    "Engine",
    "Noise",
    "Phase",
    "System",
    "Training",
    "train",
]
