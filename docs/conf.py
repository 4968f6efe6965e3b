"""The site: `sphinx-build -W --keep-going docs site`, after `pip install 'spotcluster[docs]'`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generated
from sphinx.application import Sphinx

import spotcluster

project = "spotcluster"
author = "The spotcluster developers"
copyright = author  # noqa: A001 - Sphinx's name
version = release = spotcluster.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**.ipynb_checkpoints"]

html_theme = "furo"
html_title = "spotcluster"
html_copy_source = False
html_show_copyright = False

# The notebook shows what it showed when it was executed; the tests execute it, not the build.
nb_execution_mode = "off"
nb_merge_streams = True
myst_heading_anchors = 3
myst_links_external_new_tab = False

autodoc_typehints = "none"  # the docstrings have them in words
autodoc_member_order = "bysource"
autodoc_mock_imports: list[str] = []
napoleon_google_docstring = False
default_role = "py:obj"  # `GridSearchCV` in a docstring: a link where there is one, code elsewhere


def _fill(_: Sphinx, __: str, source: list[str]) -> None:
    source[0] = generated.fill(source[0])


def setup(app: Sphinx) -> None:
    """Put the generated parts into the pages that ask for them."""
    app.connect("source-read", _fill)
