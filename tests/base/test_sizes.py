"""Shapes without arithmetic: those that torch gives, and torch's own errors."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from repkit import DANN, VAE, VAEGAN, BiGAN, DANNRegressor, InfoGAN, TripleGAN
from repkit.base.sizes import sizes_alone

LAYERS = {
    "linear": (nn.Linear(6, 4), (3, 5, 6)),
    "linear without bias": (nn.Linear(6, 4, bias=False), (6,)),
    "convolution": (nn.Conv2d(3, 8, 3, padding=1), (2, 3, 9, 7)),
    "strided": (nn.Conv2d(3, 8, (4, 3), (2, 1), (1, 0), dilation=2), (2, 3, 19, 17)),
    "in groups": (nn.Conv2d(4, 8, 3, groups=2), (2, 4, 9, 7)),
    "same": (nn.Conv2d(3, 8, 3, padding="same"), (2, 3, 9, 7)),
    "deconvolution": (nn.ConvTranspose2d(3, 5, 4, 2, 1, output_padding=(1, 0)), (2, 3, 4, 6)),
    "deconvolution in groups": (nn.ConvTranspose2d(4, 6, 3, groups=2, dilation=2), (2, 4, 4, 6)),
    "norms": (
        nn.Sequential(nn.BatchNorm2d(3), nn.LayerNorm(7), nn.ReLU(), nn.GELU()),
        (2, 3, 5, 7),
    ),
    "pooling": (nn.Sequential(nn.LeakyReLU(), nn.MaxPool2d(2), nn.Flatten()), (2, 3, 6, 8)),
    "pooling, whatever is left": (nn.MaxPool2d(2, ceil_mode=True), (2, 3, 7, 8)),
    "pooling in strides": (nn.MaxPool2d((3, 2), (2, 1), (1, 0), 2), (3, 9, 7)),
    "pooling, no window in the padding": (nn.MaxPool2d(2, 4, 1, ceil_mode=True), (2, 3, 6, 7)),
    "pooling, three in two": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 3, 10, 11)),
    "spectral norm": (spectral_norm(nn.Linear(6, 4)), (3, 6)),
    "spectral norm of a convolution": (spectral_norm(nn.Conv2d(3, 8, 3)), (2, 3, 9, 7)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_shapes_are_torchs(name):
    layer, shape = LAYERS[name]
    expected = layer.eval()(torch.zeros(shape)).shape
    with sizes_alone():
        found = layer.to_empty(device="meta")(torch.zeros(shape))
        if name.startswith("spectral norm"):  # vectors are made in training, and turned in use
            spectral_norm(nn.Linear(6, 4)).train()(torch.zeros(3, 6))
    assert found.shape == expected
    assert found.is_meta


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: nn.Linear(6, 4), (3, 5)),
        (lambda: nn.Conv2d(3, 8, 3), (2, 4, 9, 9)),
        (lambda: nn.Conv2d(3, 8, 3), (2, 3, 2, 9)),
        (lambda: nn.MaxPool2d(4), (2, 3, 3, 9)),
        (lambda: nn.MaxPool2d(2, padding=2), (2, 3, 8, 8)),
    ],
)
def test_errors_are_torchs(layer, shape):
    with pytest.raises(RuntimeError):
        layer()(torch.zeros(shape))
    with sizes_alone(), pytest.raises(RuntimeError):
        layer()(torch.zeros(shape))


def test_no_numbers_are_drawn():
    before = torch.get_rng_state()
    with sizes_alone():
        assert torch.randn(3, 2).shape == torch.rand(3, 2).shape == (3, 2)
        nn.Sequential(nn.Linear(2, 2), nn.Conv2d(1, 1, 3), nn.GRU(2, 2))
    assert torch.equal(torch.get_rng_state(), before)


CODE = """
import sys
from repkit import load
for path in sys.argv[1:]:
    load(path)
print(*sorted(sys.modules.keys() & {"torch._dynamo", "torch._inductor", "sympy"}))
"""


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_opening_a_file_loads_no_compiler(tmp_path):
    rng, paths = torch.Generator().manual_seed(0), []
    image, table = (torch.rand(s, generator=rng).numpy() for s in ((12, 1, 12, 12), (12, 4)))
    labeled = {"y": [0, 0, 1, 1] * 3}
    of_domains = labeled | {"sample_domain": [0, -1] * 6}
    given = {DANN: of_domains, DANNRegressor: of_domains, TripleGAN: labeled}
    for kind in (VAE, VAEGAN, BiGAN, InfoGAN, TripleGAN, DANN, DANNRegressor):
        for X in (image, table):
            model = kind(width=16, max_epochs=1, steps_per_epoch=1)
            paths.append(str(tmp_path / f"{kind.__name__} {X.ndim}"))
            model.fit(X, **given.get(kind, {})).save(paths[-1])
    paths.append(str(tmp_path / "critic"))
    critic = DANN(divergence="wasserstein", max_epochs=1, steps_per_epoch=1)
    critic.fit(table, **of_domains).save(paths[-1])
    done = subprocess.run(
        [sys.executable, "-c", CODE, *paths], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr
