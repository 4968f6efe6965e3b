"""Through which engine a host gets its files."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from spotcluster.search.dispatch import roster as module
from spotcluster.search.dispatch.roster import Engine, Host, Roster


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
