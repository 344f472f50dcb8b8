"""What tests of networks share."""

import torch

IMAGES = [
    *[(channels, side, side) for side in (4, 5, 7, 8, 9, 12, 13, 16, 28) for channels in (1, 3)],
    *[(1, side, side) for side in (15, 17, 31, 32, 33, 63, 64)],
    (28, 28),
    (3, 8, 12),
    (17, 30),
    (2, 4, 64),
    (40, 5),
]
ROWS = [(5,), (1,)]


def reached(out, network):
    """Whether the outputs depend on every parameter."""
    parameters = list(network.parameters())
    found = torch.autograd.grad(
        out.square().sum(), parameters, retain_graph=True, allow_unused=True
    )
    return all(g is not None and g.isfinite().all() for g in found)


def rows_are_apart(network, *inputs):
    """Whether a row's outputs are the same without the other rows, in training mode."""
    first = [x[:2] for x in inputs]
    return torch.allclose(network(*inputs)[:2], network(*first), atol=1e-6)
