"""Doing at once what several threads want at about the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from spotcluster import threads
from spotcluster.errors import RemoteCommandFailed
from spotcluster.threads import Rounds


def test_all_who_are_expected_are_served_in_one_round() -> None:
    rounds = Rounds(lambda: {"a", "b", "c"})
    served: list[list[str]] = []
    got: dict[str, int] = {}

    def do(things: Sequence[str]) -> int:
        served.append(sorted(things))
        return len(things)

    def come(who: str) -> None:
        got[who] = rounds.join("it", who, who, do)

    rounds._begin -= 10_000  # who is first would wait for long
    threads.on_each(["a", "b", "c"], come)
    assert served == [["a", "b", "c"]]
    assert got == {"a": 3, "b": 3, "c": 3}


def test_nobody_waits_long_for_one_who_does_not_come() -> None:
    rounds = Rounds(lambda: {"a", "slow"})
    rounds._begin -= 10.0
    begin = time.monotonic()
    assert rounds.join("it", "a", "a", list) == ["a"]
    assert 0.7 < time.monotonic() - begin < 60


def test_who_comes_alone_does_not_wait() -> None:
    rounds = Rounds()
    rounds._begin -= 10_000
    assert rounds.join("it", "a", "a", list) == ["a"]
    assert rounds.join("it", "b", "b", list) == ["b"]


def test_a_round_under_way_holds_up_nobody() -> None:
    rounds = Rounds()
    held = threading.Event()
    begun = threading.Event()

    def hang(things: Sequence[str]) -> None:
        begun.set()
        assert held.wait(120)

    slow = threads.begin(lambda: rounds.join("it", "a", "a", hang))
    assert begun.wait(120)
    assert rounds.join("it", "b", "b", list) == ["b"]
    held.set()
    assert threads.wait_for(slow, 120)


def test_a_failure_is_everybodys_and_each_has_its_own_copy() -> None:
    rounds = Rounds(lambda: {"a", "b"})
    rounds._begin -= 10_000
    caught: dict[str, RemoteCommandFailed] = {}

    def fail(things: Sequence[str]) -> None:
        raise RemoteCommandFailed("master", "naming", "mv", 1, "disk full")

    def come(who: str) -> None:
        with pytest.raises(RemoteCommandFailed) as info:
            rounds.join("it", who, who, fail)
        caught[who] = info.value

    threads.on_each(["a", "b"], come)
    assert str(caught["a"]) == str(caught["b"])
    assert caught["a"].status == caught["b"].status == 1
    caught["a"].message += " More."
    assert "More" not in str(caught["b"])
