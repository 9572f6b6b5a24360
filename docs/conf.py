"""Sphinx configuration: `uv run --group docs sphinx-build -W -b html docs docs/_build`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import attribution

project = "kpi-attribution"
author = "The kpi-attribution authors"
copyright = "the kpi-attribution authors"
version = release = attribution.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "names",
    "schemas",
]
# The gallery writes notebooks beside its pages, which are no pages themselves.
exclude_patterns = ["_build", "_ext", "_gallery", "gallery/*.ipynb"]

# Pages. The outputs they show are checked by tests/test_docs.py, so nothing runs in the build.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

# The chart gallery runs in the build: a picture per file, from data of a few lines.
sphinx_gallery_conf = {
    "examples_dirs": "_gallery",
    "gallery_dirs": "gallery",
    "image_scrapers": ("pictures.scrape",),
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "min_reported_time": 1e9,
    "show_signature": False,
    "write_computation_times": False,
}

# Reference.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_title = f"kpi-attribution {release}"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_show_sphinx = False
html_copy_source = False
# A page opened from a folder may not fetch others, and the search works without their excerpts.
html_show_search_summary = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
