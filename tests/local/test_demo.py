"""The demo, as somebody sees it who has just installed spotcluster."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import programs
import psutil
import pytest
from commands import PROGRAM, cli
from terminal import Terminal

from spotcluster import local

OF_LITTLE = (sys.executable, str(Path(__file__).with_name("demo_of_little.py")))
TABLE = """
  1. 0.99022  {C 1, gamma 0.001}
  2. 0.98889  {C 10, gamma 0.001}
  3. 0.98889  {C 100, gamma 0.001}
  4. 0.98756  {C 10, gamma 0.0001}
  5. 0.98711  {C 100, gamma 0.0001}
"""


def nothing_is_left(home: Path) -> None:
    """Hold that the demo's local cloud has ended, and every process below its folder."""
    assert not local.status().running
    left = [
        process.info
        for process in psutil.process_iter(["pid", "cmdline"])
        if str(home) in " ".join(process.info["cmdline"] or ())
    ]
    assert left == []


def check_report(said: str) -> None:
    """Hold what the demo says at its end."""
    assert TABLE in said
    by_node = said.partition("Evaluations by node:")[2]
    counts = dict(re.findall(r"^  (master|node\d+) +(\d+)", by_node, re.MULTILINE))
    assert set(counts) == {"master", "node001", "node002", "node003"}
    assert sum(int(number) for number in counts.values()) == 100
    assert re.search(r"node003 +\d+  joined while it ran", by_node)
    assert "Lost: none" in said


@pytest.fixture(scope="module")
def kept(module_home: Path) -> Iterator[str]:
    """Give what a terminal shows at the end of a demo that is kept; end what it leaves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTCLUSTER_HOME", str(module_home))
        try:
            said, status = Terminal([*PROGRAM, "demo", "--keep"], rows=30, columns=100).shown()
            assert status == 0, said
            yield said
        finally:
            local.stop()
            nothing_is_left(module_home)


def test_end_of_the_demo_was_wiped_from_the_screen(kept: str, module_home: Path) -> None:
    """It was printed below a table that is drawn anew: all but its first lines were gone."""
    check_report(kept)
    picture = module_home / "pictures" / "demo.png"
    assert str(picture) in kept.replace("\n", "")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "The bid of" not in kept  # it warned of a bid of its own


def test_kept_demo_says_what_to_type_next_and_that_works(
    kept: str, module_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(module_home))
    typed = []
    for line in kept.partition("The cluster is kept. Next:")[2].splitlines():
        words = line.split()
        if words[:1] == ["spotcluster"] and "sshmaster" in words:
            assert cli(*words[1:], "echo here").strip() == "here"
        elif words[:1] == ["spotcluster"] and "stop" not in words:
            cli(*words[1:], *(["-y"] if "terminate" in words else []))
        typed += words[3:4]
    assert {"listclusters", "sshmaster", "addnode", "terminate"} <= set(typed)
    assert "running" not in cli("-r", "local", "listclusters")


def test_demo_that_finds_something_else_says_so_and_leaves_nothing(spotcluster_home: Path) -> None:
    done = programs.run([*OF_LITTLE, "demo"])
    assert done.returncode == 1, done.stderr
    assert "This is not what the search should have found:" in done.stderr
    assert "Lost: none" in done.stdout
    assert "EC2 says that of 'demo' there is nothing left." in done.stdout
    assert "  spotcluster demo --keep  " in done.stdout.partition("Next:")[2]
    nothing_is_left(spotcluster_home)


@pytest.mark.parametrize("moment", ["master: set-up", "node003: launch", "node001: draining"])
def test_interrupted_demo_cleans_up(spotcluster_home: Path, tmp_path: Path, moment: str) -> None:
    with (
        (tmp_path / "out").open("w") as out,
        programs.spoken([*OF_LITTLE, "demo"], stdout=out) as (program, lines),
    ):
        for line in lines:
            if moment in line:
                program.send_signal(signal.SIGINT)
                break
        err = "".join(lines)
        assert program.wait(240) == 130, err
    assert "Traceback" not in err
    assert "EC2 says that of 'demo' there is nothing left." in (tmp_path / "out").read_text()
    nothing_is_left(spotcluster_home)
