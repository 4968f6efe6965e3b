"""Evaluations that have killed an engine."""

from __future__ import annotations

from collections import Counter
from typing import Any
from unittest.mock import Mock

from spotcluster.search.data.evaluations import Key
from spotcluster.search.dispatch.detector import Loss
from spotcluster.search.dispatch.dispatcher import Dispatcher
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.parcels import parcel


def dispatcher(keys: list[Key], deaths: Counter[Key]) -> Dispatcher:
    engines, bundle, ignored = Mock(pack=parcel), Mock(splits=[]), Mock()
    return Dispatcher(engines, bundle, keys, {}, ignored, ignored, ignored, -1.0, deaths)


def messages(made: Dispatcher, seconds: float) -> list[list[Key]]:
    """Return what would be sent, where each evaluation takes so many seconds."""
    for key in made._backlog.unfinished:
        made._durations.add(key, seconds)
    return list(iter(lambda: made._backlog.next(made._durations, wanted=1.0), []))


def test_what_killed_an_engine_alone_was_sent_again_with_innocent_others() -> None:
    made = dispatcher([(1, 0), (2, 0), (3, 0)], Counter())
    first = made._backlog.next(made._durations, wanted=1.0)
    assert first == [(1, 0)]
    pending: Any = Mock()
    message = Message(tuple(first), pending, sent=0.0, limit=1.0)
    made._backlog.count_on(message)
    made._verdicts.lost(message, Loss("engine 4 on node001 died", death=True))
    assert messages(made, 0.001) == [[(1, 0)], [(2, 0), (3, 0)]]


def test_what_killed_an_engine_before_travels_alone_when_the_search_is_resumed() -> None:
    made = dispatcher([(0, 0), (1, 0), (2, 0), (3, 0)], Counter({(1, 0): 1}))
    assert messages(made, 0.001) == [[(0, 0)], [(1, 0)], [(2, 0), (3, 0)]]
