"""A client that knows all engines, and hears what they print, from its first call on.

ipyparallel's client asks which engines there are, and then subscribes to what is told of those
that come and go, and to what engines print. It waits for neither subscription to be so. What is
published before is lost: an engine that came meanwhile is never known to the client, one that went
is waited for without end, and the end of a cell's output is missing. Through a tunnel, or on a
machine that does other things too, "meanwhile" is long.

This belongs to no room: programs on the master have the same client.
"""

from __future__ import annotations

import time
from typing import Any

import zmq

from spotcluster import ipyparallel_private

LIMIT = 10.0  # seconds; a client that only might miss something is better than none


class Subscribed:
    """Mixed into ipyparallel's client: it is connected when its subscriptions are."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._subscriptions = _Subscriptions(shadow=zmq.Context.instance())
        super().__init__(*args, context=self._subscriptions, **settings)  # type: ignore[call-arg]

    def _start_io_thread(self) -> None:
        # Called when every socket was told to connect, and by its owner, this thread, for now.
        self._subscriptions.await_handshakes(LIMIT)
        # Nobody tells when a subscription has arrived. It goes the way that this goes after it.
        ipyparallel_private.ask_for_engines(self, LIMIT)
        super()._start_io_thread()  # type: ignore[misc]  # ipyparallel's client has it


class _Subscriptions(zmq.Context[zmq.Socket[bytes]]):
    """A context that knows whether the subscribing sockets made in it have been let in."""

    _waiting: dict[Any, Any]

    def socket(self, socket_type: int, *args: Any, **kwargs: Any) -> Any:
        # One of the context that this is a shadow of: who destroys that one destroys its sockets,
        # and would wait for ever for any that it does not know.
        made: Any = zmq.Context.instance().socket(socket_type, *args, **kwargs)
        if socket_type == zmq.SUB:
            waiting = self.__dict__.setdefault("_waiting", {})
            waiting[made.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)] = made
        return made

    def await_handshakes(self, limit: float) -> None:
        """Wait until all have been; they send their subscriptions in the same moment."""
        waiting = self.__dict__.pop("_waiting", {})
        end = time.monotonic() + limit
        for monitor, subscriber in waiting.items():
            monitor.poll(max(0, round(1000 * (end - time.monotonic()))))
            subscriber.disable_monitor()
