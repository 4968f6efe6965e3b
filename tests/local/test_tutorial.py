"""The tutorial, executed as by somebody who has just installed spotcluster."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import packages
import psutil
import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
PICTURES = 6
ORDINARY = "nobody"


def runner() -> Any:
    """Load docs/run_tutorial.py, which is no module of the package."""
    spec = importlib.util.spec_from_file_location("run_tutorial", ROOT / "docs" / "run_tutorial.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def able_to_run(python: str, user: str | None) -> bool:
    """Say whether the user can run this Python, and it is the version that this one is."""
    code = "import sys, venv; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, user=user)
    except OSError:
        return False
    return done.stdout.split() == [str(part) for part in sys.version_info[:2]]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Give a new folder, which root would share with an ordinary user."""
    made = Path(tempfile.mkdtemp(prefix="sc-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def user(folder: Path) -> str | None:
    """Return who executes it: an ordinary user, where there is root to become one."""
    if os.getuid() != 0:
        return None
    entry = pwd.getpwnam(ORDINARY)
    home = folder / "home"
    home.mkdir()
    os.chown(home, entry.pw_uid, entry.pw_gid)
    return ORDINARY


@pytest.fixture(scope="module")
def python(folder: Path, user: str | None) -> Path:
    """Make a new environment, with nothing but what the tutorial says to install."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    known = [sys.executable, *(f"{place}/{name}" for place in ("/usr/local/bin", "/usr/bin"))]
    fit = [one for one in known if able_to_run(one, user)]
    if not fit:
        pytest.skip(f"{user} can run none of {', '.join(known)}")
    uv = find_uv_bin()
    made = folder / "env"
    subprocess.run([uv, "venv", "--quiet", "--python", fit[0], str(made)], check=True)
    installed = [uv, "pip", "install", "--quiet", "--python", str(made / "bin" / "python")]
    subprocess.run([*installed, f"{ROOT}[tutorial]"], check=True)
    (place,) = made.glob("lib/python3*/site-packages")
    packages.bring_bytecode(place)
    if user:  # or what each process imports, it would compile, as it could keep nothing of it
        own = pwd.getpwnam(user)
        for place, _, _ in os.walk(made):
            os.chown(place, own.pw_uid, own.pw_gid)
    return made / "bin" / "python"


@pytest.fixture(scope="module")
def executed(folder: Path, user: str | None, python: Path) -> nbformat.NotebookNode:
    """Execute the notebook from the first cell to the last; return it with what it showed."""
    docs = folder / "docs"
    docs.mkdir()
    for name in ("tutorial.ipynb", "run_tutorial.py"):
        shutil.copy(ROOT / "docs" / name, docs)
    home = folder / "home" if user else folder
    done = subprocess.run(
        [str(python), str(docs / "run_tutorial.py"), str(home / "executed.ipynb")],
        cwd=home,
        env={"PATH": os.defpath, "HOME": str(home), "LANG": "C.UTF-8", **_network()},
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        capture_output=True,
        text=True,
        timeout=2400,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return nbformat.read(home / "executed.ipynb", as_version=4)


def _network() -> dict[str, str]:
    """Return how packages are reached from here, as a shell of that user would know it."""
    names = ("PIP_", "UV_INDEX", "UV_DEFAULT_INDEX", "SSL_CERT", "REQUESTS_CA")
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(names) or name.lower().endswith("_proxy")
    }


@pytest.mark.timeout(3000)
def test_every_cell_of_the_tutorial_works(executed: nbformat.NotebookNode) -> None:
    cells = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert len(cells) > 50
    assert all(cell.execution_count for cell in cells)


def test_tutorial_shows_what_is_printed_in_it(executed: nbformat.NotebookNode) -> None:
    shown = runner().shown
    committed = nbformat.read(NOTEBOOK, as_version=4)
    pairs = [
        (was, now)
        for was, now in zip(committed.cells, executed.cells, strict=True)
        if "same" in was.metadata.get("tags", ())
    ]
    assert len(pairs) > 20
    for was, now in pairs:
        assert shown(now) == shown(was), was.source


def test_tutorial_finds_what_the_lecture_found(executed: nbformat.NotebookNode) -> None:
    table = """\
0.99022  C=1 gamma=0.001
0.98889  C=10 gamma=0.001
0.98889  C=100 gamma=0.001
0.98756  C=10 gamma=0.0001
0.98711  C=100 gamma=0.0001
"""
    said = [
        "".join(one.get("text", "") for one in cell.get("outputs", ())) for cell in executed.cells
    ]
    assert sum(table in text for text in said) == 3  # by hand, as a search, on the cluster


def test_pictures_of_the_tutorial_are_made_by_it(executed: nbformat.NotebookNode) -> None:
    for notebook in (executed, nbformat.read(NOTEBOOK, as_version=4)):
        outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
        pictures = [one for one in outputs if "image/png" in one.get("data", {})]
        assert len(pictures) == PICTURES


def test_tutorial_leaves_no_process(executed: nbformat.NotebookNode, folder: Path) -> None:
    left = [
        process.info
        for process in psutil.process_iter(["pid", "cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or ())
    ]
    assert left == []
