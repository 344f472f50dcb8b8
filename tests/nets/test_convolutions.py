"""Layers that go another way on a CPU: the mathematics of torch's, gradients of both orders."""

import copy

import pytest
import torch
from torch import nn

from repkit.nets import convolutions
from repkit.nets.convolutions import Conv1d, Conv2d, ConvTranspose2d, Flatten, FromImage, ToImage
from repkit.nets.generators import generator_dcgan
from repkit.nets.trunks import conv, dcgan
from repkit.speech.bodies import build_body

pytestmark = pytest.mark.usefixtures("seeded")

CASES = [
    (Conv2d, (1, 8, 4, 2, 1), {}, (5, 1, 12, 13)),
    (Conv2d, (3, 8, 5, 2, 2), {"bias": False}, (5, 3, 9, 8)),
    (Conv2d, (1, 8, 3, 1, 1), {}, (5, 1, 9, 8)),
    (Conv2d, (2, 8, (4, 3), (2, 1), (1, 0)), {}, (5, 2, 9, 8)),
    (Conv2d, (8, 4, 3, 1, 1), {}, (5, 8, 9, 8)),  # as torch
    (Conv2d, (1, 4, 3), {"padding": "same"}, (5, 1, 9, 8)),
    (Conv2d, (1, 4, 3), {"dilation": 2}, (5, 1, 9, 8)),
    (Conv2d, (1, 4, 3), {"padding": 1, "padding_mode": "circular"}, (5, 1, 9, 8)),
    (Conv2d, (2, 4, 3), {"groups": 2}, (5, 2, 9, 8)),
    (ConvTranspose2d, (8, 1, 4, 2, 1), {}, (5, 8, 5, 6)),
    (ConvTranspose2d, (8, 3, 4, 2, 1), {"output_padding": (1, 0), "bias": False}, (5, 8, 5, 6)),
    (ConvTranspose2d, (8, 2, (3, 5), (2, 3), (1, 2)), {"output_padding": 1}, (5, 8, 5, 6)),
    (ConvTranspose2d, (8, 6, 4, 2, 1), {}, (5, 8, 5, 6)),  # as torch
    (ConvTranspose2d, (8, 2, 3, 2), {"dilation": 2}, (5, 8, 5, 6)),
    (ConvTranspose2d, (8, 2, 3, 2), {"groups": 2}, (5, 8, 5, 6)),
    (Conv1d, (6, 8, 5), {"padding": 2}, (5, 6, 11)),
    (Conv1d, (6, 8, 3), {"padding": 1, "groups": 2, "stride": 2, "dilation": 2}, (5, 6, 11)),
    (Conv1d, (6, 8, 1), {"bias": False}, (5, 6, 11)),
    (Conv1d, (6, 8, 3), {"padding": "same"}, (5, 6, 11)),
    (Conv1d, (6, 8, 3), {"padding": 1, "padding_mode": "replicate"}, (5, 6, 11)),
]


def both(case):
    """A layer, torch's with the same weights, and an input."""
    kind, args, named, shape = case
    layer = kind(*args, **named)
    other = kind.__mro__[1](*args, **named)
    assert type(other).__module__.startswith("torch.")
    other.load_state_dict(layer.state_dict())
    return layer, other, torch.randn(shape, requires_grad=True)


def close(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4 * float(b.detach().abs().max()))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_torch(case, last):
    layer, other, x = both(case)
    if last and x.ndim == 4:
        form = {"memory_format": torch.channels_last}
        layer, other = layer.to(**form), other.to(**form)
        x = x.detach().contiguous(**form).requires_grad_()
    weights = torch.randn_like(other(x))

    def first(m):
        y = m(x)
        return [y, *torch.autograd.grad(y, [x, *m.parameters()], weights)]

    def second(m):
        (g,) = torch.autograd.grad(m(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(g.square().sum(), [x, *m.parameters()])

    close(first(layer), first(other))
    close(second(layer), second(other))
    with torch.no_grad():
        close([layer(x)], [other(x)])


@pytest.mark.parametrize("case", [CASES[0], CASES[9]])
def test_only_what_is_asked_for(case):
    layer, other, x = both(case)
    for wanted in ([x], [layer.weight], [layer.bias], [layer.weight, x]):
        mine = [dict(layer.named_parameters()), dict(other.named_parameters())]
        names = [next((n for n, p in mine[0].items() if p is w), None) for w in wanted]
        theirs = [x if n is None else mine[1][n] for n in names]
        close(
            torch.autograd.grad(layer(x).square().sum(), wanted),
            torch.autograd.grad(other(x).square().sum(), theirs),
        )
    layer.requires_grad_(False)
    close(
        torch.autograd.grad(layer(x).square().sum(), x),
        torch.autograd.grad(other(x).square().sum(), x),
    )


def taken(monkeypatch, layer, x):
    """Which other ways a layer goes."""
    ways = []
    for f in (FromImage, ToImage):
        monkeypatch.setattr(f, "apply", lambda *a, f=f, go=f.apply: ways.append(f) or go(*a))
    monkeypatch.setattr(
        convolutions.F, "conv2d", lambda *a, f=convolutions.F.conv2d: ways.append("2d") or f(*a)
    )
    layer(x)
    monkeypatch.undo()
    return ways


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:FutureWarning")
def test_when_another_way_is_taken(monkeypatch):
    image, maps = torch.randn(2, 1, 8, 8), torch.randn(2, 8, 4, 4)
    assert taken(monkeypatch, Conv2d(1, 8, 4, 2, 1), image.clone().requires_grad_())[0] is FromImage
    assert FromImage not in taken(monkeypatch, Conv2d(1, 8, 4, 2, 1), image)  # no gradient of it
    assert taken(monkeypatch, ConvTranspose2d(8, 1, 4, 2, 1), maps) == [ToImage]
    assert taken(monkeypatch, ConvTranspose2d(8, 6, 4, 2, 1), maps) == []
    assert taken(monkeypatch, Conv1d(8, 6, 3), maps[:, :, 0]) == ["2d"]
    for layer, x in ((ConvTranspose2d(8, 1, 4, 2, 1), maps), (Conv1d(8, 6, 3), maps[:, :, 0])):
        assert taken(monkeypatch, layer.double(), x.double()) == []
        with torch.autocast("cpu", torch.bfloat16):
            assert taken(monkeypatch, layer.float(), x) == []
        traced = torch.jit.trace(layer, x)
        assert "im2col" not in str(traced.graph)
        assert "col2im" not in str(traced.graph)
        program = torch.export.export(layer, (x,))
        assert not {"aten.im2col.default", "aten.col2im.default", "aten.conv2d.default"} & {
            str(node.target) for node in program.graph.nodes
        }


def test_a_row_is_the_same_alone():
    for layer, x in (
        (ConvTranspose2d(32, 1, 4, 2, 1), torch.randn(64, 32, 14, 14)),
        (Conv1d(32, 48, 5, padding=2), torch.randn(64, 32, 30)),
    ):
        with torch.no_grad():
            assert torch.allclose(layer(x)[3:4], layer(x[3:4]), atol=1e-6)


def test_output_sizes_are_as_torch_has_them():
    layer, other, x = both(CASES[9])
    assert layer(x, output_size=[11, 12]).shape == other(x, output_size=[11, 12]).shape
    assert layer(x[0]).shape == other(x[0]).shape
    empty = x[:0].detach()
    assert layer(empty).shape == other(empty).shape


def test_their_names_and_weights_are_those_of_torch():
    for kind in (Conv1d, Conv2d, ConvTranspose2d):
        a, b = kind(3, 4, 3), kind.__mro__[1](3, 4, 3)
        assert repr(a) == repr(b)
        assert list(a.state_dict()) == list(b.state_dict())
        assert isinstance(a, type(b))
    assert repr(Flatten()) == repr(nn.Flatten())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cast", [False, True])
def test_gradients_of_rows_have_the_channels_last(dtype, cast):
    x = torch.randn(2, 3, 4, 5, dtype=dtype).to(memory_format=torch.channels_last)
    x.requires_grad_()
    weights, seen = torch.randn(2, 60, dtype=dtype), []
    h = x * 2.0
    h.register_hook(lambda g: seen.append(g))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cast):
        out = Flatten()(h)
    assert torch.equal(out, nn.Flatten()(2.0 * x))
    (grad,) = torch.autograd.grad((out * weights).sum(), x)
    assert torch.equal(grad, 2.0 * weights.view(2, 3, 4, 5))
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    Flatten()(torch.randn(2, 3, requires_grad=True)).sum().backward()


def test_on_other_devices_gradients_lie_as_torch_has_them():
    for device, expected in (("cpu", "LaidBackward"), ("meta", "MulBackward0")):
        out = Flatten()(2.0 * torch.ones(2, 3, 4, 5, device=device, requires_grad=True))
        assert out.grad_fn.next_functions[0][0].name() == expected


def test_they_are_transformed_as_those_of_torch():
    for case in (CASES[0], CASES[9], CASES[15]):
        layer, other, x = both(case)
        x = x.detach()
        f, g = (torch.func.jacrev(lambda v, m=m: m(v).sum(0)) for m in (layer, other))
        close([f(x)], [g(x)])
        close([torch.vmap(layer)(x[:, None])], [torch.vmap(other)(x[:, None])])


def test_our_networks_are_made_of_them():
    networks = (
        generator_dcgan(5, (1, 16, 16), 32),
        generator_dcgan(5, (1, 4, 4), 32),
        dcgan((1, 16, 16), 32),
        conv((1, 16, 16), 5),
        build_body("conv", 8, 16)[0],
    )
    found = [m for network in networks for m in network.modules()]
    for kind in (Conv1d, Conv2d, ConvTranspose2d, Flatten):
        same = [type(m) for m in found if isinstance(m, kind.__mro__[1])]
        assert set(same) == {kind}


def test_copies_go_the_same_way(monkeypatch):
    layer = copy.deepcopy(ConvTranspose2d(8, 1, 4, 2, 1))
    assert taken(monkeypatch, layer, torch.randn(2, 8, 4, 4)) == [ToImage]
