"""Internal. Data sets by name: what scikit-learn brings, and what `repkit.datasets` has."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click


@dataclass
class Data:
    """Samples, or waveforms, with labels of several kinds; the first kind is the usual one."""

    X: Any
    labels: dict[str, Any] = field(default_factory=dict)
    sample_rate: int | None = None


@dataclass(frozen=True)
class Embedded:
    """A data set: what it is, where it comes from, its parts, and how a part is loaded."""

    what: str
    comes: str
    load: Callable[[str], Data]
    parts: tuple[str, ...] = ()
    speech: bool = False

    @property
    def first(self) -> str:
        return self.parts[0] if self.parts else ""


def _split(loader: str, **params: Any) -> Callable[[str], Data]:
    """A loader whose result has ``x_train`` and the like."""

    def load(part: str) -> Data:
        from repkit import datasets

        found = getattr(datasets, loader)(**params)
        return Data(found[f"x_{part}"], {"y": found[f"y_{part}"]})

    return load


def _whole(loader: str, convert: Callable[[str], Any] = str) -> Callable[[str], Data]:
    """A loader that takes the part, and whose result has ``data`` and ``target``."""

    def load(part: str) -> Data:
        from repkit import datasets

        found = getattr(datasets, loader)(*([convert(part)] if part else []))
        return Data(found.data, {"y": found.target})

    return load


def _spoken(loader: str, word: str) -> Callable[[str], Data]:
    def load(part: str) -> Data:
        from repkit import datasets

        found = getattr(datasets, loader)(part)
        return Data(found.data, {"speaker": found.speaker, "word": found[word]}, found.sample_rate)

    return load


def _digits(part: str) -> Data:
    from sklearn.datasets import load_digits

    found = load_digits()
    return Data(found.images / 16, {"y": found.target})


def _shifted(part: str) -> Data:
    from repkit.datasets import load_digits_domains

    found = load_digits_domains(random_state=0)
    if part == "test":
        return Data(found.X_test[:, 0], {"y": found.y_test})
    rows = (found.sample_domain < 0) == (part == "target")
    return Data(found.X[rows, 0], {"y": found.y[rows]})


def _moons(part: str) -> Data:
    from repkit.datasets import make_domains

    found = make_domains(random_state=0)
    rows = (found.sample_domain < 0) == (part == "target")
    return Data(found.X[rows], {"y": found.y[rows]})


def _sprites(part: str) -> Data:
    from repkit.datasets import make_sprites

    found = make_sprites(4000, size=32, random_state=0)
    names = found.factor_names
    return Data(found.X, dict(zip(names, found.factors.T, strict=True)))


def _amazon(part: str) -> Data:
    from repkit.datasets import load_amazon_reviews

    found = load_amazon_reviews(part)
    return Data(found.x_train, {"y": found.y_train})


def _speech(part: str) -> Data:
    from repkit.datasets import make_speech

    found = make_speech(6, 8, 6, random_state=0)
    return Data(found.data, {"speaker": found.speaker, "word": found.word}, found.sample_rate)


OWN, MADE = "with scikit-learn", "made on the spot"
NET, HOME = "downloaded", "from REPKIT_DATA"
SETS = {
    "digits": Embedded("1797 digits, 8x8", OWN, _digits),
    "digits-shifted": Embedded(
        "the same; the target rotated and blurred", OWN, _shifted, ("source", "target", "test")
    ),
    "moons": Embedded("two moons; the target turned", MADE, _moons, ("source", "target")),
    "sprites": Embedded("4000 shapes, 32x32, of five factors", MADE, _sprites),
    "speech": Embedded("8 words by 6 invented speakers", MADE, _speech, speech=True),
    "mnist": Embedded("digits, 28x28", NET, _split("load_mnist"), ("train", "test")),
    "usps": Embedded("digits, 16x16", NET, _split("load_usps"), ("train", "test")),
    "mnist-m": Embedded("digits on photographs", HOME, _split("load_mnist_m"), ("train", "test")),
    "meters": Embedded(
        "digits of meters, 32x32, in color",
        HOME,
        _whole("load_meter_digits"),
        ("", "gasmeter", "lcd", "powermeter", "watermeter"),
    ),
    "office": Embedded(
        "SURF features of pictures",
        NET,
        _whole("load_office_caltech"),
        ("amazon", "caltech", "dslr", "webcam"),
    ),
    "amazon": Embedded("reviews", NET, _amazon, ("books", "dvd", "electronics", "kitchen")),
    "gas": Embedded("gas sensors, by batch", NET, _whole("load_gas_drift", int), tuple("12345689")),
    "pacs": Embedded(
        "deep features of pictures",
        HOME,
        _whole("load_pacs_deep"),
        ("art_painting", "cartoon", "photo", "sketch"),
    ),
    "fsdd": Embedded(
        "spoken digits of 6 men",
        NET,
        _spoken("load_fsdd", "digit"),
        ("all", "train", "test"),
        speech=True,
    ),
    "arabic": Embedded(
        "40 words by 30 speakers",
        HOME,
        _spoken("load_arabic_commands", "word"),
        ("all", "train", "validation", "test"),
        speech=True,
    ),
}


def is_name(given: str) -> bool:
    """Whether it is the name of a set, with or without a part."""
    return given.partition(":")[0] in SETS


def load(given: str) -> Data:
    """A set, or a part of one: ``mnist``, ``mnist:test``.

    Raises a UsageError that lists the parts, if there is no such part.
    """
    name, mark, part = given.partition(":")
    found = SETS[name]
    if not mark:
        part = found.first
    elif part not in found.parts:
        raise click.UsageError(
            f"the data set {name} has no part {part!r}; it has "
            f"{', '.join(filter(None, found.parts)) or 'none'}"
        )
    return found.load(part)


def near(given: str) -> str:
    """Names that resemble what was given, for an error."""
    close = difflib.get_close_matches(given.partition(":")[0], SETS, 3)
    return f"; did you mean the data set {' or '.join(close)}?" if close else ""
