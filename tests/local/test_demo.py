"""The demo, as somebody sees it who has just installed spotcluster."""

from __future__ import annotations

import re
from pathlib import Path

from clouds import nothing_is_left
from commands import cli

from spotcluster import local

TABLE = """
  1. 0.99022  {C 1, gamma 0.001}
  2. 0.98889  {C 10, gamma 0.001}
  3. 0.98889  {C 100, gamma 0.001}
  4. 0.98756  {C 10, gamma 0.0001}
  5. 0.98711  {C 100, gamma 0.0001}
"""


def test_demo_finds_the_five_best_while_nodes_come_and_go(spotcluster_home: Path) -> None:
    said = cli("demo")
    assert TABLE in said
    counts = dict(re.findall(r"^  (master|node\d+) +(\d+)", said, re.MULTILINE))
    assert set(counts) == {"master", "node001", "node002", "node003"}
    assert sum(int(number) for number in counts.values()) == 100
    assert "node003" in said
    assert "Lost: none" in said
    assert "EC2 says that of 'demo' there is nothing left." in said
    nothing_is_left(spotcluster_home)


def test_kept_demo_says_what_to_type_next_and_that_works(spotcluster_home: Path) -> None:
    try:
        said = cli("demo", "--keep")
        for line in said.splitlines():
            words = line.split()
            if words[:1] == ["spotcluster"] and "sshmaster" in words:
                assert cli(*words[1:], "echo here").strip() == "here"
            elif words[:1] == ["spotcluster"] and "stop" not in words:
                cli(*words[1:], *(["-y"] if "terminate" in words else []))
        assert "running" not in cli("-r", "local", "listclusters")
    finally:
        local.stop()
    nothing_is_left(spotcluster_home)
