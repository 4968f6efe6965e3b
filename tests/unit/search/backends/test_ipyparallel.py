"""What is kept of messages to ipyparallel's engines."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import ipyparallel
import pytest
from ipyparallel.client.futures import MessageFuture
from ipyparallel.serialize import deserialize_object

from spotcluster.ipyparallel_private import Answer
from spotcluster.search.backends.ipyparallel import IPyParallel
from spotcluster.search.backends.protocol import Gone
from spotcluster.search.engine import here


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Have nothing go that knows itself."""
    gc.disable()
    yield
    gc.enable()


def test_each_message_left_some_two_hundred_objects_to_the_collector(uncollected: None) -> None:
    reply = MessageFuture("id", track=False)
    reply.output = MessageFuture("id")
    reply.output.metadata = {"data": {}}
    pending = Answer(reply)
    told: list[str] = []
    pending.listen(lambda: told.append(pending.id))
    pending.add_done_callback(lambda _: told.append(pending.id))
    reply.set_result("answer")
    assert pending.result() == "answer"
    assert told == ["id"]
    pending.let_go()
    parts = [weakref.ref(one) for one in (pending, reply, reply.output, reply.tracker)]
    # What this test has is all that there is of it.
    pending = reply = None  # type: ignore[assignment]
    assert [part() for part in parts] == [None] * 4


def test_what_an_engine_has_raised_is_raised_where_its_answer_is_asked_for() -> None:
    reply = MessageFuture("id")
    reply.output = MessageFuture("id")
    reply.output.metadata = {"data": {}}
    pending = Answer(reply)
    reply.set_result(ipyparallel.error.RemoteError("ValueError", "no", ""))
    with pytest.raises(ipyparallel.error.RemoteError, match="no"):
        pending.result()


class Client:
    """Two engines of a client, and what is sent to them."""

    _task_stream, _mux_stream = "task", "mux"

    def __init__(self) -> None:
        self.ids = [0, 1]
        self._engines = {0: "uuid-0", 1: "uuid-1"}
        self.sent: list[tuple[str, list[Any], dict[str, Any]]] = []

    def send_apply_request(
        self, socket: str, function: Any, args: list[Any], **more: Any
    ) -> MessageFuture:
        given = [one if isinstance(one, bytes) else deserialize(one) for one in args]
        self.sent.append((socket, given, more))
        self.functions = [*getattr(self, "functions", []), function]
        reply = MessageFuture("id")
        reply.output = MessageFuture("id")
        reply.output.metadata = {"data": {}, "engine_uuid": None}
        return reply


def deserialize(packed: Any) -> Any:
    return deserialize_object(packed.buffers)[0]


def engines() -> tuple[Client, IPyParallel]:
    client = Client()
    return client, IPyParallel(SimpleNamespace(client=client))


def test_message_goes_to_the_engines_that_are_named_also_where_there_are_no_others() -> None:
    client, backend = engines()
    backend.send([0, 1], 10.0, None, here.identity)
    backend.send([1], 10.0, None, here.identity)
    named = [more["metadata"]["targets"] for *_, more in client.sent]
    assert named == [["uuid-0", "uuid-1"], ["uuid-1"]]
    with pytest.raises(Gone):
        backend.send([0, 2], 10.0, None, here.identity)
    with pytest.raises(Gone):
        backend.call(2, here.identity)


def test_what_is_the_same_in_all_messages_is_pickled_once() -> None:
    client, backend = engines()
    large = bytes(5000)
    for number in range(2):
        backend.send([0], 10.0, lambda: "label", here.verified, "path", number, large)
    (_, first, more), (_, second, _) = client.sent
    assert first[-4:] == ["here.verified", "path", 0, large]
    assert second[:3] == first[:3]
    assert second[-2:] == [1, large]
    assert more["metadata"]["label"] == "label"
    assert client.functions[0] is client.functions[1]
