"""The private names of ipyparallel that we stand on; no other module uses any.

For what there is no public way to ask, or only one that waits for ever. This belongs to no room:
search and cluster both need it, and import nothing of each other. What runs on nodes has its own
uses, for this is not there: `await_engines.py`, `release_engines.py`, `controller.py` in templates.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

INHERITED = ("_start_io_thread",)
"""What our own classes override, or call on themselves: `cluster.subscriptions.Subscribed`."""


def is_closed(client: Any) -> bool:
    """Return whether a client was closed."""
    return bool(getattr(client, "_closed", False))


class Answer(Future[Any]):
    """What was sent to an engine, and what comes back.

    A view gives an AsyncResult, which is six futures and three events, after a look at who may run
    what and at all arguments: that takes a client longer than all else that it does for a message.
    Of these this has the one that a reply is put into.

    Attributes
    ----------
    id : str
        Of the message.
    notes : dict
        What its engine has published about it, and its `metadata`, which grow with what arrives.
    """

    def __init__(self, reply: Any) -> None:
        super().__init__()
        self.reply = reply
        self.id: str = reply.msg_id
        self.metadata: Mapping[str, Any] = reply.output.metadata
        reply.add_done_callback(self.arrived)

    @property
    def notes(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.metadata["data"]
        return found

    def arrived(self, reply: Any) -> None:
        value = reply.result()  # what was raised too
        if isinstance(value, BaseException):
            self.set_exception(value)
        else:
            self.set_result(value)

    def listen(self, told: Callable[[], None]) -> None:
        """Have `told` called when its engine has published something: by the client's thread."""

        def heard(message: Mapping[str, Any]) -> None:
            if message["header"]["msg_type"] == "data_message":
                told()

        self.reply.iopub_callbacks.append(heard)

    def let_go(self) -> None:
        """End when nobody has it any more: futures know who waits for them, who know them.

        Some hundred objects of each message would stay until the collector goes through all that
        a program has.
        """
        self.reply.iopub_callbacks.clear()
        futures: tuple[Any, ...] = (self, self.reply, self.reply.output, self.reply.tracker)
        for future in futures:
            future._done_callbacks.clear()


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
    reply = client.send_apply_request(
        client._task_stream, function, args, metadata={**told, "label": label}
    )
    return Answer(reply)


def send_call(client: Any, engine: int, function: Any, args: Sequence[Any]) -> Answer:
    """Have an engine call a function.

    Raises
    ------
    KeyError
        If it is not there.
    """
    name = client._engines[engine].encode()
    return Answer(client.send_apply_request(client._mux_stream, function, args, ident=name))


def session_key(client: Any) -> bytes:
    """Return what tells a client's controller from others; see `published.key_of`."""
    return bytes(getattr(client, "curve_serverkey", None) or client.session.key)


@contextmanager
def signed_by_curve(info: Mapping[str, Any]) -> Iterator[None]:
    """Keep a session from warning that messages are not signed, where CurveZMQ does more.

    It encrypts them, and lets in only who has the controller's keys; ipyparallel signs none then.
    """
    if not info.get("curve_serverkey"):
        yield
        return
    from traitlets.log import get_logger

    logger: Any = get_logger()
    logger = getattr(logger, "logger", logger)  # an application's may be an adapter

    def other(record: logging.LogRecord) -> bool:
        return "Message signing is disabled" not in record.getMessage()

    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)
