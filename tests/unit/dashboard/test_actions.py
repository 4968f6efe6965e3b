"""What a page may ask for, and the command that it is."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from spotcluster.dashboard import actions
from spotcluster.dashboard.actions import Asked, Refused, Runner
from spotcluster.dashboard.snapshot import NodeRow, SearchRow, Snapshot

SEARCH = SearchRow("abc", "GridSearch", "running", 1, 6, None, None, 90.0, 100.0, (), ())
HERE = SearchRow(*("def", "GridSearch", "running", 1, 6, None, None, 90.0, 1.0, (), ()), here=True)


def node(alias: str) -> NodeRow:
    nothing = (None,) * 9
    return NodeRow(alias, "ready", "t", "z", True, alias == "master", *nothing, "", None)


SEEN = Snapshot(
    *("mycluster", "us-east-1", 0.0),
    nodes=(node("master"), node("node001")),
    searches=(SEARCH, HERE),
)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"do": "add", "count": "2", "bid": ""}, "addnode -s 2 mycluster"),
        ({"do": "add", "count": "2", "bid": "0.5"}, "addnode -s 2 -b 0.5 mycluster"),
        ({"do": "remove", "nodes": ["node001"]}, "removenode -y mycluster node001"),
        ({"do": "abort", "search": "def"}, "abort -y mycluster def"),
        ({"do": "postpone", "time": ""}, "autostop mycluster"),
        ({"do": "postpone", "time": "1.5 h"}, "autostop mycluster 1.5h"),
        ({"do": "terminate", "name": "mycluster"}, "terminate -y mycluster"),
    ],
)
def test_what_is_asked_for_is_a_command_of_ours(given: dict[str, Any], words: str) -> None:
    assert " ".join(actions.asked(given, SEEN).words) == words


@pytest.mark.parametrize(
    "given",
    [
        {"do": "format the disk"},
        {"do": "add", "count": "0"},
        {"do": "add", "count": "many"},
        {"do": "add", "count": "1", "bid": "nan"},
        {"do": "add", "count": "1", "bid": "-1"},
        {"do": "remove", "nodes": []},
        {"do": "remove", "nodes": "node001"},
        {"do": "remove", "nodes": ["master"]},
        {"do": "remove", "nodes": ["--help"]},
        {"do": "abort", "search": "none"},
        {"do": "abort", "search": "abc"},
        {"do": "postpone", "time": "--budget"},
        {"do": "terminate", "name": "another"},
        {"do": "terminate"},
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        actions.asked(given, SEEN)


def test_command_is_run_with_its_options_and_what_it_prints_is_shown() -> None:
    runner = Runner(["-r", "nowhere"])
    runner.run(Asked("Help", ("status", "--help")))
    end = time.monotonic() + 60
    while runner.doings()[0].ended is None and time.monotonic() < end:
        time.sleep(0.05)
    (doing,) = runner.doings()
    assert (doing.status, doing.command) == (0, "spotcluster -r nowhere status --help")
    assert "Show how a cluster does" in doing.output
    assert runner.close() == []


def test_command_that_goes_on_is_named_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/cat")  # which does not know `-m`
    runner = Runner([])
    runner.run(Asked("Help", ("status",)))
    process = runner._all[0].process
    assert process is not None
    process.wait(60)
    assert runner.doings()[0].status == 1
    monkeypatch.setattr(process, "poll", lambda: None)
    runner._all[0].ended = None
    assert runner.close() == ["spotcluster status"]
