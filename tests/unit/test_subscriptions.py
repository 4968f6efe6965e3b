"""The context that a client of `connect` makes its sockets in."""

from __future__ import annotations

import zmq

from spotcluster.subscriptions import Subscribed


class Client:
    """Of ipyparallel's client, what is needed of the context."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.socket = context.socket(zmq.DEALER)


class Own(Subscribed, Client):
    pass


def test_destroying_the_context_waited_for_ever_for_clients_that_were_not_closed() -> None:
    client = Own()
    zmq.Context.instance().destroy()
    assert client.socket.closed
