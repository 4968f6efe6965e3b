"""The rooms of the house: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "spotcluster"
ROOMS = ("cli", "config", "aws", "ssh", "cluster", "search", "local", "plugins", "templates")

# What each room may import of the others. Beside them are modules that all may use, such as errors.
ARROWS = {
    "cli": {"cluster", "config", "aws", "ssh", "search", "local", "templates"},
    "cluster": {"aws", "ssh", "plugins", "config", "templates"},
    "config": {"plugins"},
    "plugins": {"templates"},
    "aws": {"local"},  # the one place that makes clients asks where the local endpoint is
    "ssh": set(),
    "search": set(),
    "local": set(),
    "templates": set(),
}
OWNERS = {
    "boto3": "aws",
    "botocore": "aws",
    "paramiko": "ssh",
    "moto": "local",
    "asyncssh": "local",
}


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def modules(room: str) -> list[Path]:
    return sorted((HOUSE / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_the_rooms_it_may(room: str) -> None:
    assert modules(room), f"the room {room} is empty"
    wrong = [
        f"{path.relative_to(HOUSE)} imports {name}"
        for path in modules(room)
        for name in imports(path)
        if name.startswith("spotcluster.")
        and (other := name.split(".")[1]) in ROOMS
        and other not in {room, *ARROWS[room]}
    ]
    assert not wrong


@pytest.mark.parametrize(("library", "owner"), OWNERS.items())
def test_library_is_imported_by_its_room_only(library: str, owner: str) -> None:
    wrong = [
        f"{path.relative_to(HOUSE)} imports {name}"
        for room in (*ROOMS, "")
        if room != owner
        for path in (modules(room) if room else sorted(HOUSE.glob("*.py")))
        for name in imports(path)
        if name.split(".")[0] == library
    ]
    assert not wrong


def test_help_answers_without_heavy_imports() -> None:
    script = (
        "import sys, contextlib, io\n"
        "from spotcluster.cli.main import run\n"
        "for words in (['--help'], ['start', '--help'], ['help', 'addnode']):\n"
        "    with contextlib.redirect_stdout(io.StringIO()): assert run(words) == 0\n"
        "heavy = {'boto3', 'botocore', 'paramiko', 'moto', 'numpy', 'sklearn', 'ipyparallel',"
        " 'asyncssh', 'joblib', 'zmq'}\n"
        "print(','.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""
