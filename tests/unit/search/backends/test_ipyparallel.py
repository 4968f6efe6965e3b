"""What is kept of messages to ipyparallel's engines."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace

import ipyparallel
import pytest
from ipyparallel.client.futures import MessageFuture

from spotcluster.ipyparallel_private import let_go, on_publication


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Have nothing go that knows itself."""
    gc.disable()
    yield
    gc.enable()


def test_each_message_left_some_two_hundred_objects_to_the_collector(uncollected: None) -> None:
    child = MessageFuture("id", track=False)
    child.output = MessageFuture("id")
    child.output.metadata = {}
    pending = ipyparallel.AsyncResult(SimpleNamespace(results={}), child, owner=True)
    told: list[str] = []
    on_publication(pending, lambda: told.append(pending.msg_ids[0]))
    pending.add_done_callback(lambda _: told.append(pending.msg_ids[0]))
    child.set_result("answer")
    assert pending.result() == "answer"
    assert told == ["id"]
    let_go(pending)
    parts = [weakref.ref(one) for one in (pending, child, child.output, child.tracker)]
    # What this test has is all that there is of it.
    pending = child = None  # type: ignore[assignment]
    assert [part() for part in parts] == [None] * 4
