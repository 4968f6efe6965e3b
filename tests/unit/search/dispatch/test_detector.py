"""What an engine died of: evaluations that had nothing to do with it are not blamed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from spotcluster.search.dispatch.detector import SPARED, Loss, LossDetector
from spotcluster.search.dispatch.messages import Message

DIED = Loss("node001 1 died", death=True)
NOBODY: Any = None
ENGINES: Any = SimpleNamespace(engine_of=lambda pending: pending.uuid)


def detector() -> LossDetector:
    return LossDetector(ENGINES, NOBODY, NOBODY)


def message(number: int, *, began: float = 0.0, uuid: str = "a") -> Message:
    """Return a message that an engine had; nobody saw it begin where `began` is 0."""
    pending: Any = SimpleNamespace(uuid=uuid)
    made = Message(((number, 0),), pending, 0.0, 10.0)
    if began:
        made.engine, made.uuid, made.clock = 1, uuid, began
    return made


def test_evaluation_whose_result_was_lost_with_its_engine_was_blamed_for_it() -> None:
    ended, killer = message(1, began=10.0), message(2, began=10.1)
    elsewhere = message(3, began=99.0, uuid="b")
    live = {ended, killer, elsewhere}
    inquest = detector()
    assert not inquest.blame(ended, DIED, live).death
    assert inquest.blame(killer, DIED, live).death
    assert inquest.blame(elsewhere, DIED, live).death


def test_evaluation_that_waited_behind_a_deadly_one_was_blamed_too() -> None:
    killer, waiting = message(1, began=10.0), message(2)
    inquest = detector()
    assert inquest.blame(killer, DIED, {killer, waiting}).death
    assert not inquest.blame(waiting, DIED, {waiting}).death


def test_first_to_come_back_is_blamed_where_nobody_saw_one_begin() -> None:
    first, second = message(1), message(2)
    inquest = detector()
    assert inquest.blame(first, DIED, {first, second}).death
    assert not inquest.blame(second, DIED, {second}).death


def test_evaluation_that_never_is_seen_to_begin_is_not_spared_for_ever() -> None:
    inquest = detector()
    spared = 0
    for number in range(SPARED + 1):
        other = message(100 + number, began=1.0, uuid=str(number))
        inquest.blame(other, DIED, {other})
        spared += not inquest.blame(message(1, uuid=str(number)), DIED, set()).death
    assert spared == SPARED


def test_what_is_no_death_stays_none() -> None:
    one = message(1, began=1.0)
    assert not detector().blame(one, Loss("its message was lost"), {one}).death
