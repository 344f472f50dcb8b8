"""The networks of DANN: a backbone and heads that fit the data and each other."""

import pytest
import torch
from torch import nn

from repkit.dann.networks import build_networks
from repkit.nets import DomainNorm, set_rows

pytestmark = pytest.mark.usefixtures("seeded")

SPECS = {"backbone": "auto", "label": None, "domain": None}
SIZES = {
    "shape": (6,),
    "width": 5,
    "outputs": 3,
    "n_domains": 2,
    "conditional": False,
    "separate": False,
    "kind": "adversarial",
}


def build(**options):
    return build_networks(**{**SPECS, **SIZES, **options})


@pytest.mark.parametrize(
    ("backbone", "shape"),
    [
        ("auto", (6,)),
        ("mlp", (6,)),
        ("auto", (3, 16, 12)),
        ("conv", (12, 12)),
        ("dcgan", (1, 9, 8)),
    ],
)
@pytest.mark.parametrize("conditional", [False, True])
def test_what_goes_through_them(backbone, shape, conditional):
    nets = build(backbone=backbone, shape=shape, conditional=conditional)
    f = nets["F"](torch.rand(4, *shape))
    assert f.shape == (4, 5)
    assert f.min() == 0  # they end in a ReLU
    assert nets["C"](f).shape == (4, 3)
    assert isinstance(nets["C"], nn.Linear)
    seen = torch.rand(4, 15 if conditional else 5)
    assert nets["D"](seen).shape == (4, 2)
    sizes = [m.out_features for m in nets["D"].modules() if isinstance(m, nn.Linear)]
    assert sizes == [128, 2]


def test_without_a_target_there_is_no_domain_classifier():
    assert set(build(kind=None)) == {"F", "C"}


@pytest.mark.parametrize(
    ("kind", "outputs"),
    [
        ("wasserstein", {2: 1, 3: 3, 4: 6}),
        ("discrepancy", {2: 3, 4: 3}),
        ("adversarial", {2: 2, 3: 3}),
    ],
)
def test_what_the_kinds_of_divergence_have_for_d(kind, outputs):
    """A number for each pair of domains; a second label predictor; a logit for each domain."""
    for n_domains, wanted in outputs.items():
        nets = build(kind=kind, n_domains=n_domains)
        assert nets["D"](torch.rand(4, 5)).shape == (4, wanted)
    with pytest.raises(ValueError, match=r"heads__domain must give \d logits, one for each of the"):
        build(kind=kind, domain=nn.Linear(5, 7))


@pytest.mark.parametrize("kind", ["coral", "mmd", "joint_mmd"])
def test_distances_have_no_d(kind):
    assert set(build(kind=kind)) == {"F", "C"}


def test_heads_of_the_users_own_see_the_outputs_of_the_backbone():
    given = []

    def head(shape_in, dim_out):
        given.append((shape_in, dim_out))
        return nn.Linear(*shape_in, dim_out)

    own = nn.Sequential(nn.Linear(6, 8), nn.Unflatten(1, (2, 4)))
    nets = build(backbone=own, label=head, domain=head, conditional=True)
    assert given == [((8,), 3), ((24,), 2)]
    assert nets["F"](torch.rand(4, 6)).shape == (4, 8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"label": nn.Linear(5, 4)}, "heads__label must give 3 logits, one for each of the cl"),
        ({"domain": nn.Linear(5, 1)}, "heads__domain must give 2 logits, one for each of the d"),
        ({"domain": nn.Linear(4, 2)}, r"heads__domain does not take samples of shape \(5,\)"),
        ({"backbone": nn.Linear(4, 2)}, r"backbone does not take samples of shape \(6,\)"),
        ({"backbone": "conv"}, "use 'mlp' for tables"),
        ({"backbone": "resnet"}, "backbone='resnet' is not known"),
    ],
)
def test_networks_that_do_not_fit(options, words):
    with pytest.raises(ValueError, match=words):
        build(**options)


def test_statistics_of_each_domain_are_in_the_backbone():
    own = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5))
    head = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 3))
    nets = build(backbone=own, label=head, separate=True)
    norms = [m for m in nets["F"].modules() if isinstance(m, DomainNorm)]
    assert [m.running_mean.shape for m in norms] == [(2, 5)]
    assert not any(isinstance(m, DomainNorm) for m in nets["C"].modules())
    set_rows(nets["F"], [(2, 0), (2, 1)])
    assert nets["F"](torch.rand(4, 6)).shape == (4, 5)
    assert isinstance(own[1], nn.BatchNorm1d)  # the user's stays as it is
