"""Jobs, what has happened, and what was done from here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from spotcluster.dashboard.snapshot import Doing, Happening, JobRow, clock
from spotcluster.dashboard.tables import Cell, Column, Table
from spotcluster.dashboard.views import words

_TONES = {"done": "good", "running": "good", "failed": "bad", "lost": "bad", "cancelled": "warn"}
_DAY = 24 * 3600.0


def moment(when: float | None, now: float) -> str:
    """Return when something was: the time of the day, with the date unless it is today's."""
    if when is None:
        return words.NONE
    if now - when < _DAY:
        return clock(when)
    return f"{datetime.fromtimestamp(when):%Y-%m-%d %H:%M}"


JOBS: Table[JobRow] = Table(
    [
        Column("job", "Job", lambda one: one.id, lambda one: Cell(str(one.id)), number=True),
        Column(
            "state",
            "State",
            lambda one: one.state,
            lambda one: Cell(one.state, _TONES.get(one.state, "quiet")),
        ),
        Column("command", "Command", lambda one: one.command, lambda one: Cell(one.command)),
        Column(
            "started",
            "Started",
            lambda one: one.started,
            lambda one: Cell(
                words.NONE
                if one.started is None
                else f"{datetime.fromtimestamp(one.started):%m-%d %H:%M:%S}"
            ),
        ),
        Column(
            "took",
            "Time",
            lambda one: one.seconds,
            lambda one: Cell(words.span(one.seconds)),
            number=True,
        ),
        Column(
            "status",
            "Exit status",
            lambda one: one.status,
            lambda one: Cell(words.NONE if one.status is None else str(one.status)),
            number=True,
        ),
    ],
    id=lambda one: str(one.id),
    words=lambda one: f"{one.id} {one.state} {one.command}",
    empty="It has had no job; `spotcluster run` runs one.",
)

EVENTS: Table[tuple[Happening, float]] = Table(
    [
        Column("time", "Time", lambda one: one[0].at, lambda one: Cell(moment(one[0].at, one[1]))),
        Column("what", "What", lambda one: one[0].text, lambda one: _what(one[0])),
    ],
    id=lambda one: f"{one[0].at} {one[0].text}",
    words=lambda one: one[0].text,
    empty="Nothing has happened since this dashboard was started.",
    rows=12,
)


def _what(one: Happening) -> Cell:
    return Cell(one.text, one.tone or "quiet")


def doings(of: tuple[Doing, ...], now: float) -> list[dict[str, Any]]:
    """Return the commands, the latest first."""
    found = []
    for one in of:
        if one.ended is None:
            state, tone = f"running for {words.span(now - one.started)}", "warn"
        elif one.status == 0:
            state, tone = f"done at {clock(one.ended)}", "good"
        else:
            state, tone = f"failed at {clock(one.ended)} (exit status {one.status})", "bad"
        found.append(
            {
                "number": one.number,
                "title": one.title,
                "command": one.command,
                "state": state,
                "tone": tone,
                "output": one.output,
            }
        )
    return found
