"""Parts that several estimators take."""

import pytest
import torch
from torch import nn

from repkit import Consistency, Discriminator, Optimizer
from repkit.base.parameters import check_parameters
from repkit.engine.optim import SGD, Adam


def made(optimizer, momentum=None, rates=(0.1, 0.02)):
    vectors = [nn.Parameter(torch.ones(3)) for _ in rates]
    groups = [{"params": [v], "lr": r} for v, r in zip(vectors, rates, strict=True)]
    return optimizer._factory(0.5, momentum)(groups)


def test_adam():
    adam = made(Optimizer("adam", momentum=0.7, weight_decay=0.3))
    assert isinstance(adam, Adam)
    assert (adam.own["beta1"], adam.weight_decay) == (0.7, 0.3)
    assert [g["lr"] for g in adam.param_groups] == [0.1, 0.02]
    assert made(Optimizer("adam"), momentum=0.5).own["beta1"] == 0.5


def test_sgd():
    sgd = made(Optimizer("sgd", momentum=0.7, weight_decay=0.3))
    assert isinstance(sgd, SGD)
    assert (sgd.own["momentum"], sgd.weight_decay) == (0.7, 0.3)
    assert [g["lr"] for g in sgd.param_groups] == [0.1, 0.02]
    assert made(Optimizer("sgd"), momentum=0.0).own["momentum"] == 0.0


def test_a_callable_gets_groups_and_the_rate():
    given = []

    def make(parameters, learning_rate):
        given.append((len(parameters), learning_rate))
        return torch.optim.RAdam(parameters, learning_rate)

    radam = made(Optimizer(make), momentum=0.3)
    assert given == [(2, 0.5)]
    assert [g["lr"] for g in radam.param_groups] == [0.1, 0.02]


def test_a_changed_copy():
    base = Optimizer("sgd", momentum=0.5)
    other = base(weight_decay=0.1)
    assert other.get_params() == {"kind": "sgd", "momentum": 0.5, "weight_decay": 0.1}
    assert base.weight_decay == 0.0


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Optimizer("rmsprop"), "kind must be 'adam', 'sgd' or a callable"),
        (Optimizer(5), "kind must be 'adam', 'sgd' or a callable"),
        (Optimizer(momentum=1.0), "momentum must be a number .* at most 0.999"),
        (Optimizer(weight_decay=-0.1), "weight_decay must be a number of at least 0"),
        (Discriminator(5), "network must be a string, a callable"),
        (Discriminator(loss="wasserstein"), r"loss must be one of \['logistic', 'hinge'\]"),
        (Discriminator(r1=-1), "r1 must be a number of at least 0"),
        (Consistency(weight=-1), "weight must be a number of at least 0"),
        (Consistency(threshold=1.5), "threshold must be a number of at least 0 and at most 1"),
        (Consistency(start=2), "start must be a number of at least 0 and at most 1"),
    ],
)
def test_values_that_are_refused(part, words):
    with pytest.raises((ValueError, TypeError), match=words):
        check_parameters(part)
