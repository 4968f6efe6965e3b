"""The private names of ipyparallel that a search's messages stand on: how they go and come.

ipyparallel's client makes much of each message, which a search needs none of and sends a few of
each second for as long as it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import zmq
from ipyparallel.serialize import deserialize_object, pack_apply_message

AT_ONCE = 100  # messages that are received before the client's thread does something else
_OUT = int(zmq.POLLOUT)  # to compare with a flag takes longer
GATHER = 0.05  # seconds in which notes come together, where nobody waits for anything else


_QUIET = {"spotcluster_quiet": True}  # templates/engines.py: nobody waits for "busy" and "idle"


class Answer(Future[Any]):
    """What was sent to an engine, and what comes back.

    It is where a client has a future for each message, in place of ipyparallel's own: two of these
    with six more in them, three events, and what was printed and drawn. They take a client longer
    than all else that it does for a message.

    Attributes
    ----------
    id : str
        Of the message.
    notes : dict
        What its engine has published about it; grows with what arrives.
    engine : str or None
        The uuid of the engine that was heard of last.
    """

    def __init__(self, id: str) -> None:  # noqa: A002 - what it is
        super().__init__()
        self.id = id
        self.notes: dict[str, Any] = {}
        self.engine: str | None = None
        self.iopub_callbacks: list[Any] = []  # a client's future has them
        self.told: Callable[[], None] = _nothing

    def set_result(self, result: Any) -> None:
        """Take the reply; the client has what was raised for one too."""
        if isinstance(result, BaseException):
            self.set_exception(result)
        else:
            super().set_result(result)

    def listen(self, told: Callable[[], None]) -> None:
        """Have `told` called when its engine has published something: by the client's thread."""
        self.told = told

    def let_go(self) -> None:
        """End when nobody has it any more: it knows who waits for it, and they know it."""
        self.told = _nothing
        waiting: list[Any] = self._done_callbacks  # type: ignore[attr-defined]
        waiting.clear()


def _nothing() -> None:
    pass


class _Mail:
    """What comes to a client for our messages, taken before the client makes more of it.

    For each of them come a note, a reply and, from engines that are not of a cluster of ours, that
    they are busy, and idle again. The client unpacks all of each and reads dates in them, waits for
    the last of them, and receives one each time that its thread wakes, which takes longer than all
    that a search does. Here all that has come is received, no more is unpacked than is needed, and
    the client gets the rest.
    """

    def __init__(self) -> None:
        self.awaited: WeakValueDictionary[str, Answer] = WeakValueDictionary()
        self.unanswered: set[str] = set()
        # They know the client, and are kept by what it has open.
        self.lines: WeakValueDictionary[str, _Line] = WeakValueDictionary()

    def open(self, client: Any) -> None:
        """Receive what comes from now on; by the client's thread."""
        for stream in ("_task_stream", "_mux_stream"):
            line = self.lines[stream] = _Line(client, getattr(client, stream), self.reply)
            line.begin()
        _Line(client, client._iopub_stream, self.published, self).begin()

    def send(
        self, client: Any, stream: str, message: dict[str, Any], buffers: Any, ident: Any
    ) -> None:
        """Send a message; by the client's thread."""
        line = self.lines.get(stream)
        if line is None or not line.is_free():
            client.session.send(getattr(client, stream), message, buffers=buffers, ident=ident)
            return
        client.session.send(line.stream.socket, message, buffers=buffers, ident=ident)
        line.receive()  # the socket may not tell any more of what has come meanwhile

    def is_all_for(self, client: Any) -> bool:
        """Return whether nobody waits for anything that is not of a search."""
        return 0 < len(client.outstanding) <= len(self.unanswered)

    def reply(self, client: Any, parts: Sequence[Any]) -> None:
        """Take a reply."""
        about, rest = _about(client, parts)
        answer = self.awaited.get(about)
        if answer is None:
            client._dispatch_reply(parts)
            return
        message = client.session.deserialize(rest, copy=False)
        answer.engine = message["metadata"].get("engine") or answer.engine
        if answer.done():
            return
        if message["content"]["status"] != "ok":
            client._handle_apply_reply(message)
            return
        client.outstanding.discard(about)
        client._outstanding_dict[answer.engine].discard(about)
        answer.set_result(deserialize_object(message["buffers"])[0])

    def published(self, client: Any, parts: Sequence[Any]) -> None:
        """Take what an engine has published."""
        about, rest = _about(client, parts)
        kind = client.session.unpack(rest[1].bytes)["msg_type"]
        answer = self.awaited.get(about)
        if answer is None:
            if kind != "status" or about in client.metadata:  # the client passes it over
                client._dispatch_iopub(parts)
        elif kind == "data_message":
            message = client.session.deserialize(rest, copy=False)
            answer.engine = message["metadata"].get("engine") or answer.engine
            answer.notes.update(deserialize_object(message["buffers"])[0])
            answer.told()


class _Line:
    """One of a client's streams, and its socket; all of it is done by the client's thread.

    Parameters
    ----------
    client, stream
    take : callable
        Given the client, and the parts of each message.
    gathers : _Mail, optional
        Lets messages come together while all that is awaited is its own.
    """

    def __init__(
        self,
        client: Any,
        stream: Any,
        take: Callable[[Any, Sequence[Any]], None],
        gathers: _Mail | None = None,
    ) -> None:
        self.client = client
        self.stream = stream
        self.take = take
        self.gathers = gathers

    def begin(self) -> None:
        """Receive what comes from now on, in place of the stream."""
        if self.stream.closed():
            return
        # It receives too, when it has sent something, and closes the socket in the end.
        self.stream.on_recv(self.taken, copy=False)
        self.client._io_loop.remove_handler(self.stream.socket)
        self.listen()

    def listen(self) -> None:
        """Receive what has come, and what will."""
        if not self.stream.closed():
            loop = self.client._io_loop
            loop.add_handler(self.stream.socket, self.comes, loop.READ)
            self.receive()

    def is_free(self) -> bool:
        """Return whether the socket takes a message now, and the stream has none for it."""
        if self.stream.closed() or self.stream.sending():
            return False
        return bool(self.stream.socket.get(zmq.EVENTS) & _OUT)

    def comes(self, *_: Any) -> None:
        """Take note that something has come."""
        if self.gathers is not None and self.gathers.is_all_for(self.client):
            # It would be called again and again until all is received.
            self.client._io_loop.remove_handler(self.stream.socket)
            self.client._io_loop.call_later(GATHER, self.listen)
        else:
            self.receive()

    def receive(self) -> None:
        """Receive all that has come."""
        stream = self.stream
        for _ in range(AT_ONCE):
            if stream.closed():
                return
            try:
                parts = stream.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.ZMQError:  # nothing more: it tells once of all that has come
                break
            self.taken(parts)
        else:
            self.client._io_loop.add_callback(self.receive)
        if not stream.closed() and stream.sending():
            stream.flush(zmq.POLLOUT)

    def taken(self, parts: Sequence[Any]) -> None:
        """Have a message looked at; what is wrong with it keeps no other one from that."""
        try:
            self.take(self.client, parts)
        except Exception:
            self.client.log.error("Invalid Message", exc_info=True)  # as the client does


def _about(client: Any, parts: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """Return which message a message is about, and its parts after the names of who sent it."""
    _, rest = client.session.feed_identities(parts, copy=False)
    parent = client.session.unpack(rest[2].bytes)
    return parent.get("msg_id", "") if parent else "", rest


_mail: WeakKeyDictionary[Any, _Mail] = WeakKeyDictionary()  # of each client


def _send(
    client: Any,
    stream: str,
    function: Any,
    args: Sequence[Any],
    metadata: dict[str, Any] | None = None,
    engine: str | None = None,
) -> Answer:
    """Send a call, as `Client.send_apply_request` does.

    Raises
    ------
    OSError
        If the client was closed.
    """
    if client._closed:
        raise OSError("Connections have been closed.")
    mail = _mail.get(client)
    if mail is None:
        mail = _mail[client] = _Mail()
        client._io_loop.add_callback(mail.open, client)
    session = client.session
    buffers = pack_apply_message(
        function, args, {}, session.buffer_threshold, session.item_threshold
    )
    message = session.msg("apply_request", metadata={**(metadata or {}), **_QUIET})
    answer = Answer(message["msg_id"])
    mail.awaited[answer.id] = answer
    mail.unanswered.add(answer.id)
    client._futures[answer.id] = answer
    client.outstanding.add(answer.id)
    client.history.append(answer.id)
    if engine is not None:  # which may die
        client._outstanding_dict[engine].add(answer.id)

    def forget(_: Any) -> None:
        for kept in (client._futures, client.results, client.metadata):
            kept.pop(answer.id, None)
        mail.unanswered.discard(answer.id)

    answer.add_done_callback(forget)
    ident = None if engine is None else engine.encode()
    client._io_loop.add_callback(mail.send, client, stream, message, buffers, ident)
    return answer


def send_task(
    client: Any,
    targets: Collection[int],
    limit: float,
    label: str | None,
    function: Any,
    args: Sequence[Any],
) -> Answer:
    """Have whichever of some engines is free first call a function.

    They are named even where they are all that there are. What names none stays with the scheduler
    when all have refused it, or are gone, and goes to engines that come for something else.

    Raises
    ------
    KeyError
        If one of the engines is not there.
    """
    names = [client._engines[one] for one in targets]
    told = {"after": [], "follow": [], "timeout": limit, "targets": names, "retries": 0}
    return _send(client, "_task_stream", function, args, {**told, "label": label})


def send_call(client: Any, engine: int, function: Any, args: Sequence[Any]) -> Answer:
    """Have an engine call a function.

    Raises
    ------
    KeyError
        If it is not there.
    """
    return _send(client, "_mux_stream", function, args, engine=client._engines[engine])
