"""One word, one idea: the constructor parameters of all estimators, side by side."""

import ast
import dataclasses
import inspect
import re

import pytest

import repkit
from repkit import DANN, VAE, VAEGAN, BiGAN, DANNRegressor, InfoGAN, SpeechAutoencoder, TripleGAN
from repkit.base.estimator import Estimator
from repkit.base.parameters import Part, resolved

docscrape = pytest.importorskip("numpydoc.docscrape")

CLASSES = [DANN, DANNRegressor, BiGAN, InfoGAN, VAE, VAEGAN, TripleGAN, SpeechAutoencoder]
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
MOST = 30  # constructor parameters

# ---------------------------------------------------------------- what differs, and why

# Parameters that are not of the same kind in every class.
KINDS = {
    "batch_size": "two numbers where a step has two kinds of rows, or speakers and utterances",
    "discriminator": "Triple-GAN's has the paper's loss alone: no part with loss and penalty",
    "encoder": "that of speech also says how frames are joined and what the vector's slices are",
    "entropy": "DANN's term also has a radius; Triple-GAN's is a weight alone",
    "updates": "DANN's order also has a number of steps; InfoGAN's is an order alone",
    "width": "speech needs a multiple of the heads of its transformer",
}
# Parameters whose defaults are not the same in every class.
DEFAULTS = {
    "batch_size": "papers and recipes differ; Triple-GAN and speech have two numbers",
    "consistency": "part of Triple-GAN's recipe, an addition to DANN",
    "ema": "Triple-GAN labels with the averaged network, and so has one",
    "entropy": "part of Triple-GAN's recipe, an addition to DANN",
    "discriminator_norm": "InfoGAN's code has batch norm; VAE-GAN was better without, measured",
    "latent_dim": "papers differ",
    "learning_rate": "papers and recipes differ",
    "learning_rate_schedule": "papers and recipes differ",
    "max_epochs": "an epoch of speech is longer",
    "optimizer": "the papers of GANs have a momentum of 0.5; BiGAN's also decays weights",
    "output": "what there is to give differs",
    "recalibrate": "InfoGAN's batches of generated samples are the only ones its encoder saw",
    "updates": "the first value is the paper's",
    "width": "papers and recipes differ",
}
# Parameters that are not described word for word alike.
WORDS = {
    ("DANN", "augment"): "also says that labels are kept",
    ("DANNRegressor", "augment"): "also says that labels are kept",
    ("DANNRegressor", "width"): "the named backbones are those of DANN",
    ("DANN", "width"): "the named backbones are classifiers, of which it is the outputs",
    ("InfoGAN", "augment"): "generated samples go through it too",
    ("InfoGAN", "latent_dim"): "the noise beside the codes",
    ("TripleGAN", "latent_dim"): "the noise beside the class",
    ("SpeechAutoencoder", "batch_size"): "speakers and utterances",
    ("TripleGAN", "batch_size"): "labeled and unlabeled rows",
}
# Sentences after the common ones.
ADDED = {
    ("DANNRegressor", "select"),
    ("BiGAN", "optimizer"),
    ("InfoGAN", "learning_rate"),
    ("InfoGAN", "recalibrate"),
    ("SpeechAutoencoder", "optimizer"),
    ("SpeechAutoencoder", "precision"),
    ("SpeechAutoencoder", "width"),
    ("TripleGAN", "ema"),
    ("TripleGAN", "learning_rate"),
}
# The networks of a paper have the roles that it gives them, and so have the terms.
OF_THE_PAPER = {
    "beta",
    "consistency",
    "discriminator",
    "discriminator_norm",
    "encoder",
    "entropy",
    "generator",
    "output",
    "strong_augment",
    "updates",
}
FORMER = {
    "adversarial",
    "adversary_learning_rate",
    "batch_segments",
    "batch_speakers",
    "beta1",
    "contrastive",
    "discriminator_body",
    "features",
    "gate",
    "generator_learning_rate",
    "invariance",
    "labeled_batch_size",
    "lam_categorical",
    "lam_continuous",
    "late",
    "loss",
    "n_features",
    "noise_dim",
    "pretraining",
    "pseudo",
    "pseudo_threshold",
    "r1",
    "segment_prototypes",
    "speaker_weight",
    "teacher_augment",
    "threshold",
    "training",
    "view_augment",
    "weight_decay",
}


# ---------------------------------------------------------------- reading


def own_fields(cls):
    return {f.name: f for f in dataclasses.fields(cls)}


def kind_of(field):
    """The maker of a field, or the name of its own rule."""
    return field.metadata["rule"].__qualname__.split(".")[0]


def entries(cls):
    """Type and text of every documented parameter."""
    found = {}
    for name, kind, text in docscrape.NumpyDocString(inspect.getdoc(cls))["Parameters"]:
        for one in name.split(", "):
            found[one] = (kind, " ".join(" ".join(text).split()))
    return found


def without_default(kind):
    return re.sub(r", (default=.*|optional)$", "", kind)


def without_example(text):
    """The names of networks in an example are the class's own."""
    return re.sub(r"``\{.*?\}``", "``{...}``", text)


def objective_of(cls):
    return next(c for c in cls.__mro__ if c.__name__ in ("Objective", "Alignment"))


def parts_of(cls):
    return {n: f.metadata["part"] for n, f in own_fields(cls).items() if "part" in f.metadata}


PARTS = sorted({p for c in CLASSES for p in parts_of(c).values()}, key=lambda p: p.__name__)
each_part = pytest.mark.parametrize("part", PARTS, ids=lambda p: p.__name__)
NAMES = sorted({n for c in CLASSES for n in own_fields(c)})
SHARED = [n for n in NAMES if sum(n in own_fields(c) for c in CLASSES) > 1]


def by_class(name):
    return {c.__name__: own_fields(c)[name] for c in CLASSES if name in own_fields(c)}


# ---------------------------------------------------------------- one meaning


def test_these_are_all():
    public = (getattr(repkit, name) for name in repkit.__all__)
    assert {c for c in public if isinstance(c, type) and issubclass(c, Estimator)} == set(CLASSES)


@pytest.mark.parametrize("name", SHARED)
def test_a_name_is_of_one_kind(name):
    kinds = {kind_of(f) for f in by_class(name).values()}
    assert (len(kinds) > 1) == (name in KINDS), f"{name} is {kinds}"


@pytest.mark.parametrize("name", SHARED)
def test_a_name_has_one_default(name):
    defaults = {repr(f.default) for f in by_class(name).values()}
    assert (len(defaults) > 1) == (name in DEFAULTS), f"{name} is {defaults}"


@pytest.mark.parametrize("name", SHARED)
def test_a_shared_parameter_is_described_in_the_same_words(name):
    """But for its default, and for sentences that are stated to follow."""
    if name in OF_THE_PAPER:
        return
    model = next(cls for cls in [VAE, *CLASSES] if name in own_fields(cls))
    kind, words = entries(model)[name]
    for cls in CLASSES:
        if name not in own_fields(cls):
            continue
        own_kind, own = entries(cls)[name]
        place = cls.__name__, name
        if place in WORDS:
            assert own != words, f"{place} needs no exception"
            continue
        assert without_default(own_kind) == without_default(kind), place
        assert without_example(own).startswith(without_example(words)), place
        added = without_example(own) != without_example(words)
        assert added == (place in ADDED), f"{place}: {own}"


def test_reasons_are_of_parameters_that_there_are():
    assert set(KINDS) | set(DEFAULTS) <= set(SHARED)
    assert {name for _, name in [*WORDS, *ADDED]} | OF_THE_PAPER <= set(SHARED)


def test_former_names_are_gone():
    """One idea, one word: these now have another, or stand in a part."""
    assert not FORMER & set(NAMES)


# ---------------------------------------------------------------- signatures and docstrings


@each_class
def test_there_are_not_too_many(cls):
    assert len(inspect.signature(cls).parameters) <= MOST


@each_class
def test_all_are_described_in_the_order_of_the_signature(cls):
    assert list(entries(cls)) == list(inspect.signature(cls).parameters)


@each_class
def test_common_parameters_come_last(cls):
    names = list(inspect.signature(cls).parameters)
    common = [n for n in names if n in own_fields(Estimator)]
    assert names[-len(common) :] == common
    assert common == list(own_fields(Estimator))


def says(kind, default):
    """Whether a documented type states this default."""
    if default is None:
        return "default=None" in kind or kind.endswith("optional") or "default=" not in kind
    text = kind.partition("default=")[2]
    if isinstance(default, Part):
        # A docstring may leave out what has no room there, and say it after.
        given = eval(text, {type(default).__name__: type(default)}).get_params()
        plain = type(default)().get_params()
        return all(v in (default.get_params()[k], plain[k]) for k, v in given.items())
    return bool(text) and ast.literal_eval(text) == default


@each_class
def test_documented_defaults_are_those_of_the_signature(cls):
    for name, (kind, _) in entries(cls).items():
        assert says(kind, own_fields(cls)[name].default), (name, kind)


@each_class
def test_an_objective_has_the_defaults_of_its_estimator(cls):
    objective = objective_of(cls)
    own = own_fields(cls)
    for name, field in own_fields(objective).items():
        assert own[name].default is field.default, name
        assert own[name].metadata["rule"] is field.metadata["rule"], name
    documented = entries(objective)
    assert list(documented) == list(inspect.signature(objective).parameters)
    for name, (kind, _) in documented.items():
        assert says(kind, own[name].default), (name, kind)


@each_class
def test_defaults_are_allowed_and_go_together(cls):
    model = cls()
    assert set(resolved(model)) == set(inspect.signature(cls).parameters)
    model._resolved()


@each_class
def test_defaults_cannot_be_changed_by_accident(cls):
    """They are shared by all objects of the class."""
    for name, field in own_fields(cls).items():
        assert not isinstance(field.default, list | dict | set), name


# ---------------------------------------------------------------- parts


@each_part
def test_a_part_is_described(part):
    documented = entries(part)
    fields = own_fields(part)
    assert list(documented) == list(fields)
    for name, (kind, text) in documented.items():
        assert says(kind, fields[name].default), (name, kind)
        assert text


@each_part
def test_the_first_field_of_a_part_is_its_short_form(part):
    first = next(iter(inspect.signature(part).parameters.values()))
    assert first.kind is first.POSITIONAL_OR_KEYWORD
    assert all(
        p.kind is p.KEYWORD_ONLY for p in list(inspect.signature(part).parameters.values())[1:]
    )


def test_names_in_parts_have_one_kind():
    """The first field, which says which, may be a name in one part and a callable in another."""
    kinds = {}
    for part in PARTS:
        for name, field in list(own_fields(part).items())[1:]:
            kinds.setdefault(name, set()).add(kind_of(field))
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


@each_class
def test_no_more_than_three_levels(cls):
    """Between an estimator and scikit-learn's BaseEstimator."""
    levels = [c for c in cls.__mro__[1:] if issubclass(c, Estimator)]
    assert len(levels) <= 3, levels


def test_the_table_of_all_parameters_is_whole():
    """The docstring of `repkit.base` names every parameter once."""
    import repkit.base

    listed = re.findall(r"^([a-z_0-9]+) : ", repkit.base.__doc__, flags=re.M)
    wanted = {name for cls in CLASSES for name in inspect.signature(cls).parameters}
    assert len(listed) == len(set(listed))
    assert set(listed) == wanted
