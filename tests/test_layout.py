"""The house: imports run one way, rooms stay small, and every module's tests bear its name."""

import ast
import inspect
import io
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

import repkit

PACKAGE = Path(repkit.__file__).parent
TESTS = Path(__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Which rooms each room may import from, besides itself. No order is left to chance: a room is a
# folder or a file of the package, and what is not in the table has no place.
LOW = {
    "_arguments",
    "_caller",
    "_importing",
    "_optional",
    "_processes",
    "_progress",
    "_random",
    "_version",
}
TOOLS = LOW | {"losses", "schedules", "augment", "metrics", "audio"}
CORE = {"engine", "nets", "losses", "schedules"}
PAPERS = {"bigan", "dann", "infogan", "speech", "triplegan", "vae", "vaegan"}
ROOMS = {
    **{room: set() for room in LOW},
    "_random": {"_arguments"},
    **dict.fromkeys(("losses", "schedules", "augment"), LOW),
    "audio": LOW,
    "metrics": LOW,
    "callbacks": LOW | {"metrics"},
    "datasets": LOW | {"audio"},
    "engine": LOW,
    "nets": LOW | {"engine"},
    "base": LOW | CORE,
    **dict.fromkeys(PAPERS, TOOLS | CORE | {"base"}),
    "loading": LOW | CORE | {"base"} | PAPERS,
    "hub": LOW | {"base", "loading"},
    "recipes": TOOLS | CORE | {"base"} | PAPERS,
    "words": TOOLS | {"recipes"} | PAPERS,
    "plots": TOOLS | CORE | {"base", "datasets", "loading"} | PAPERS,
    "distributed": LOW | {"base", "datasets", "loading"},
    "cli": TOOLS | {"datasets", "loading", "plots"},
    "__main__": {"cli"},
}
# Files in which a package must not be imported at all, not for type checks either.
WITHOUT = {
    "sklearn": [
        "engine/*.py",
        "nets/*.py",
        "losses/*.py",
        "schedules.py",
        "*/algorithm.py",
        "*/parts.py",
        "base/parameters.py",
    ],
    "torch": ["base/parameters.py"],
    "scipy": ["engine/*.py", "base/parameters.py"],
}
# Slow to import, or of an extra: only inside functions.
HEAVY = {
    "PIL",
    "huggingface_hub",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pandas",
    "pooch",
    "pyarrow",
    "ray",
    "rich",
    "seaborn",
    "soundfile",
    "torchaudio",
    "umap",
}

# Modules whose tests bear another name, and where they are. A leading underscore does not count.
ELSEWHERE = {
    "__main__": "cli/test_transcripts",
    "base/applying": "base/test_estimator",
    "base/reporting": "test_callbacks",
    "cli/app": "cli/test_commands",
    "cli/outputs": "cli/test_extracting",
    "datasets/_download": "datasets/test_fetch",
    "datasets/_images": "datasets/test_image_folders",
    "datasets/_phones": "datasets/test_synthetic_speech",
    "datasets/_sources": "datasets/test_fetch",
    "datasets/_tables": "datasets/test_table_files",
    "datasets/_voice": "datasets/test_synthetic_speech",
    "datasets/amazon": "datasets/test_tables",
    "recipes/*": "test_recipes",
    "datasets/gas": "datasets/test_tables",
    "datasets/office": "datasets/test_tables",
    "datasets/pacs": "datasets/test_tables",
    "losses/_checks": "test_bad_arguments",
    "metrics/_arrays": "metrics/test_metrics_package",
    "metrics/_blocks": "metrics/test_neighbors",
    "metrics/_domains": "metrics/test_scorers",
    "metrics/_feature_scorer": "metrics/test_scorers",
    "metrics/_probe": "metrics/test_probes",
    "metrics/source_scorers": "metrics/test_scorers",
    "metrics/disentanglement/*": "metrics/test_disentanglement",
    "metrics/speaker/_abx": "metrics/test_speaker_abx",
    "metrics/speaker/_dtw": "metrics/test_speaker_abx",
    "metrics/speaker/_pairs": "metrics/test_speaker_pairs",
    "metrics/speaker/_segments": "metrics/test_speaker_segments",
    "metrics/speaker/_verification": "speech/test_verification",
    "metrics/speaker/*": "metrics/test_speaker_report",
}

MOST_LINES = 400  # of code in a file: docstrings, comments and empty lines do not count
MOST_LEVELS = 3  # classes of ours between an estimator and scikit-learn's BaseEstimator
ESTIMATORS = [
    "DANN",
    "DANNRegressor",
    "VAE",
    "VAEGAN",
    "BiGAN",
    "InfoGAN",
    "SpeechAutoencoder",
    "TripleGAN",
]


def each(paths):
    """A test for each of these files."""
    ids = [str(path.relative_to(PACKAGE)) for path in paths]
    return pytest.mark.parametrize("path", paths, ids=ids)


every_source = each(SOURCES)


def name_of(path):
    """``base/estimator`` of that file."""
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def names_imported(nodes):
    """Full names of what import statements ask for; ``a.b`` for ``from a import b``, too."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(tree):
    """Rooms of the package that a file imports from, wherever the statement stands in it."""
    found = set()
    for name in names_imported(ast.walk(tree)):
        root, _, rest = name.partition(".")
        if root == "repkit" and rest:
            found.add(rest.partition(".")[0])
    return found - {"__version__"}


def at_the_top(tree):
    """Import statements that run when the module is imported."""
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        stack = [node]
        while stack:
            inner = stack.pop()
            yield inner
            if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                stack.extend(ast.iter_child_nodes(inner))


def test_the_walk_sees_imports():
    code = """
import a
import repkit.engine.batches as d
from repkit import nets, __version__
if TYPE_CHECKING:
    from repkit.base.labels import b
try:
    import c
finally:
    pass
def f():
    from repkit.dann import DANN
"""
    tree = ast.parse(code)
    assert rooms_imported(tree) == {"engine", "nets", "base", "dann"}
    top = {name.partition(".")[0] for name in names_imported(at_the_top(tree))}
    assert top == {"a", "c", "repkit"}
    assert {"engine", "metrics"} <= rooms_imported(parse(PACKAGE / "dann" / "monitor.py"))


# -------------------------------------------------------------------- imports


# The package's own file has the public names; it imports them on first use.
@each([path for path in SOURCES if room_of(path) != "__init__"])
def test_imports_run_one_way(path):
    room = room_of(path)
    assert room in ROOMS, f"{room} has no place in the table of rooms"
    # The command line takes what any user takes.
    public = set(repkit.__all__) if room == "cli" else set()
    wrong = rooms_imported(parse(path)) - ROOMS[room] - {room} - public
    assert not wrong, f"{room} must not import {sorted(wrong)}"


def test_rooms_have_an_order():
    """The table has no circle: rooms can be built one after the other."""
    built = set()
    while len(built) < len(ROOMS):
        ready = {room for room, needs in ROOMS.items() if needs <= built} - built
        assert ready, f"rooms in a circle: {sorted(set(ROOMS) - built)}"
        built |= ready


@each([path for path in SOURCES if path.name == "algorithm.py"])
def test_an_algorithm_imports_nothing_of_its_paper_but_values(path):
    """It reads like the paper's box: parts and codes beside it, not networks or the estimator."""
    own = {name for name in names_imported(ast.walk(parse(path))) if f".{room_of(path)}." in name}
    assert not {name for name in own if name.split(".")[2] in ("estimator", "monitor", "rows")}


@pytest.mark.parametrize("package", WITHOUT)
def test_what_does_without_a_package(package):
    files = {path for pattern in WITHOUT[package] for path in PACKAGE.glob(pattern)}
    assert len(files) >= len(WITHOUT[package])
    for path in files:
        found = {name.partition(".")[0] for name in names_imported(ast.walk(parse(path)))}
        assert package not in found, name_of(path)


@every_source
def test_slow_packages_are_imported_late(path):
    found = {name.partition(".")[0] for name in names_imported(at_the_top(parse(path)))}
    assert not found & HEAVY


def test_imports_load_nothing_slow():
    """One line after the other in a new process, and which of the slow packages each leaves."""
    lines = (
        "import repkit; dir(repkit); repkit.__version__",
        "import torch",  # loads some by itself, where they are installed, as does the next but one
        "import repkit.engine, repkit.nets, repkit.losses",
        "import sklearn.preprocessing",
        "from repkit import DANN, SpeechAutoencoder, TraversalDisplay, load",
    )
    slow = sorted(HEAVY | {"torch", "sklearn"})
    code = "".join(
        f"{line}\nimport sys; print(*set({slow}) & set(sys.modules))\n" for line in lines
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    alone, torch, networks, sklearn, names = (set(x.split()) for x in done.stdout.splitlines())
    assert alone == set()
    assert "sklearn" not in torch
    assert networks == torch
    assert names == sklearn


# -------------------------------------------------------------------- sizes


def lines_of_code(path):
    source = path.read_text(encoding="utf-8")
    text = set()
    for node in ast.walk(ast.parse(source)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node, clean=False):
            text |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    code = set()
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in layout | {tokenize.ENDMARKER}:
            code |= set(range(token.start[0], token.end[0] + 1))
    return len(code - text)


def test_what_counts_as_code(tmp_path):
    path = tmp_path / "x.py"
    path.write_text('"""Of the\n\nmodule."""\n\nx = (\n    1\n)  # so\n# or so\ny = """a\nb"""\n')
    assert lines_of_code(path) == 5


@every_source
def test_files_are_short(path):
    assert lines_of_code(path) <= MOST_LINES


@pytest.mark.parametrize("name", ESTIMATORS)
def test_few_levels_between_an_estimator_and_scikit_learn(name):
    """Along the one chain of estimator classes; mixins and an Objective are no level."""
    cls = getattr(repkit, name)
    between = [c for c in cls.__mro__ if issubclass(c, BaseEstimator)][1:-1]
    assert all(c.__module__.startswith("repkit.") for c in between)
    assert len(between) <= MOST_LEVELS
    for c in (cls, *between):  # a chain: each has one of the next as its base
        assert sum(issubclass(base, BaseEstimator) for base in c.__bases__) == 1


@pytest.mark.parametrize("name", ESTIMATORS)
def test_constructors_are_not_too_long(name):
    assert len(inspect.signature(getattr(repkit, name)).parameters) <= 30


# -------------------------------------------------------------------- tests and names


def place_of_tests(name):
    """Where the tests of a module stand: by its name, or by the table."""
    folder, _, module = name.rpartition("/")
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    return ELSEWHERE.get(f"{folder}/*", f"{folder}/test_{module.lstrip('_')}".lstrip("/"))


@each([path for path in SOURCES if path.name not in ("__init__.py", "_version.py")])
def test_every_module_has_tests_of_its_name(path):
    assert (TESTS / f"{place_of_tests(name_of(path))}.py").is_file()


def test_the_tables_name_what_is_there():
    for name, tests in ELSEWHERE.items():
        assert any(PACKAGE.glob(f"{name}.py")), name
        assert (TESTS / f"{tests}.py").is_file(), tests
    assert {room_of(path) for path in SOURCES} - {"__init__"} == set(ROOMS)
    homes = {getattr(repkit, name).__module__.split(".")[1] for name in ESTIMATORS}
    assert homes == PAPERS


def test_public_names():
    assert repkit.__all__ == sorted(repkit.__all__, key=lambda name: (not name.isupper(), name))
    assert set(repkit.__all__) <= set(dir(repkit))
    assert set(ESTIMATORS) <= set(repkit.__all__)
    for name in repkit.__all__:
        assert getattr(repkit, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'repkit' has no attribute 'GAN'"):
        repkit.GAN  # noqa: B018
