"""What is shown in a notebook while something is done."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from spotcluster import notebooks
from spotcluster.api import reporting
from spotcluster.api.reporting import Shown, progress
from spotcluster.cluster.reporter import Quiet

EVIL = '<script>alert("x")</script>'


class Cell:
    """A notebook's cell, and the pages that were in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages: list[str] = []
        self.changed = threading.Condition()
        monkeypatch.setattr(notebooks, "is_here", lambda: True)
        monkeypatch.setattr(reporting, "_OFTEN", 0.001)
        monkeypatch.setattr("IPython.display.display", self._display)

    def _display(self, thing: Any, *, display_id: bool) -> Cell:
        assert display_id
        self.update(thing)
        return self

    def update(self, thing: Any) -> None:
        with self.changed:
            self.pages.append(thing.data)
            self.changed.notify_all()

    def until(self, words: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: words in self.pages[-1], 60)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    return Cell(monkeypatch)


def test_the_stage_of_each_node_is_shown(cell: Cell) -> None:
    with progress("starting mycluster", quiet=False) as reporter:
        reporter.stage("master", "ready")
        reporter.stage("node001", "launching")
        reporter.note("a note")
        reporter.failed("node002", "it broke")
        cell.until("it broke")  # while it is done, too
    assert cell.pages[-1] != cell.pages[0]
    for words in ("starting mycluster", "done", "1 of 3 ready", "launching", "a note", "it broke"):
        assert words in cell.pages[-1]


def test_one_that_fails_says_so(cell: Cell) -> None:
    with pytest.raises(ZeroDivisionError), progress("x", quiet=False) as reporter:
        reporter.stage("master", str(1 // 0))
    assert "stopped" in cell.pages[-1]


@pytest.mark.parametrize(("here", "quiet"), [(False, False), (True, True)])
def test_elsewhere_and_when_it_is_to_be_quiet_it_is_logged(
    cell: Cell,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    here: bool,
    quiet: bool,
) -> None:
    monkeypatch.setattr(notebooks, "is_here", lambda: here)
    caplog.set_level(logging.INFO)
    with progress("x", quiet=quiet) as reporter:
        assert type(reporter) is Quiet
        reporter.stage("master", "launching")
    assert cell.pages == []
    assert "master: launching" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_of_very_many_nodes_those_that_are_not_ready_are_shown(cell: Cell) -> None:
    with progress("x", quiet=False) as reporter:
        for number in range(100):
            reporter.stage(f"node{number:03}", "ready" if number < 99 else "launching")
    assert "99 of 100 ready" in cell.pages[-1]
    assert cell.pages[-1].count("<tr") == 2


def test_nothing_that_a_node_says_is_html() -> None:
    shown = Shown(EVIL)
    shown._stages = {EVIL: (EVIL, "")}
    shown._notes = [(EVIL, "")]
    assert "<script" not in shown.page(1.0)
