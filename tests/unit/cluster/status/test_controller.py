"""What is made of a controller's answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from spotcluster.cluster.status.controller import Controller


def test_engine_that_has_ended_is_neither_busy_nor_shown() -> None:
    """A hub goes on listing it with what it left undone: it was "elsewhere", at "a task"."""
    queue = {"queue": 0, "completed": 3, "tasks": 0}
    status = {"status": "ok", "unassigned": 0, "0": queue, "1": queue | {"tasks": 1}}
    asked: list[str] = []

    def ask(kind: str, _: float, **__: Any) -> dict[str, Any]:
        asked.append(kind)
        return dict(status) if kind == "queue_request" else {"records": []}

    hub: Any = SimpleNamespace(ask=ask, engines=lambda _: {0: "master_1_17-4"})
    of_a_cluster = Controller(SimpleNamespace(name="c"))  # type: ignore[arg-type]
    answer = of_a_cluster._read(hub, 1.0)
    assert [(one.node, one.message) for one in answer.engines] == [("master", None)]
    assert (answer.waiting, answer.running, answer.done) == (0, 0, 3)
    assert asked == ["queue_request"]
