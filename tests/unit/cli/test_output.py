"""What is printed is what was said."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from spotcluster.cli import output


def test_what_stands_between_two_colons_was_printed_as_a_picture() -> None:
    """As of rich's emoji: of ``arn:aws:key:x`` the third word."""
    for console in (output.out, output.err):
        with console.capture() as captured:
            console.print("arn:aws:key:x, 12:warning:30")
        assert captured.get() == "arn:aws:key:x, 12:warning:30\n"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Have standard error be a terminal; return what is written to it."""
    written = io.StringIO()
    monkeypatch.setattr(output, "err", Console(file=written, force_terminal=True, width=80))
    return written


def test_an_empty_line_stood_before_what_was_refused_before_there_was_a_node(
    terminal: io.StringIO,
) -> None:
    with output.progress():
        pass
    assert terminal.getvalue() == ""
    with output.progress() as reporter:
        reporter.note("first")
    assert terminal.getvalue() == "first\n"


def test_nodes_are_a_table_that_ends_with_its_last_line(terminal: io.StringIO) -> None:
    with output.progress() as reporter:
        reporter.stage("master", "launch")
        reporter.stage("master", "ready")
    assert "master" in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1
