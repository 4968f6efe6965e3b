"""How messages go to ipyparallel's engines, and what is made of what comes."""

from __future__ import annotations

import gc
import logging
import weakref
from collections import defaultdict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import ipyparallel
import pytest
import zmq
from ipyparallel import error
from ipyparallel.client.client import Metadata
from ipyparallel.serialize import serialize_object, unpack_apply_message
from jupyter_client.session import Session

from spotcluster.clients import Client as OfConnect
from spotcluster.search.backends.ipyparallel import IPyParallel
from spotcluster.search.backends.protocol import Gone
from spotcluster.search.engine import here


class Stream:
    """A stream of which nothing is closed, and what was sent through it."""

    def __init__(self) -> None:
        self.sent: list[list[Any]] = []
        self.straight: list[list[Any]] = []
        self.events = 0
        self.socket = SimpleNamespace(
            recv_multipart=self._receive,
            send_multipart=lambda parts, **_: self.straight.append(parts),
            get=lambda _: self.events,
        )
        self.arrived: list[Any] = []

    def on_recv(self, taken: Any, copy: bool) -> None:
        self.taken = taken

    def send_multipart(self, parts: list[Any], copy: bool) -> None:
        self.sent.append(parts)

    def closed(self) -> bool:
        return False

    def sending(self) -> bool:
        return False

    def _receive(self, flags: int, copy: bool) -> Any:
        if not self.arrived:
            raise zmq.Again
        return self.arrived.pop(0)


class Loop:
    """A loop that calls at once, and keeps who is to be told of what has come, or of time."""

    READ = 1

    def __init__(self) -> None:
        self.handlers: dict[Any, Any] = {}
        self.later: list[Any] = []

    def call_later(self, seconds: float, function: Any) -> None:
        self.later.append(function)

    def add_callback(self, function: Any, *args: Any, **more: Any) -> None:
        function(*args, **more)

    def add_handler(self, socket: Any, handler: Any, events: int) -> None:
        self.handlers[id(socket)] = handler

    def remove_handler(self, socket: Any) -> None:
        self.handlers.pop(id(socket), None)


class Client:
    """Two engines of a client, and what comes to it; it has what ipyparallel's has."""

    _closed = False
    _unwrap_exception = ipyparallel.Client._unwrap_exception
    _handle_apply_reply = ipyparallel.Client._handle_apply_reply
    _extract_metadata = ipyparallel.Client._extract_metadata
    _should_use_metadata_msg_id = ipyparallel.Client._should_use_metadata_msg_id

    def __init__(self) -> None:
        self.ids = [0, 1]
        self._engines: dict[Any, Any] = {0: "uuid-0", 1: "uuid-1", "uuid-0": 0, "uuid-1": 1}
        self._task_stream, self._mux_stream, self._iopub_stream = Stream(), Stream(), Stream()
        self._io_loop = Loop()
        self.session = Session(key=b"secret")
        self.log = logging.getLogger("client")
        self._futures: dict[str, Any] = {}
        self._output_futures: dict[str, Any] = {}
        self._outstanding_dict: dict[str, set[str]] = defaultdict(set)
        self.outstanding: set[str] = set()
        self.history: list[str] = []
        self.results: dict[str, Any] = {}
        self.metadata: dict[str, Any] = defaultdict(Metadata)
        self.others: list[Any] = []
        self._dispatch_reply = self._dispatch_iopub = self.others.append

    def comes(self, stream: Stream, *messages: Any) -> None:
        """Have messages come, all at once."""
        stream.arrived += messages
        self._io_loop.handlers[id(stream.socket)](stream.socket, 1)
        while self._io_loop.later:
            self._io_loop.later.pop()()


ENGINE = Session(key=b"secret")
ENGINE.metadata = {"engine": "uuid-1"}


def message(
    kind: str, about: str, content: dict[str, Any], thing: Any = None, session: Session = ENGINE
) -> list[zmq.Frame]:
    """Return what an engine sends about a message."""
    made = session.msg(kind, content=content, parent={"header": {"msg_id": about}, "msg_id": about})
    parts = session.serialize(made, ident=b"name") + serialize_object(thing)
    return [zmq.Frame(part) for part in parts]


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def backend(client: Client) -> Any:
    return IPyParallel(SimpleNamespace(client=client))


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Have nothing go that knows itself."""
    gc.disable()
    yield
    gc.enable()


# --- what goes ------------------------------------------------------------------------------------


def given(parts: list[Any]) -> tuple[dict[str, Any], list[Any]]:
    """Return the metadata of a message that was sent, and what follows its five parts."""
    at = parts.index(b"<IDS|MSG>")
    return ENGINE.unpack(parts[at + 4]), parts[at + 6 :]


def test_message_goes_to_the_engines_that_are_named_also_where_there_are_no_others(
    client: Client, backend: Any
) -> None:
    backend.send([0, 1], 10.0, None, here.identity)
    backend.send([1], 10.0, None, here.identity)
    named = [given(parts)[0]["targets"] for parts in client._task_stream.sent]
    assert named == [["uuid-0", "uuid-1"], ["uuid-1"]]
    with pytest.raises(Gone):
        backend.send([0, 2], 10.0, None, here.identity)
    with pytest.raises(Gone):
        backend.call(2, here.identity)
    backend.call(1, here.identity)
    (parts,) = client._mux_stream.sent
    assert parts[0] == b"uuid-1"


def test_message_goes_straight_to_the_socket_where_that_takes_it(
    client: Client, backend: Any
) -> None:
    stream = client._task_stream
    waits = backend.send([0], 10.0, None, here.identity)
    assert len(stream.sent) == 1
    stream.events = zmq.POLLOUT.value
    # What has come meanwhile the socket does not tell of.
    stream.arrived.append(message("apply_reply", waits.id, {"status": "ok"}, "answer"))
    backend.send([0], 10.0, None, here.identity)
    assert len(stream.straight) == len(stream.sent) == 1
    assert waits.result(0) == "answer"


def test_what_is_the_same_in_all_messages_is_pickled_once(client: Client, backend: Any) -> None:
    large = bytes(5000)
    for number in range(2):
        backend.send([0], 10.0, lambda: "label", here.verified, "path", number, large)
    (told, first), (_, second) = map(given, client._task_stream.sent)
    assert told["label"] == "label"
    for number, parts in enumerate((first, second)):
        args = unpack_apply_message(list(parts))[1]
        assert args[-4:] == ("here.verified", "path", number, large)
    (at,) = [at for at, one in enumerate(first) if len(one) == max(map(len, first))]
    for same in (0, at):  # the function, and all that engines run of ours
        assert second[same] is first[same]


def test_controller_was_told_to_send_again_what_a_search_sends_again_itself(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    """And each evaluation that kills its engine killed nine."""
    monkeypatch.setattr(ipyparallel.Client, "__del__", lambda _: None)  # it was never made
    client.send_apply_request = OfConnect.send_apply_request  # type: ignore[attr-defined]
    IPyParallel(SimpleNamespace(client=client)).send([0], 10.0, None, here.identity)
    told, _ = given(client._task_stream.sent[0])
    assert told.get("spotcluster_lives", 1) == 1


# --- what comes -----------------------------------------------------------------------------------


def test_reply_is_the_answer_and_nothing_of_it_stays_with_the_client(
    client: Client, backend: Any
) -> None:
    task, call = backend.send([0, 1], 10.0, None, here.identity), backend.call(1, here.identity)
    assert client.outstanding == {task.id, call.id} == client._futures.keys()
    assert client.history == [task.id, call.id]
    for stream, one in ((client._task_stream, task), (client._mux_stream, call)):
        client.comes(stream, message("apply_reply", one.id, {"status": "ok"}, one.id[-1]))
    assert (task.result(0), call.result(0)) == (task.id[-1], call.id[-1])
    assert backend.engine_of(task) == "uuid-1"
    assert not client.others
    kept = (client.outstanding, client._futures, client.results, client.metadata)
    assert not any((*kept, *client._outstanding_dict.values()))


def test_what_an_engine_has_raised_is_raised_where_its_answer_is_asked_for(
    client: Client, backend: Any
) -> None:
    pending = backend.send([0], 10.0, None, here.identity)
    told = {"engine_uuid": "uuid-1", "engine_id": 1, "method": "apply"}
    raised = {"status": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    reply = message("apply_reply", pending.id, {**raised, "engine_info": told})
    client.comes(client._task_stream, reply)
    with pytest.raises(error.RemoteError, match="no"):
        pending.result(0)
    dropped = backend.send([0], 10.0, None, here.identity)
    reply = message("apply_reply", dropped.id, {"status": "aborted"})
    client.comes(client._task_stream, reply)
    with pytest.raises(error.TaskAborted):
        dropped.result(0)
    assert not any((client.outstanding, client._futures, client.results, client.metadata))


def test_notes_are_heard_and_that_an_engine_is_busy_is_not(client: Client, backend: Any) -> None:
    pending = backend.send([0], 10.0, None, here.identity)
    heard: list[dict[str, Any]] = []
    backend.listen(pending, lambda: heard.append(dict(backend.notes(pending))))
    client.comes(
        client._iopub_stream,
        message("status", pending.id, {"execution_state": "busy"}),
        message("data_message", pending.id, {"keys": ["started"]}, {"started": 1}),
        message("stream", pending.id, {"name": "stdout", "text": "printed"}),
        message("data_message", pending.id, {"keys": ["taken"]}, {"taken": 2}),
        message("status", pending.id, {"execution_state": "idle"}),
    )
    assert heard == [{"started": 1}, {"started": 1, "taken": 2}]
    assert backend.engine_of(pending) == "uuid-1"
    assert not client.others
    assert not client.metadata


def test_what_is_not_of_a_search_is_the_clients(client: Client, backend: Any) -> None:
    backend.send([0], 10.0, None, here.identity)
    client.metadata["theirs"] = Metadata()
    own = [
        message("status", "theirs", {"execution_state": "idle"}),
        message("stream", "theirs", {"name": "stdout", "text": "printed"}),
        message("data_message", "of another client", {"keys": []}, {}),
        message("apply_reply", "theirs", {"status": "ok"}, 1),
    ]
    client.comes(client._iopub_stream, *own[:3])
    client.comes(client._iopub_stream, message("status", "of another client", {}))  # not looked at
    client.comes(client._task_stream, own[3])
    assert client.others == own


def test_what_others_print_waited_for_the_notes_of_a_search(client: Client, backend: Any) -> None:
    backend.send([0], 10.0, None, here.identity)
    loop, stream = client._io_loop, client._iopub_stream
    told = loop.handlers[id(stream.socket)]
    stream.arrived.append(message("stream", "theirs", {"name": "stdout", "text": "printed"}))
    told(stream.socket, 1)
    assert stream.arrived
    assert not loop.handlers.get(id(stream.socket))  # or the loop would not rest
    loop.later.pop()()
    assert not stream.arrived
    client.outstanding.add("theirs")
    stream.arrived.append(message("stream", "theirs", {"name": "stdout", "text": "printed"}))
    loop.handlers[id(stream.socket)](stream.socket, 1)
    assert not stream.arrived
    assert len(client.others) == 2


def test_what_is_not_signed_as_it_should_be_is_no_answer(
    client: Client, backend: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pending = backend.send([0], 10.0, None, here.identity)
    forger = Session(key=b"another")
    forged = message("apply_reply", pending.id, {"status": "ok"}, "forged", forger)
    note = message("data_message", pending.id, {"keys": []}, {"started": 1}, forger)
    client.comes(client._iopub_stream, note)
    client.comes(client._task_stream, forged, [zmq.Frame(b"neither")])
    assert not pending.done()
    assert not backend.notes(pending)
    assert [record.message for record in caplog.records] == ["Invalid Message"] * 3
    client.comes(client._task_stream, message("apply_reply", pending.id, {"status": "ok"}, "true"))
    assert pending.result(0) == "true"


def test_each_message_left_some_two_hundred_objects_to_the_collector(
    uncollected: None, client: Client, backend: Any
) -> None:
    pending = backend.send([0], 10.0, None, here.identity)
    know_it: Any = [pending]  # as those who wait for it do
    backend.listen(pending, lambda: know_it[0])
    pending.add_done_callback(lambda _: know_it[0])
    client.comes(client._task_stream, message("apply_reply", pending.id, {"status": "ok"}, "one"))
    assert pending.result() == "one"
    backend.forget(pending)
    known = weakref.ref(pending)
    know_it.clear()
    # What this test has is all that there is of it.
    del pending
    assert known() is None
