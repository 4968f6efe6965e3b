"""How far a copy is: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from spotcluster.cli import bars, output


def test_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(bars.time, "monotonic", lambda: now)
    with bars.Bar() as bar:
        bar.total(2, 4_000_000)
        for now in (1.0, 6.0, 7.0, 12.0):  # noqa: B007 - the clock
            bar.moved(500_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "[   6.0 s] 1 MB of 4 MB (25%), 167 kB/s, 18 s left",
        "[  12.0 s] 2 MB of 4 MB (50%), 167 kB/s, 12 s left",
    ]
    assert bar.seconds == 12.0


def test_bar_on_a_terminal_shows_bytes_and_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        output, "err", Console(file=screen, force_terminal=True, width=100, color_system=None)
    )
    with bars.Bar() as bar:
        bar.total(1, 4_000_000)
        bar.moved(1_000_000)
        bar.moved(3_000_000)
    assert "1 file" in screen.getvalue()
    assert "4.0/4.0 MB" in screen.getvalue()


def test_nothing_to_do_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with bars.Bar() as bar:
        bar.total(0, 0)
    assert capsys.readouterr().err == ""
