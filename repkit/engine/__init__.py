"""Runs a training algorithm: networks, groups that share an optimizer, one loss for each group.

`System` says what is trained, `Engine` takes its steps over `Batches`, and `train` is the loop over
epochs with its history, checkpoints and recovery. Knows no paper and no scikit-learn.

What is promised, and where. On a CPU, of one number of threads: the same seed gives the same
weights, bit for bit; so does a training that is resumed; and a row alone has the result that it has
among others, up to blocks of 64 rows. On CUDA each of these holds up to rounding. cuDNN and cuBLAS
choose kernels by shape, some add in any order, and float32 convolutions are rounded to TF32 on the
way in, as is torch's default. The switches for that are torch's own and are left as they are:
``torch.backends.cudnn.allow_tf32 = False`` for float32 throughout, and
``torch.use_deterministic_algorithms(True)`` for kernels that repeat (it refuses the gradient of
`repkit.augment.RandomAffine`, which InfoGAN alone takes). No step waits for the GPU: losses are
read at the end of an epoch.

Several processes (`ranks`) that train together take the steps of one, up to the order in which
numbers are added, where no batch norm is and nothing is drawn from torch's global generator.
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
