"""The rooms of the house: who may import whom."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "spotcluster"
ROOMS = ("cli", "api", "config", "aws", "ssh", "cluster", "search", "local", "plugins", "templates")
ROOMS += ("dashboard",)

# What each room may import of the others. Beside them are modules that all may use, such as errors.
ARROWS = {
    "cli": {
        *("api", "cluster", "config", "aws", "ssh", "search", "local", "templates", "dashboard"),
    },
    "api": {"cluster", "config", "aws", "ssh"},
    "dashboard": {"cluster", "search"},
    "cluster": {"aws", "ssh", "plugins", "config", "templates"},
    "config": {"plugins"},
    "plugins": {"templates"},
    "aws": {"local"},  # the one place that makes clients asks where the local endpoint is
    "ssh": set(),
    "search": set(),
    "local": set(),
    "templates": set(),
}
ENTRIES = {"local": 36}  # its own rooms are yet to be made
OWNERS = {
    "boto3": ("aws",),
    "botocore": ("aws", "local"),  # moto's too, in its process
    "paramiko": ("ssh",),
    "moto": ("local",),
    "asyncssh": ("local",),
    "bokeh": ("dashboard",),
    "tornado": ("dashboard",),
}


AS_TEXT = re.compile(r"""(?:resources\.files|assembly\.sources)\("(spotcluster[\w.]*)"\)""")


def package_of(path: Path) -> list[str]:
    return ["spotcluster", *path.relative_to(HOUSE).parent.parts]


@cache
def imports(path: Path) -> list[str]:
    """Return the dotted names that a module imports, or reads as text."""
    return [*_imports(path)]


def _imports(path: Path) -> Iterator[str]:
    text = path.read_text()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            own = package_of(path)
            above = own[: len(own) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{name.name}" for name in node.names)
    yield from AS_TEXT.findall(text)


def modules(room: str) -> list[Path]:
    return sorted((HOUSE / room).rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(HOUSE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def needs() -> dict[str, set[str]]:
    """Return for every module which modules it imports anywhere, also for types only."""
    known = {dotted(path): path for path in HOUSE.rglob("*.py")}
    # The public face imports `connect` when a user asks for it, and nobody asks the face.
    del known["spotcluster"]
    found: dict[str, set[str]] = {name: set() for name in known}
    for name, path in known.items():
        for imported in imports(path):
            target = imported if imported in known else imported.rpartition(".")[0]
            if target in known and target != name:
                found[name].add(target)
    return found


def entries_need(room: str) -> dict[str, set[str]]:
    """Return which of a room's entries (modules and sub-rooms) need which others of it."""
    inside = f"spotcluster.{room.replace('/', '.')}."
    found: dict[str, set[str]] = {}
    for name, needed in needs().items():
        if not name.startswith(inside):
            continue
        entry = name.removeprefix(inside).split(".")[0]
        others = {
            one.removeprefix(inside).split(".")[0] for one in needed if one.startswith(inside)
        }
        found.setdefault(entry, set()).update(others - {entry})
    return found


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def rooms_and_sub_rooms() -> list[str]:
    folders = {path.parent.relative_to(HOUSE) for path in HOUSE.rglob("*.py")} - {Path()}
    return sorted(map(str, folders))


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


@pytest.mark.parametrize(("library", "owners"), OWNERS.items())
def test_library_is_imported_by_its_rooms_only(library: str, owners: tuple[str, ...]) -> None:
    wrong = [
        f"{path.relative_to(HOUSE)} imports {name}"
        for room in (*ROOMS, "")
        if room not in owners
        for path in (modules(room) if room else sorted(HOUSE.glob("*.py")))
        for name in imports(path)
        if name.split(".")[0] == library
    ]
    assert not wrong


def test_no_module_needs_itself_in_a_circle() -> None:
    assert circle_in(needs()) == []


@pytest.mark.parametrize("room", rooms_and_sub_rooms())
def test_rooms_in_a_room_need_each_other_one_way(room: str) -> None:
    assert circle_in(entries_need(room)) == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_can_be_seen_at_a_glance(room: str) -> None:
    """At most so many entries, and a map of them that names each one."""
    for folder in [HOUSE / room, *(HOUSE / room).iterdir()]:
        if not (folder / "__init__.py").exists():
            continue
        entries = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
        entries |= {path.parent.name for path in folder.glob("*/__init__.py")}
        assert len(entries) <= ENTRIES.get(room, 20), folder
        told = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
        assert "::" not in told or [one for one in sorted(entries) if one not in told] == [], folder


def test_two_files_of_tests_with_one_name_cannot_be_run_together() -> None:
    """Of a folder that is no package pytest imports a file by its name alone."""
    files = [
        path
        for path in HOUSE.with_name("tests").rglob("test_*.py")
        if not (path.parent / "__init__.py").exists()
    ]
    times = Counter(path.name for path in files)
    assert [str(path) for path in files if times[path.name] > 1] == []


def test_relative_imports_were_not_counted() -> None:
    parts = HOUSE / "ssh" / "copying" / "manifest.py"
    assert "spotcluster.ssh.copying.wire" in {name.rpartition(".")[0] for name in imports(parts)}


def test_help_answers_without_heavy_imports() -> None:
    script = (
        "import sys, contextlib, io\n"
        "from spotcluster.cli.main import run\n"
        "for words in (['--help'], ['start', '--help'], ['help', 'addnode']):\n"
        "    with contextlib.redirect_stdout(io.StringIO()): assert run(words) == 0\n"
        "heavy = {'boto3', 'botocore', 'paramiko', 'moto', 'numpy', 'sklearn', 'ipyparallel',"
        " 'asyncssh', 'joblib', 'zmq', 'rich', 'pydantic'}\n"
        "print(','.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""
