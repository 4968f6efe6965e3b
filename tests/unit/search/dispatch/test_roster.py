"""Through which engine a host gets its files."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any
from unittest.mock import Mock

import pytest

from spotcluster.search.dispatch import roster as module
from spotcluster.search.dispatch.hosts import Engine, Host
from spotcluster.search.dispatch.roster import Roster


def test_files_came_through_an_engine_that_was_busy_while_another_had_asked_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    through: list[int] = []

    def delivery(_: Any, engine: int, *__: Any) -> Any:
        through.append(engine)
        return Mock(over=False, engine=engine, moved=float("inf"))

    monkeypatch.setattr(module, "Delivery", delivery)
    backend = Mock()
    backend.engines.return_value = [0, 1, 2]
    roster = Roster(backend, Mock())
    for number in range(3):
        roster.engines[number] = Engine(number, f"uuid{number}", node="node001")
    roster._seen = [0, 1, 2]
    roster.hosts["node001"] = Host("node001", ready=True)
    roster.refused({"node": "node001", "engine": 1, "uuid": "uuid1"}, "files")
    roster.refresh()
    assert through == [1]


def test_a_host_was_served_twice_as_its_last_engine_answered_when_the_first_had_the_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second delivery went through an engine that was at its imports; all others waited."""
    deliveries: list[Any] = []

    def delivery(*_: Any) -> Any:
        deliveries.append(Mock(over=False, problem="", remark="", sent=1, fetched=0))
        return deliveries[-1]

    monkeypatch.setattr(module, "Delivery", delivery)
    asked: dict[int, Future[Any]] = {}

    def call(engine: int, *_: Any) -> Future[Any]:
        asked[engine] = Future()
        return asked[engine]

    def answer(engine: int, *, ready: bool) -> None:
        who = {"node": "node001", "uuid": f"uuid{engine}"}
        told = {"ready": ready, "draining": False, "unable": "", "taken": None}
        asked[engine].set_result({**who, **told})
        roster.refresh()

    backend = Mock(call=call)
    backend.engines.return_value = [0, 1]
    roster = Roster(backend, Mock())
    roster.refresh()
    answer(0, ready=False)
    deliveries[0].over = True
    assert roster.refresh() == ["node001"]
    answer(1, ready=False)  # which it was when it was asked
    assert roster.ready() == [0, 1]
    assert len(deliveries) == 1
    roster.doubt()
    roster.engines[0].look_again = 0.0
    roster.refresh()
    answer(0, ready=False)  # now it says something
    assert len(deliveries) == 2
