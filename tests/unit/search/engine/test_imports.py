"""The imports of a new engine, which are done beside other things."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spotcluster.search.engine import here, imports

WAITS = """
import time
from pathlib import Path
end = time.monotonic() + 60
while not Path({gate!r}).exists() and time.monotonic() < end:
    time.sleep(0.01)
done = True
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Makes modules that can be imported."""
    names = []
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imports, "_under_way", None)

    def make(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)

    yield make
    (tmp_path / "gate").touch()
    imports.finish()
    for name in names:
        sys.modules.pop(name, None)


def test_an_engine_that_is_asked_who_it_is_answers_and_imports_meanwhile(
    module: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    module("that_waits", WAITS.format(gate=str(tmp_path / "gate")))
    assert here.probe("bundle", ["that_waits"])["node"]
    assert not hasattr(sys.modules.get("that_waits"), "done")
    here.probe("bundle", ["that_waits"])  # another search may ask as well
    (tmp_path / "gate").touch()
    imports.finish()
    assert sys.modules["that_waits"].done


def test_what_cannot_be_imported_keeps_nothing_else_from_it(
    module: Callable[[str, str], None], tmp_path: Path
) -> None:
    module("that_ends", "raise SystemExit")
    module("that_works", "")
    imports.begin(["that_ends", "that_is_not_there", "that_works"], tmp_path / "turns")
    imports.finish()
    assert "that_works" in sys.modules
    assert "that_ends" not in sys.modules


def test_hosts_that_share_a_home_do_not_wait_for_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[Path] = []
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(tmp_path))
    monkeypatch.setattr(imports, "begin", lambda _, path: turns.append(path))
    for node in ("node001", "node001", "node002"):
        monkeypatch.setenv("SPOTCLUSTER_NODE", node)
        here.probe("bundle")
    assert turns[0] == turns[1] != turns[2]
    assert {path.parent for path in turns} == {tmp_path}


def test_what_fits_need_is_imported_though_nobody_has_begun(
    module: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    module("that_fits_need", "")
    monkeypatch.setattr(imports, "_ALWAYS", ("that_fits_need",))
    imports.finish()
    assert "that_fits_need" in sys.modules


def test_python_looks_for_no_garbage_while_all_is_new(
    module: Callable[[str, str], None], tmp_path: Path
) -> None:
    module("that_looks", "import gc\ncollects = gc.isenabled()")
    imports.begin(["that_looks"], tmp_path / "turns")
    imports.finish()
    assert not sys.modules["that_looks"].collects
    assert gc.isenabled()


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Another engine of the host, which imports until the fixture is called."""
    pytest.importorskip("fcntl")
    script = "import fcntl, sys; turns = open(sys.argv[1], 'ab')\n"
    script += "fcntl.lockf(turns, fcntl.LOCK_EX, 1, 0); print(flush=True); input()"
    line = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "turns")], stdin=line, stdout=line, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()

    def done() -> None:
        process.communicate("\n", timeout=60)

    yield done
    process.kill()
    process.communicate()


def test_no_more_engines_of_a_host_import_at_a_time_than_it_has_cores(
    module: Callable[[str, str], None],
    another: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[bool] = []
    is_free = imports._is_free

    def look(*args: Any) -> bool:
        looks.append(is_free(*args))
        return looks[-1]

    monkeypatch.setattr(imports, "_cores", lambda: 1)
    monkeypatch.setattr(imports, "_is_free", look)
    module("that_waits_its_turn", "")
    imports.begin(["that_waits_its_turn"], tmp_path / "turns")
    end = time.monotonic() + 60
    while len(looks) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    assert looks[:3] == [False] * 3
    assert "that_waits_its_turn" not in sys.modules
    another()
    imports.finish()
    assert looks[-1]
    assert "that_waits_its_turn" in sys.modules


@pytest.mark.usefixtures("another")
def test_an_engine_that_hangs_in_its_imports_does_not_keep_others_from_theirs(
    module: Callable[[str, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, "_cores", lambda: 1)
    monkeypatch.setattr(imports, "TURN", 0.1)
    module("that_waits_no_longer", "")
    imports.begin(["that_waits_no_longer"], tmp_path / "turns")
    imports.finish()
    assert "that_waits_no_longer" in sys.modules
