"""The public surface of the package."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import spotcluster
from spotcluster.cluster.connect import connect

ROOT = Path(__file__).parents[2]


def test_exports_what_it_says() -> None:
    assert spotcluster.__all__ == [
        "Account",
        "Cluster",
        "__version__",
        "connect",
        "connect_dask",
        "plan",
        "start",
    ]
    assert set(spotcluster.__all__) <= set(dir(spotcluster))
    for name in spotcluster.__all__:
        assert getattr(spotcluster, name)
    assert spotcluster.connect is connect


BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))
OURS = {"spotcluster", *(path.stem for path in (ROOT / "tests").iterdir())}


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_imported_a_module_that_was_gone(path: Path) -> None:
    """mypy does not see them, and whoever moves something does not run all of them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in OURS:
            module = importlib.import_module(str(node.module))
            for name in (one.name for one in node.names):
                if not hasattr(module, name):  # then it is a module itself
                    importlib.import_module(f"{node.module}.{name}")


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    form = rf"{re.escape(spotcluster.__version__)} \((not released|\d{{4}}-\d\d-\d\d)\)"
    assert re.fullmatch(form, headings[0])


def test_a_wheel_made_from_the_source_distribution_has_all_that_is_here(tmp_path: Path) -> None:
    """Plugins and templates too, which are links; and types, for those who check theirs."""
    build(ROOT, "sdist", tmp_path)
    (source,) = tmp_path.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", source, "-C", tmp_path], check=True)
    build(tmp_path / source.name.removesuffix(".tar.gz"), "wheel", tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    made = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("spotcluster/")}

    assert made == belonging("spotcluster") | belonging("plugins") | belonging("templates")
    assert "spotcluster/py.typed" in made


def build(tree: Path, target: str, into: Path) -> None:
    """Build a distribution as pip does, with the tools of this environment."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)


def belonging(folder: str) -> set[str]:
    """Return where each file of a folder belongs in the package; links are not followed."""
    files = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    package = Path("spotcluster") if folder != "spotcluster" else Path()
    return {
        str(package / path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts
    }
