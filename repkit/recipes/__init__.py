"""Settings by name, as the benchmarks use them: what was found good on data of a kind, and how.

Each function gives the parameters of a class as a dict, a new one each time:
``BiGAN(**recipes.bigan("digits"), random_state=0)``. Change any of them with
``{**recipes.bigan("digits"), "max_epochs": 20}``. No label of a test set chose any of them; what
was looked at to choose them is told in each function, and what they reach in benchmarks/README.md.
"""

from repkit.recipes.adaptation import dann, digit_net, dropout_mlp
from repkit.recipes.generative import bigan, infogan, triplegan, vae, vaegan
from repkit.recipes.speech import no_layers, speech

__all__ = [
    "bigan",
    "dann",
    "digit_net",
    "dropout_mlp",
    "infogan",
    "no_layers",
    "speech",
    "triplegan",
    "vae",
    "vaegan",
]
