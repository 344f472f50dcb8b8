"""Parameters as fields: what each kind of field allows, parts, and how classes of them behave."""

import copy
import dataclasses
import inspect
import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ParameterGrid
from torch import nn

from repkit import BiGAN, Consistency, Discriminator, Optimizer, TripleGAN
from repkit.base.parameters import (
    Part,
    anything,
    check_parameters,
    choice,
    filled,
    fitted,
    flag,
    function,
    integer,
    network,
    number,
    parameters,
    part,
    per_group,
    resolved,
    schedule,
    sizes,
)

NAMED = {"flat": lambda progress: 1.0, "linear": lambda progress: progress}


@parameters
class Inner(Part):
    """A part of three parameters."""

    kind: str = choice("a", "b", default="a", kw_only=False)
    weight: float = number(default=1.0)
    net: object = network(default="auto")


FIELDS = {
    "integer": integer(default=3),
    "integer from 0 to 5": integer(0, 5, default=3),
    "integer or None": integer(default=None, optional=True),
    "number": number(default=1.0),
    "number from 0 to 1": number(0.0, 1.0, default=0.5),
    "number above 0": number(0.0, 0.9, above=True, default=0.5),
    "number or None": number(default=None, optional=True),
    "choice": choice("x", "y", 2, None, default="x"),
    "flag": flag(default=False),
    "function": function(default=None),
    "schedule": schedule(NAMED, default="flat"),
    "schedule or number": schedule(NAMED, default="flat", numbers=True),
    "network": network(default="auto"),
    "network or None": network(default=None, optional=True),
    "sizes": sizes(2, default=(4,)),
    "two sizes": sizes(1, length=2, default=(4, 4)),
    "per group": per_group(default=1e-3),
    "per group or None": per_group(default=None),
    "part": part(Inner, default="a"),
    "part or None": part(Inner, default=None, optional=True),
}


def one(field):
    """A class with this field alone, called ``p``."""
    return parameters(type("One", (), {"p": field, "__annotations__": {"p": object}}))


def read(kind, value):
    return check_parameters(one(FIELDS[kind])(p=value)).p


# -------------------------------------------------------------------- what is allowed


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("integer", 1, 1),
        ("integer", np.int64(7), 7),
        ("integer", 10**9, 10**9),
        ("integer from 0 to 5", 0, 0),
        ("integer from 0 to 5", np.uint8(5), 5),
        ("integer or None", None, None),
        ("integer or None", 2, 2),
        ("number", 0, 0.0),
        ("number", np.float32(0.5), 0.5),
        ("number", 1e300, 1e300),
        ("number from 0 to 1", 1, 1.0),
        ("number above 0", 1e-9, 1e-9),
        ("number above 0", 0.9, 0.9),
        ("number or None", None, None),
        ("choice", "y", "y"),
        ("choice", np.str_("y"), "y"),
        ("choice", 2, 2),
        ("choice", None, None),
        ("flag", True, True),
        ("flag", np.bool_(True), True),
        ("function", None, None),
        ("function", abs, abs),
        ("network", "whatever", "whatever"),
        ("network", nn.ReLU, nn.ReLU),
        ("network or None", None, None),
        ("sizes", [2, 3], (2, 3)),
        ("sizes", np.array([5, 6]), (5, 6)),
        ("sizes", (), ()),
        ("two sizes", (1, np.int32(2)), (1, 2)),
        ("per group", 0, 0.0),
        ("per group", {"C": 1, "C.0": 1e-4}, {"C": 1.0, "C.0": 1e-4}),
        ("per group or None", None, None),
        ("part or None", None, None),
    ],
    ids=str,
)
def test_what_is_allowed(kind, value, expected):
    found = read(kind, value)
    assert found == expected or found is expected
    assert type(found) is type(expected)


def test_a_module_is_a_network():
    module = nn.Linear(2, 3)
    assert read("network", module) is module


def test_schedules_become_functions():
    assert read("schedule", "linear") is NAMED["linear"]
    assert read("schedule", np.str_("linear")) is NAMED["linear"]
    own = lambda progress: 2.0
    assert read("schedule", own) is own
    assert [read("schedule or number", v)(p) for v in (0, np.float64(3)) for p in (0.0, 1.0)] == [
        0.0,
        0.0,
        3.0,
        3.0,
    ]


# -------------------------------------------------------------------- what is refused

LEAST = "p must be an integer of at least 1"
SHARE = "p must be a number of at least 0 and at most 1"


@pytest.mark.parametrize(
    ("kind", "value", "error", "message"),
    [
        ("integer", 0, ValueError, f"{LEAST}, not 0"),
        ("integer", -3, ValueError, f"{LEAST}, not -3"),
        ("integer", 2.0, TypeError, f"{LEAST}, not 2.0"),
        ("integer", "3", TypeError, f"{LEAST}, not '3'"),
        ("integer", True, TypeError, f"{LEAST}, not True"),
        ("integer", np.bool_(True), TypeError, f"{LEAST}, not np.True_"),
        ("integer", None, TypeError, f"{LEAST}, not None"),
        (
            "integer",
            10**9 + 1,
            ValueError,
            "p must be an integer from 1 to 1000000000, not 1000000001",
        ),
        ("integer from 0 to 5", 6, ValueError, "p must be an integer from 0 to 5, not 6"),
        ("integer or None", "no", TypeError, f"{LEAST}, or None, not 'no'"),
        ("number", -1e-9, ValueError, "p must be a number of at least 0, not -1e-09"),
        ("number", "much", TypeError, "p must be a number of at least 0, not 'much'"),
        ("number", True, TypeError, "p must be a number of at least 0, not True"),
        ("number", float("nan"), ValueError, "p must be a number of at least 0, not nan"),
        ("number", float("inf"), ValueError, "p must be a number of at least 0, not inf"),
        ("number", None, TypeError, "p must be a number of at least 0, not None"),
        ("number", 1j, TypeError, "p must be a number of at least 0, not 1j"),
        ("number from 0 to 1", 1.5, ValueError, f"{SHARE}, not 1.5"),
        ("number above 0", 0.0, ValueError, "p must be a number above 0 and at most 0.9, not 0.0"),
        ("number or None", -1, ValueError, "p must be a number of at least 0, or None, not -1"),
        ("choice", "z", ValueError, "p must be one of ['x', 'y', 2, None], not 'z'"),
        ("choice", 2.0, ValueError, "p must be one of ['x', 'y', 2, None], not 2.0"),
        ("choice", ["x"], ValueError, "p must be one of ['x', 'y', 2, None], not ['x']"),
        ("flag", 1, ValueError, "p must be one of [False, True], not 1"),
        ("flag", "yes", ValueError, "p must be one of [False, True], not 'yes'"),
        ("flag", None, ValueError, "p must be one of [False, True], not None"),
        ("function", 3, TypeError, "p must be callable or None, not 3"),
        ("function", "flip", TypeError, "p must be callable or None, not 'flip'"),
        (
            "schedule",
            "steep",
            ValueError,
            "p must be one of ['flat', 'linear'], or a function of progress in [0, 1], not 'steep'",
        ),
        (
            "schedule",
            0.5,
            TypeError,
            "p must be one of ['flat', 'linear'], or a function of progress in [0, 1], not 0.5",
        ),
        (
            "schedule or number",
            True,
            TypeError,
            "p must be one of ['flat', 'linear'], a number of at least 0, or a function of "
            "progress in [0, 1], not True",
        ),
        ("schedule or number", -1.0, ValueError, "p must be a number of at least 0, not -1.0"),
        (
            "network",
            3,
            TypeError,
            "p must be a string, a callable that returns an nn.Module, or an nn.Module, not 3",
        ),
        (
            "network or None",
            3,
            TypeError,
            "p must be a string, a callable that returns an nn.Module, or an nn.Module, or None, "
            "not 3",
        ),
        ("network", None, TypeError, "or an nn.Module, not None"),
        ("sizes", (1, 2), ValueError, "p must be a tuple of integers of at least 2, not (1, 2)"),
        ("sizes", 5, ValueError, "p must be a tuple of integers of at least 2, not 5"),
        ("sizes", "55", ValueError, "p must be a tuple of integers of at least 2, not '55'"),
        ("sizes", (2.0,), ValueError, "p must be a tuple of integers of at least 2, not (2.0,)"),
        ("sizes", (True,), ValueError, "p must be a tuple of integers of at least 2, not (True,)"),
        ("two sizes", (3,), ValueError, "p must be a tuple of 2 integers of at least 1, not (3,)"),
        ("two sizes", 64, ValueError, "p must be a tuple of 2 integers of at least 1, not 64"),
        ("per group", -1, ValueError, "p must be a number of at least 0, not -1"),
        ("per group", None, TypeError, "p must be a number of at least 0, not None"),
        ("per group", {"C": -1}, ValueError, "p['C'] must be a number of at least 0, not -1"),
        ("per group", {"C": "x"}, TypeError, "p['C'] must be a number of at least 0, not 'x'"),
        ("per group", {}, ValueError, "a dict of numbers by the name of a network, not {}"),
        ("per group", {1: 0.1}, ValueError, "by the name of a network, not {1: 0.1}"),
        ("part", "c", ValueError, "p must be one of ['a', 'b'], not 'c'"),
        ("part", None, ValueError, "p must be one of ['a', 'b'], not None"),
        ("part", Inner("c"), ValueError, "p__kind must be one of ['a', 'b'], not 'c'"),
        ("part", Inner(weight=-1), ValueError, "p__weight must be a number of at least 0, not -1"),
        ("part or None", 3, ValueError, "p must be one of ['a', 'b'], not 3"),
    ],
    ids=str,
)
def test_what_is_refused(kind, value, error, message):
    """The error names the parameter, what is allowed, and what was given."""
    with pytest.raises(error) as found:
        read(kind, value)
    assert message in str(found.value)
    assert str(found.value).startswith("p")
    assert not str(found.value).endswith(".")


def test_a_part_of_another_kind_is_refused():
    with pytest.raises(
        (TypeError, ValueError),
        match=r"^p must be of the class Inner, or its kind, not Consistency\(1.0\)$",
    ):
        read("part", Consistency())


def test_long_and_unprintable_values_are_cut_short():
    class Dumb:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(TypeError, match=r"not an object of Dumb$"):
        read("integer", Dumb())
    with pytest.raises(TypeError) as found:
        read("integer", "x" * 10_000)
    assert len(str(found.value)) < 200


def test_a_rule_of_its_own():
    def even(name, value):
        if value % 2:
            raise ValueError(f"{name} must be even, not {value!r}")
        return value // 2

    made = one(anything(even, default=4))
    assert check_parameters(made()).p == 2
    with pytest.raises(ValueError, match="p must be even, not 3"):
        check_parameters(made(p=3))
    given = object()
    assert check_parameters(one(anything(default=None))(p=given)).p is given


# -------------------------------------------------------------------- classes


@parameters
class Base:
    common: int = integer(default=1)
    first: int = integer(default=2, kw_only=False)
    other: float = number(default=0.5)

    made_: list = fitted()


@parameters
class Mixed:
    own_too: str = choice("u", "v", default="u")


@parameters
class Derived(Mixed, Base):
    last: float = number(default=0.1)
    common: int = integer(default=9)
    inner: object = part(Inner, default="b")


def test_positional_ones_first_then_the_class_s_own():
    """One that is written again with another default keeps the place where it came from."""
    names = list(inspect.signature(Derived).parameters)
    assert names == ["first", "last", "inner", "own_too", "common", "other"]
    kinds = {p.kind for p in list(inspect.signature(Derived).parameters.values())[1:]}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}
    assert Derived(5).first == 5
    with pytest.raises(TypeError):
        Derived(5, 6)


def test_defaults_are_overridden_in_the_derived_class_alone():
    assert (Derived().common, Base().common) == (9, 1)
    assert Derived().inner == "b"


def test_nothing_is_checked_or_changed_before_it_is_asked_for():
    made = Derived("no", common=-1, last="x")
    assert (made.first, made.common, made.last) == ("no", -1, "x")
    with pytest.raises((TypeError, ValueError)):
        check_parameters(made)


def test_an_unknown_parameter():
    for cls, near in ((Derived, "commun"), (Inner, "wieght")):
        with pytest.raises(TypeError) as found:
            cls(**{near: 3})
        message = str(found.value)
        assert message.startswith(f"{cls.__name__} has no parameter {near!r} (did you mean ")
        assert all(f.name in message for f in dataclasses.fields(cls))
    with pytest.raises(TypeError, match=r"has no parameter 'zzz'; its parameters are first, last"):
        Derived(zzz=3)


def test_what_fit_sets_is_no_parameter():
    assert "made_" not in {f.name for f in dataclasses.fields(Derived)}
    assert not hasattr(Derived(), "made_")


def test_checked_values_are_a_copy():
    made = Derived(np.int64(3), inner="a")
    found = check_parameters(made)
    assert type(found) is Derived
    assert type(found.first) is int
    assert type(made.first) is np.int64
    assert isinstance(found.inner, Inner)
    assert made.inner == "a"
    again = check_parameters(found)
    assert vars(again) | {"inner": 0} == vars(found) | {"inner": 0}
    assert again.inner.get_params() == found.inner.get_params()
    assert set(resolved(made)) == set(inspect.signature(Derived).parameters)


def test_what_else_an_object_holds_is_kept():
    made = Derived()
    made.made_ = [1]
    assert check_parameters(made).made_ is made.made_


def test_filled_by_name():
    found = filled(Base, {"common": 7, "first": 3, "foreign": 0})
    assert (found.common, found.first, found.other) == (7, 3, 0.5)


# -------------------------------------------------------------------- parts


def test_short_and_long_form_are_the_same():
    short, long = read("part", "b"), read("part", Inner("b"))
    assert isinstance(short, Inner)
    assert short.get_params() == long.get_params() == {"kind": "b", "weight": 1.0, "net": "auto"}
    given = Inner("b", weight=2)
    assert read("part", given) is not given
    assert read("part", given).weight == 2.0


def test_parameters_of_a_part():
    inner = Inner("b")
    assert inner.set_params(weight=0.5, kind="a") is inner
    assert (inner.kind, inner.weight) == ("a", 0.5)
    with pytest.raises(ValueError, match=r"Inner has no parameter 'weights' \(did you mean"):
        inner.set_params(weights=1)


def test_a_part_is_shown_by_what_is_not_the_default():
    assert repr(Inner()) == "Inner('a')"
    assert repr(Inner("b", weight=2.0)) == "Inner('b', weight=2.0)"
    assert repr(Consistency(0.5, threshold=0.7)) == "Consistency(0.5, threshold=0.7)"
    shown = Optimizer("sgd", weight_decay=1e-4)
    assert repr(shown) == "Optimizer('sgd', weight_decay=0.0001)"
    namespace = {"Optimizer": Optimizer}
    assert eval(repr(shown), namespace).get_params() == shown.get_params()


@pytest.mark.parametrize(
    "through",
    [clone, copy.copy, copy.deepcopy, "pickle"],
    ids=["clone", "copy", "deepcopy", "pickle"],
)
def test_copies_of_a_part(through):
    part = Inner("b", weight=2.0, net=nn.ReLU)
    found = pickle.loads(pickle.dumps(part)) if through == "pickle" else through(part)
    assert found is not part
    assert found.get_params() == part.get_params()
    found.set_params(weight=3.0)
    assert part.weight == 2.0


PARTED = {
    "optimizer": (BiGAN, "momentum", 0.3),
    "discriminator": (BiGAN, "r1", 2.0),
    "consistency": (TripleGAN, "threshold", 0.7),
    "pseudo_discriminative": (TripleGAN, "gate", 0.8),
}
parted = pytest.mark.parametrize(
    ("name", "cls", "inner", "value"), [(k, *v) for k, v in PARTED.items()], ids=PARTED
)


def default_of(cls, name):
    return next(f for f in dataclasses.fields(cls) if f.name == name).default


@parted
def test_a_part_is_reached_through_two_underscores(name, cls, inner, value):
    """Also while the short form or the class's default stands there, which stays what it is."""
    default = default_of(cls, name)
    before = repr(default)
    model = cls().set_params(**{f"{name}__{inner}": value})
    found = getattr(model, name)
    assert isinstance(found, Part)
    assert getattr(found, inner) == value
    first = dataclasses.fields(type(found))[0].name
    assert getattr(found, first) == getattr(type(found).of(default), first)
    assert model.get_params()[f"{name}__{inner}"] == value
    # Neither the class's default nor another object of the class is touched.
    assert default_of(cls, name) is default
    assert repr(default) == before
    assert repr(getattr(cls(), name)) == before
    again = model.set_params(**{f"{name}__{inner}": 0.0})
    assert getattr(getattr(again, name), inner) == 0.0


@parted
def test_the_part_that_a_user_gave_is_not_changed(name, cls, inner, value):
    """Two models may be given the same one."""
    kind = type(resolved(cls())[name])
    given = kind()
    before = repr(given)
    cls(**{name: given}).set_params(**{f"{name}__{inner}": value})
    assert repr(given) == before


@parted
def test_clones_have_parts_of_their_own(name, cls, inner, value):
    model = cls().set_params(**{f"{name}__{inner}": value})
    other = clone(model)
    assert getattr(other, name) is not getattr(model, name)
    assert repr(other) == repr(model)
    other.set_params(**{f"{name}__{inner}": 0.0})
    assert getattr(getattr(model, name), inner) == value
    short = clone(cls())
    assert repr(short) == repr(cls())


@parted
def test_a_model_is_shown_with_its_parts(name, cls, inner, value):
    assert name not in repr(cls())
    model = cls().set_params(**{f"{name}__{inner}": value})
    assert f"{name}={type(getattr(model, name)).__name__}(" in repr(model)
    assert f"{inner}={value}" in repr(model)
    assert name in model._repr_html_()


@parted
def test_unknown_parameters_of_a_part(name, cls, inner, value):
    kind = type(resolved(cls())[name]).__name__
    with pytest.raises(ValueError, match=f"{kind} has no parameter 'wrong'"):
        cls().set_params(**{f"{name}__wrong": 1})


def test_part_and_its_parameter_are_set_together():
    model = BiGAN().set_params(optimizer__momentum=0.3, optimizer="sgd")
    assert model.optimizer.get_params() == {"kind": "sgd", "momentum": 0.3, "weight_decay": 0.0}
    given = Discriminator(nn.Linear, loss="hinge")
    model.set_params(discriminator=given, discriminator__r1=1.0)
    assert (model.discriminator.network, model.discriminator.loss) == (nn.Linear, "hinge")
    assert (model.discriminator.r1, given.r1) == (1.0, 0.0)


def test_a_grid_over_the_parameters_of_a_part():
    X = np.random.default_rng(0).random((40, 4))
    y = np.arange(40) % 2
    small = {"width": 8, "max_epochs": 1, "steps_per_epoch": 2, "batch_size": (4, 8)}
    grid = {
        "consistency__threshold": [0.5, 0.9],
        "pseudo_discriminative": [0.0, 0.2],
        "optimizer__weight_decay": [0.0, 0.1],
    }
    model = TripleGAN(4, random_state=0, **small)
    search = GridSearchCV(model, grid, cv=2, error_score="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, y)
    assert len(search.cv_results_["params"]) == len(ParameterGrid(grid)) == 8
    best = search.best_estimator_
    assert best.consistency.threshold == search.best_params_["consistency__threshold"]
    assert best.optimizer.get_params() == {
        "kind": "adam",
        "momentum": 0.5,
        "weight_decay": search.best_params_["optimizer__weight_decay"],
    }
    assert model.consistency == 1.0
    assert model.optimizer.weight_decay == 0.0
    assert default_of(TripleGAN, "optimizer").weight_decay == 0.0


def test_the_optimizer_is_changed_in_a_copy():
    given = Optimizer("adam", momentum=0.5)
    assert given(weight_decay=0.1).get_params() == {
        "kind": "adam",
        "momentum": 0.5,
        "weight_decay": 0.1,
    }
    assert given.weight_decay == 0.0


def test_a_callable_optimizer():
    made = Optimizer(torch.optim.RAdam)
    assert check_parameters(made).kind is torch.optim.RAdam
    for wrong, error in (("lion", ValueError), (3, TypeError), (None, TypeError)):
        with pytest.raises(error, match="kind must be 'adam', 'sgd' or a callable"):
            check_parameters(Optimizer(wrong))
