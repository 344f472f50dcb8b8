"""Constructor parameters as dataclass fields: a default and what is allowed, written once.

A class of parameters reads ::

    @parameters
    class Objective:
        gamma: float = number(low=0, default=5.0)
        likelihood: str = choice("bernoulli", "gaussian", default="bernoulli")

`check_parameters` compares the values with the fields; `filled` makes one such object from the
fields of another. A `Part` is a group of parameters that travels as one: see there. Pure Python:
an algorithm can import it without scikit-learn's estimators.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from numbers import Integral, Real
from typing import Any, Literal, Self, TypeVar, dataclass_transform

import numpy as np

from repkit import _arguments
from repkit._arguments import MOST, shown

__all__ = [
    "Constant",
    "Part",
    "anything",
    "check_parameters",
    "choice",
    "filled",
    "fitted",
    "flag",
    "function",
    "integer",
    "into_parts",
    "network",
    "number",
    "parameters",
    "part",
    "per_group",
    "resolved",
    "schedule",
    "sizes",
    "with_new_names",
]

C = TypeVar("C", bound=type)
T = TypeVar("T")
# ``(name, value) -> value`` as it is used: raises where the value is not allowed.
Rule = Callable[[str, Any], Any]
# Old name to new; a name with two underscores is that of a part's field.
RENAMED = {"n_features": "width", "validation_fraction": "select__validation_fraction"}
MOST_SIZES = 100  # integers in one tuple
MOST_WEIGHT = 1e6  # of a constant in the place of a schedule
MOST_RATE = 1e30  # a learning rate
# Beyond these, a parameter would ask for more memory or time than there is, in earnest.
MOST_EPOCHS = 10**6  # epochs, and steps in one
MOST_ROWS = 10**5  # in a batch
MOST_UNITS = 10**4  # side by side in a layer


# ---------------------------------------------------------------- fields


def _field(default: Any, rule: Rule, kw_only: bool = True, **metadata: Any) -> Any:
    return dataclasses.field(default=default, kw_only=kw_only, metadata={"rule": rule, **metadata})


def integer(
    low: int = 1,
    high: int = MOST,
    *,
    default: int | None,
    optional: bool = False,
    truth: bool = False,
    kw_only: bool = True,
) -> Any:
    """Make a field for an integer.

    Parameters
    ----------
    low : int, default=1
        The least integer that is allowed.
    high : int, default=10**9
        The greatest integer that is allowed.
    default : int or None
        The parameter's default.
    optional : bool, default=False
        Whether None is allowed, too.
    truth : bool, default=False
        Whether True and False are allowed, as 1 and 0.
    kw_only : bool, default=True
        Whether the parameter can be given by keyword alone.

    Returns
    -------
    dataclasses.Field
        The field, with its rule in the metadata.
    """

    def rule(name: str, value: Any) -> Any:
        if value is None and optional:
            return None
        if truth and isinstance(value, bool | np.bool_):
            return int(value)
        return _arguments.integer(value, name, low, high, otherwise=_or_none(optional))

    return _field(default, rule, kw_only)


def number(
    low: float = 0.0,
    high: float = math.inf,
    *,
    default: float | None,
    above: bool = False,
    optional: bool = False,
    kw_only: bool = True,
) -> Any:
    """Make a field for a finite number.

    Parameters
    ----------
    low : float, default=0.0
        The least number that is allowed.
    high : float, default=inf
        The greatest number that is allowed.
    default : float or None
        The parameter's default.
    above : bool, default=False
        Whether ``low`` itself is out.
    optional : bool, default=False
        Whether None is allowed, too.
    kw_only : bool, default=True
        Whether the parameter can be given by keyword alone.

    Returns
    -------
    dataclasses.Field
        The field, with its rule in the metadata.
    """

    def rule(name: str, value: Any) -> Any:
        if value is None and optional:
            return None
        return _arguments.number(value, name, low, high, above=above, otherwise=_or_none(optional))

    return _field(default, rule, kw_only)


def choice(*allowed: Any, default: Any, kw_only: bool = True) -> Any:
    """Make a field for one of several values.

    Parameters
    ----------
    *allowed : object
        The values.
    default : object
        The parameter's default.
    kw_only : bool, default=True
        Whether the parameter can be given by keyword alone.

    Returns
    -------
    dataclasses.Field
        The field, with its rule in the metadata.
    """

    def rule(name: str, value: Any) -> Any:
        return _arguments.choice(value, name, allowed)

    return _field(default, rule, kw_only)


def flag(*, default: bool) -> Any:
    """Make a field for a truth value, Python's or numpy's.

    Parameters
    ----------
    default : bool
        The parameter's default.

    Returns
    -------
    dataclasses.Field
        The field, with its rule in the metadata.
    """
    return choice(False, True, default=default)


def function(*, default: Any) -> Any:
    """Make a field for a callable, or None.

    Parameters
    ----------
    default : callable or None
        The parameter's default.

    Returns
    -------
    dataclasses.Field
        The field, with its rule in the metadata.
    """

    def rule(name: str, value: Any) -> Any:
        if value is not None and not callable(value):
            raise TypeError(f"{name} must be callable or None, not {shown(value)}")
        return value

    return _field(default, rule)


@dataclasses.dataclass(frozen=True)
class Constant:
    """The schedule that a number stands for.

    Parameters
    ----------
    value : float
        What it gives at any progress.
    """

    value: float

    def __call__(self, progress: float) -> float:
        return self.value


def schedule(named: Mapping[str, Any], *, default: Any, numbers: bool = False) -> Any:
    """Make a field for a function of progress.

    Parameters
    ----------
    named : mapping of str to callable
        Functions of progress, from 0 to 1, that can be given by name.
    default : str, float or callable
        The parameter's default.
    numbers : bool, default=False
        Whether a number is allowed, too: a constant of at least 0.

    Returns
    -------
    dataclasses.Field
        The field, with its rule in the metadata.
    """

    def rule(name: str, value: Any) -> Any:
        if isinstance(value, str) and value in named:
            return named[str(value)]
        if callable(value):
            return _probed(name, value)
        if numbers and isinstance(value, Real) and not isinstance(value, bool | np.bool_):
            return Constant(_arguments.number(value, name, 0.0, MOST_WEIGHT))
        wanted = f"one of {sorted(named)}, {'a number of at least 0, ' if numbers else ''}"
        message = f"{name} must be {wanted}or a function of progress in [0, 1], not {shown(value)}"
        raise (ValueError if isinstance(value, str) else TypeError)(message)

    return _field(default, rule)


def _probed(name: str, function: Callable[[float], Any]) -> Callable[[float], Any]:
    """A schedule of the user's own, if it gives a finite number at the start.

    What it raises or gives later is told by the training, which keeps its last good weights.
    """
    wanted = f"{name} must map progress, from 0 to 1, to a finite number"
    try:
        found = function(0.0)
        finite = math.isfinite(found)
    except Exception as error:
        raise TypeError(f"{wanted}; {shown(function)} fails at 0.0: {error}") from error
    if not finite:
        raise ValueError(f"{wanted}; {shown(function)} gives {found} at 0.0")
    return function


def network(*, default: Any, optional: bool = False, kw_only: bool = True) -> Any:
    """Make a field for a network: a name, an ``nn.Module``, or a callable that makes one.

    The names are known where the network is built, and so are the errors about it. Whatever stands
    in such a field is code that a model file does not hold, unless it is a string.

    Parameters
    ----------
    default : str, nn.Module, callable or None
        The parameter's default.
    optional : bool, default=False
        Whether None is allowed, too.
    kw_only : bool, default=True
        Whether the parameter can be given by keyword alone.

    Returns
    -------
    dataclasses.Field
        The field, with its rule in the metadata.
    """

    def rule(name: str, value: Any) -> Any:
        if (value is None and optional) or isinstance(value, str) or callable(value):
            return value
        raise TypeError(
            f"{name} must be a string, a callable that returns an nn.Module, or an nn.Module"
            f"{_or_none(optional)}, not {shown(value)}"
        )

    return _field(default, rule, kw_only, network=True)


def sizes(
    low: int = 2,
    high: int = MOST,
    *,
    default: tuple[int, ...],
    length: int | None = None,
    kw_only: bool = True,
) -> Any:
    """Make a field for a tuple of integers.

    Parameters
    ----------
    low : int, default=2
        The least integer that is allowed.
    high : int, default=10**9
        The greatest integer that is allowed.
    default : tuple of int
        The parameter's default.
    length : int, optional
        How many integers there must be. By default, any number up to 100.
    kw_only : bool, default=True
        Whether the parameter can be given by keyword alone.

    Returns
    -------
    dataclasses.Field
        The field, with its rule in the metadata.
    """

    def rule(name: str, value: Any) -> Any:
        many = "integers" if length is None else f"{length} integers"
        several = isinstance(value, tuple | list) or (
            isinstance(value, np.ndarray) and value.ndim == 1
        )
        good = several and all(
            isinstance(n, Integral) and not isinstance(n, bool | np.bool_) and low <= int(n)
            for n in value
        )
        if not good or (length is not None and len(value) != length):
            raise ValueError(
                f"{name} must be a tuple of {many} of at least {low}, not {shown(value)}"
            )
        if len(value) > MOST_SIZES or any(int(n) > high for n in value):
            raise ValueError(
                f"{name} must be a tuple of at most {MOST_SIZES} integers from {low} to {high}, "
                f"not {shown(value)}"
            )
        return tuple(int(n) for n in value)

    return _field(default, rule, kw_only)


def per_group(*, default: float | None) -> Any:
    """Make a field for a number of at least 0, or a dict of such numbers by a network's name.

    Parameters
    ----------
    default : float or None
        The parameter's default. With None, None is allowed.

    Returns
    -------
    dataclasses.Field
        The field, with its rule in the metadata.
    """

    def rule(name: str, value: Any) -> Any:
        if value is None and default is None:
            return None
        if not isinstance(value, Mapping):
            return _arguments.number(value, name, 0.0, MOST_RATE)
        if not value or not all(isinstance(key, str) for key in value):
            raise ValueError(
                f"{name} must be a number, or a dict of numbers by the name of a network, not "
                f"{shown(value)}"
            )
        return {
            key: _arguments.number(v, f"{name}[{key!r}]", 0.0, MOST_RATE)
            for key, v in value.items()
        }

    return _field(default, rule)


def anything(rule: Rule | None = None, *, default: Any, kw_only: bool = True) -> Any:
    """Make a field with a rule of its own, or with none.

    Parameters
    ----------
    rule : callable, optional
        ``(name, value) -> value`` as it is used; it raises where the value is not allowed. By
        default, everything is allowed.
    default : object
        The parameter's default.
    kw_only : bool, default=True
        Whether the parameter can be given by keyword alone.

    Returns
    -------
    dataclasses.Field
        The field, with its rule in the metadata.
    """
    return _field(default, rule or (lambda name, value: value), kw_only)


def part(cls: type[Part], *, default: Any, optional: bool = False, kw_only: bool = True) -> Any:
    """Make a field for a `Part`, or for the value of the part's first field.

    Parameters
    ----------
    cls : type
        The part's class.
    default : object
        The parameter's default.
    optional : bool, default=False
        Whether None is allowed, too.
    kw_only : bool, default=True
        Whether the parameter can be given by keyword alone.

    Returns
    -------
    dataclasses.Field
        The field. Its rule turns what is given into a part, whose parameters are checked.
    """

    def rule(name: str, value: Any) -> Any:
        if value is None and optional:
            return None
        given = cls.of(value)
        first = dataclasses.fields(cls)[0]  # type: ignore[arg-type]
        if isinstance(value, Part) and not isinstance(value, cls):
            raise TypeError(
                f"{name} must be of the class {cls.__name__}, or its {first.name}, not "
                f"{shown(value)}"
            )
        if not isinstance(value, Part):
            # The short form: an error names the parameter itself.
            first.metadata["rule"](name, value)
        return check_parameters(given, prefix=f"{name}__")

    return _field(default, rule, kw_only, part=cls)


def fitted(*, init: Literal[False] = False) -> Any:
    """Declare an attribute that ``fit`` sets: no parameter, and not there before.

    Parameters
    ----------
    init : bool, default=False
        Always False: what tells type checkers that the constructor does not take it.
    """
    return None


def _or_none(optional: bool) -> str:
    return ", or None" if optional else ""


# ---------------------------------------------------------------- classes


@dataclass_transform(
    kw_only_default=True,
    eq_default=False,
    field_specifiers=(
        dataclasses.field,
        integer,
        number,
        choice,
        flag,
        function,
        schedule,
        network,
        sizes,
        per_group,
        anything,
        part,
        fitted,
    ),
)
def parameters(cls: C) -> C:
    """Make a class of its fields: keyword parameters, the class's own before inherited ones.

    Parameters
    ----------
    cls : type
        Its fields are made by `integer`, `number` and so on. A field that a class inherits can be
        written again with another default.

    Returns
    -------
    type
        The class itself, with an ``__init__`` that stores its parameters and does nothing else.
    """
    for name in [k for k in _declared(cls) if k.endswith("_")]:
        del cls.__annotations__[name]
        delattr(cls, name)
    made: Any = dataclasses.dataclass(eq=False, repr=False, kw_only=True)(cls)
    plain = made.__init__

    @wraps(plain)
    def init(self: Any, *args: Any, **values: Any) -> None:
        renamed = with_new_names(values, names, made.__name__)
        # What is called part__name now was given by its old name: nested ones are for set_params.
        unknown = [k for k in renamed if k not in names and (k in values or "__" not in k)]
        if unknown:
            raise TypeError(_unknown(made, unknown[0], names))
        values = into_parts(made, renamed, {f.name: f.default for f in dataclasses.fields(made)})
        plain(self, *args, **values)

    signature = inspect.signature(plain)
    (itself, *given) = signature.parameters.values()

    def place(p: inspect.Parameter) -> tuple[bool, int]:
        # Positional ones first, in their true order, then by the class that declares them first:
        # one that is written again with another default keeps its place.
        keyword = p.kind is p.KEYWORD_ONLY
        first = max(k for k, c in enumerate(made.__mro__) if p.name in _declared(c))
        return keyword, first if keyword else 0

    given.sort(key=place)
    names = [p.name for p in given]
    init.__signature__ = signature.replace(parameters=[itself, *given])  # type: ignore[attr-defined]
    made.__init__ = init
    return made


def _declared(cls: type) -> Mapping[str, Any]:
    return vars(cls).get("__annotations__", {})


def with_new_names(values: dict[str, Any], names: Sequence[str], owner: str) -> dict[str, Any]:
    """Give parameters that were renamed their present names, with a warning.

    Parameters
    ----------
    values : dict
        Values by name, old or new.
    names : sequence of str
        Present names of the class's parameters.
    owner : str
        Name of the class, for the warning.

    Returns
    -------
    dict
        Values by present name.
    """
    old = [k for k in values if k in RENAMED and k not in names]
    new = {k: RENAMED[k] for k in old if RENAMED[k].partition("__")[0] in names}
    for name, present in new.items():
        warnings.warn(
            f"the parameter {name} of {owner} is now called {present}",
            FutureWarning,
            stacklevel=3,
        )
    return {new.get(name, name): v for name, v in values.items()}


def into_parts(cls: type, values: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """Put values that are given as ``part__name`` into their parts.

    Parameters
    ----------
    cls : type
        A class made by `parameters`.
    values : mapping of str to object
        Values by name. What is no field of a part of the class stays as it is.
    present : mapping of str to object
        The parts, in their long or short form, where ``values`` does not have them.

    Returns
    -------
    dict
        Values by name. Parts that were changed are copies.
    """
    found = dict(values)
    for f in dataclasses.fields(cls):
        kind, start = f.metadata.get("part"), f"{f.name}__"
        inner = [name for name in found if name.startswith(start)]
        if kind is None or not inner:
            continue
        value = found.get(f.name, present[f.name])
        own = copy.copy(kind() if value is None else kind.of(value))
        found[f.name] = own.set_params(**{n.removeprefix(start): found.pop(n) for n in inner})
    return found


def _unknown(cls: type, name: str, names: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"{cls.__name__} has no parameter {name!r}{hint}; its parameters are {', '.join(names)}"


def check_parameters(given: T, prefix: str = "") -> T:
    """Return a copy with every parameter as its field's rule gives it.

    Parameters
    ----------
    given : object
        Of a class made by `parameters`.
    prefix : str, default=""
        Put before the names in errors.

    Returns
    -------
    object
        A shallow copy. Parts are parts there, never short forms, and schedules are functions.

    Raises
    ------
    TypeError, ValueError
        If a value is not allowed. The error names the parameter, the value and what is allowed.
    """
    values = resolved(given, prefix)
    own = object.__new__(type(given))
    own.__dict__.update({**vars(given), **values})
    return own


def resolved(given: Any, prefix: str = "") -> dict[str, Any]:
    """Check all parameters and return their values as they are used.

    Parameters
    ----------
    given : object
        Of a class made by `parameters`.
    prefix : str, default=""
        Put before the names in errors.

    Returns
    -------
    dict of str to object
        Values by name.

    Raises
    ------
    TypeError, ValueError
        If a value is not allowed.
    """
    return {
        f.name: f.metadata["rule"](prefix + f.name, getattr(given, f.name))
        for f in dataclasses.fields(given)
        if "rule" in f.metadata
    }


def filled(cls: type[T], values: Mapping[str, Any]) -> T:
    """Make an object of the values whose names its class has as fields.

    Parameters
    ----------
    cls : type
        A class made by `parameters`.
    values : mapping of str to object
        Values by name. Names that the class does not have are passed over.

    Returns
    -------
    object
        Of the class; fields without a value have their defaults.
    """
    names = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return cls(**{name: values[name] for name in names if name in values})


class Part:
    """A group of parameters that an estimator takes as one.

    Where an estimator takes a part, the value of the part's first field may stand for it:
    ``adversary="pair"`` is ``adversary=Adversary("pair")``. As in any scikit-learn estimator the
    parameters of a part are reached through two underscores, also while the short form stands
    there: ``model.set_params(adversary__weight=0.1)``.
    """

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the part itself, or one whose first field has the value.

        Parameters
        ----------
        value : object
            A part of this class, or a value of its first field.

        Returns
        -------
        Part
            Of this class; its parameters are not checked.
        """
        if isinstance(value, cls):
            return value
        first = dataclasses.fields(cls)[0].name  # type: ignore[arg-type]
        return cls(**{first: value})

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool, default=True
            Ignored: the parameters of a part have none of their own.

        Returns
        -------
        dict
            Values by name.
        """
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name.

        Parameters
        ----------
        **params
            New values.

        Returns
        -------
        Part
            Itself.

        Raises
        ------
        ValueError
            If there is no parameter of a name.
        """
        names = list(self.get_params())
        for name, value in params.items():
            if name not in names:
                raise ValueError(_unknown(type(self), name, names))
            setattr(self, name, value)
        return self

    def __sklearn_clone__(self) -> Self:
        return type(self)(**self.get_params())

    def __repr__(self) -> str:
        given = []
        for k, f in enumerate(dataclasses.fields(self)):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if k == 0:
                given.append(repr(value))
            elif value is not f.default and value != f.default:
                given.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(given)})"
