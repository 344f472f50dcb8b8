"""Settings of the site: ``python -m sphinx -W --keep-going .site .site/_build``."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path
from typing import Any

# One thread a process: the examples' networks are small, and two run at once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

import making  # noqa: E402

from repkit import __version__  # noqa: E402

project = "repkit"
author = "the repkit developers"
copyright = "the repkit developers"
version = release = __version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "examples", "made"]
default_role = "autolink"  # `name` is a link where there is something of that name
suppress_warnings = ["config.cache"]  # settings of the gallery hold functions

# ---------------------------------------------------------------- reference

autosummary_generate = True
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the docstrings name types in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

nitpicky = True
nitpick_ignore_regex = [
    (r"py:obj", r"[a-z_]+"),  # a parameter in single backticks
    # Other packages' things. The site is built without a network, so they are not looked up.
    (r"py:.*", r"(numpy|np|torch|nn|sklearn|pandas|matplotlib|scipy|skada|umap)(\..*)?"),
]


def is_ours(thing: Any) -> bool:
    """Whether something is defined in the package, and not inherited from another one."""
    thing = inspect.unwrap(getattr(thing, "fget", thing) or thing)
    return str(getattr(thing, "__module__", "")).partition(".")[0] == "repkit"


def skip(app: Any, what: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what scikit-learn and Python give to every estimator; see their documentation."""
    if what == "class" and (inspect.isroutine(thing) or isinstance(thing, property)):
        return True if not is_ours(thing) else None
    return None


# ---------------------------------------------------------------- examples


PROCESSES = int(os.environ.get("SITE_PROCESSES", "2"))
SECTIONS = ("adaptation", "images", "tables", "speech", "tools")
sphinx_gallery_conf = {
    "examples_dirs": ["examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"plot_",
    "subsection_order": [f"examples/{name}" for name in SECTIONS],
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "reset_modules": ("matplotlib", "making.prepare"),
    "parallel": PROCESSES if PROCESSES > 1 else False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "min_reported_time": 0,
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("repkit",),
    "inspect_global_variables": False,
}

# ---------------------------------------------------------------- looks

html_theme = "pydata_sphinx_theme"
html_title = "repkit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options: dict[str, Any] = {
    "logo": {"text": "repkit"},
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
}
html_sidebars = {page: [] for page in ("index", "changes", "moving", "which", "curves", "choosing")}


def setup(app: Any) -> None:
    """Connect what is above, and make the reference before its pages are looked for."""
    making.make()
    app.connect("autodoc-skip-member", skip)
