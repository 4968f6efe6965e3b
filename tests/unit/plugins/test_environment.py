"""The same versions on the nodes as here."""

from __future__ import annotations

import importlib.metadata
import re

import pytest
from pydantic import ValidationError

from spotcluster.plugins import environment
from spotcluster.plugins.pypackages import PyPkgInstaller


def test_what_is_installed_here_is_pinned() -> None:
    lines = environment.constraints().splitlines()
    assert f"numpy=={importlib.metadata.version('numpy')}" in lines
    assert lines == sorted(
        lines, key=lambda line: re.sub(r"[-_.]+", "-", line.split("=")[0]).lower()
    )


def test_package_with_a_version_of_the_users_is_not_pinned() -> None:
    names = [line.split("==")[0] for line in environment.constraints(["NumPy"]).splitlines()]
    assert "numpy" not in names
    assert "psutil" in names


def test_what_was_not_installed_from_an_index_constrains_nothing() -> None:
    assert not any(
        line.startswith("spotcluster==") for line in environment.constraints().splitlines()
    )


def test_packages_are_read_from_a_comma_list() -> None:
    plugin = PyPkgInstaller.model_validate({"packages": "scikit-learn, psutil,\n pandas>=2 "})
    assert plugin.packages == ("scikit-learn", "psutil", "pandas>=2")


@pytest.mark.parametrize("bad", ["--index-url=http://x", "a b", "x;rm -rf /", "$(id)"])
def test_what_is_no_requirement_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError, match="not a requirement"):
        PyPkgInstaller.model_validate({"packages": bad})
