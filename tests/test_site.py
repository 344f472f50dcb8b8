"""The site, without building it: names, links and examples are there. CI builds it."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SITE = ROOT / ".site"
PAGES = sorted(SITE.glob("*.rst"))
EXAMPLES = sorted(SITE.glob("examples/*/plot_*.py"))
CONF = (SITE / "conf.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def making():
    sys.path.insert(0, str(SITE))
    try:
        yield import_module("making")
    finally:
        sys.path.remove(str(SITE))


def test_the_reference_has_all_public_names(making):
    listed = {n for kinds in making.public().values() for names in kinds.values() for n in names}
    rooms = {path.parent.name for path in (ROOT / "repkit").glob("[a-z]*/__init__.py")}
    rooms |= {path.stem for path in (ROOT / "repkit").glob("[a-z]*.py")}
    assert len(rooms) > 15
    for room in rooms - {"cli"}:  # a command, which has a page of its own
        module = import_module(f"repkit.{room}")
        if module.__all__:
            assert set(module.__all__) <= listed, room


def test_pages_made_from_the_readmes_find_their_sections(making):
    readme, benchmarks = ROOT / "README.md", ROOT / "benchmarks" / "README.md"
    made = making.table(making.section(readme, "Results"))
    assert made.count("* -") == 9  # a head, seven systems and what is put around one
    assert "``DANN``" in made
    chosen = making.table(
        making.section(benchmarks, "Choosing without labels: `choosing`"), ("", "regret")
    )
    assert "   * - EnsV\n     - 0.049\u00a0±\u00a00.006\n" in chosen
    guarding = making.section(benchmarks, "The guard and the search: `guarding`")
    assert "AdaptationSearch" in guarding
    assert "0.1.0" in making.section(readme, "Changes")


def test_links_between_pages_and_examples_lead_somewhere(making):
    made = {"/gallery/index", "/api/index"}
    made |= {f"/gallery/{p.parent.name}/{p.stem}" for p in EXAMPLES}
    made |= {f"/{p.stem}" for p in PAGES}
    for path in [*PAGES, *EXAMPLES]:
        text = path.read_text(encoding="utf-8")
        for link in re.findall(r":doc:`(?:[^`<]*<)?([\w/-]+)>?`", text):
            assert f"/{link.lstrip('/')}" in made, f"{path.name}: {link}"
        for image in re.findall(
            r"image:: /gallery/(\w+)/images/sphx_glr_(plot_\w+)_\d+\.png", text
        ):
            assert f"/gallery/{'/'.join(image)}" in made, f"{path.name}: {image}"
        for name in re.findall(r"made/(\w+)\.inc", text):
            assert f'"made/{name}.inc"' in Path(making.__file__).read_text(encoding="utf-8")


def test_every_system_and_every_kind_of_user_has_an_example():
    assert len(EXAMPLES) >= 14
    code = {path: path.read_text(encoding="utf-8") for path in EXAMPLES}
    systems = [
        "DANN",
        "DANNRegressor",
        "VAE",
        "VAEGAN",
        "BiGAN",
        "InfoGAN",
        "TripleGAN",
        "SpeechAutoencoder",
    ]
    for system in systems:
        assert any(re.search(rf"\b{system}\(", text) for text in code.values()), system
    sections = re.search(r"SECTIONS = \((.*?)\)", CONF)[1]
    assert re.findall(r'"(\w+)"', sections) == [
        "adaptation", "images", "tables", "speech", "tools"
    ]  # fmt: skip
    assert {path.parent.name for path in EXAMPLES} == set(re.findall(r'"(\w+)"', sections))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_short_and_begin_with_a_title(path):
    text = path.read_text(encoding="utf-8")
    title, line, blank, *_ = text.removeprefix('"""').splitlines()
    assert set(line) == {"="}
    assert len(line) == len(title)
    assert blank == ""
    assert len(text.splitlines()) <= 120
    assert "repkit._" not in text


def test_the_checker_of_links_finds_what_is_broken(tmp_path):
    sys.path.insert(0, str(SITE))
    try:
        broken = import_module("check_links").broken
    finally:
        sys.path.remove(str(SITE))
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="#here"><a href="b.html#there"><a href="https://example.org/x">'
    )
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html">')
    assert broken(tmp_path) == []
    (tmp_path / "b.html").write_text('<a href="c.html"><a href="https://x"><img src="d.png">')
    assert broken(tmp_path) == [
        "a.html: b.html#there leads to no place in its page",
        "b.html: c.html leads to no file",
        "b.html: d.png leads to no file",
        "b.html: https://x is no address",
    ]
