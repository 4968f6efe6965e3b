"""The private names of ipyparallel that we stand on; only the search's messages use others.

For what there is no public way to ask, or only one that waits for ever. This belongs to no room:
search and cluster both need it, and import nothing of each other. What runs on nodes has its own
uses, for this is not there: `await_engines.py`, `release_engines.py`, `controller.py` in templates.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

INHERITED = ("_start_io_thread",)
"""What our own classes override, or call on themselves: `subscriptions.Subscribed`."""


def is_closed(client: Any) -> bool:
    """Return whether a client was closed."""
    return bool(getattr(client, "_closed", False))


def session_key(client: Any) -> bytes:
    """Return what tells a client's controller from others; see `published.key_of`."""
    return bytes(getattr(client, "curve_serverkey", None) or client.session.key)


def ask_for_engines(client: Any, limit: float) -> None:
    """Have a client whose sockets still are this thread's know the engines that there are now.

    What is published of them meanwhile waits in its socket. Some of it may be older than the
    answer: to be told again what has come and gone, in that order, changes nothing.
    """
    query = client._query_socket
    asked = client.session.send(query, "connection_request")
    end = time.monotonic() + limit
    while query.poll(max(0, round(1000 * (end - time.monotonic())))):
        _, answer = client.session.recv(query, mode=0)
        if answer["parent_header"].get("msg_id") != asked["header"]["msg_id"]:
            continue
        there = {int(number): identity for number, identity in answer["content"]["engines"].items()}
        for gone in set(client._engines) - set(there):
            client._unregister_engine({"content": {"id": gone}})
        client._update_engines(there)
        return


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
