"""Where the time of a start goes, as letters: what each node was at, and when it waited."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spotcluster.cli import timeline
from spotcluster.cluster.bringup.member import Member, Span

LETTERS = {"launch": "A", "set-up": "B"}


def member(alias: str, *spans: Span, waits: tuple[Span, ...] = ()) -> Member:
    def never() -> Any:
        raise AssertionError

    return Member(alias, never, never, spans=[*spans], waits=[*waits])


def test_each_part_of_the_time_shows_what_took_most_of_it() -> None:
    one = member("master", Span("launch", 100.0, 140.0), Span("set-up", 140.0, 160.0))
    assert timeline.chart(one, LETTERS, 100.0, 60.0) == "A" * 40 + "B" * 20


def test_time_in_which_a_node_waited_is_not_its_own() -> None:
    spans = Span("launch", 0.0, 10.0), Span("set-up", 20.0, 60.0)
    one = member("node001", *spans, waits=(Span("waiting for the master", 25.0, 55.0),))
    assert timeline.chart(one, LETTERS, 0.0, 60.0) == (
        "A" * 10 + " " * 10 + "B" * 5 + "." * 30 + "B" * 5
    )


def test_what_took_longest_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    one = member("master", Span("launch", 5.0, 25.0))
    one.note_step("asking what the machine has", 6.0, 6.2)
    one.note_step("installing packages", 7.0, 24.0)
    result: Any = SimpleNamespace(members=(one,), begin=5.0)
    timeline.show(result)
    said = capsys.readouterr().out
    assert "Where 20.0 s went" in said
    assert f"master |{'A' * 60}|" in said
    assert said.index("installing packages") < said.index("asking what the machine has")
    assert "17.0" in said
    steps = timeline.plain(result)["master"]["steps"]
    assert steps[1] == {"name": "installing packages", "begin": 2.0, "end": 19.0}
