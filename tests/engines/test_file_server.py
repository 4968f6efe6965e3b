"""The server by which hosts hand on split files: who gets anything, and when it has gone."""

from __future__ import annotations

import contextlib
from typing import Any

import ipyparallel
import psutil
import pytest
import zmq
from sklearn.svm import SVC
from zmq.utils.monitor import recv_monitor_message

from spotcluster.search import GridSearch
from spotcluster.search.engine.peer import IDLE

from .conftest import ALONE, LIMIT, Gated, Machines, until

CLOSED = {
    zmq.EVENT_DISCONNECTED,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
}


def listening(machines: Machines) -> set[tuple[str, int]]:
    """Return where the engines listen."""
    return {
        (one.laddr.ip, one.laddr.port)
        for engine in machines.engines
        for one in psutil.Process(engine.pid).net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
    }


@pytest.fixture
def quiet(machines: Machines) -> set[tuple[str, int]]:
    """Where two hosts listen that serve nothing."""
    machines.start("node001")
    machines.start("node002")
    machines.warm()  # when they do what they are told they have opened all ports of their own
    return listening(machines)


def test_server_ends_with_the_search_though_the_client_is_closed_at_once(
    machines: Machines, quiet: set[tuple[str, int]], unshared: list[str], gated: Gated
) -> None:
    path = machines.engine_file.with_name("ipcontroller-client.json")
    client = ipyparallel.Client(str(path))
    search = GridSearch(client).launch_for_splits(gated, {"C": [1.0]}, unshared)
    until(lambda: listening(machines) > quiet, "a host to serve")
    gated.open()
    assert search.wait(LIMIT)
    client.close()
    until(lambda: listening(machines) == quiet, "the servers to end", limit=IDLE / 2)


def test_aborted_search_leaves_no_server(
    machines: Machines, quiet: set[tuple[str, int]], unshared: list[str]
) -> None:
    search = GridSearch(machines.client).launch_for_splits(SVC(), {"C": [1.0]}, unshared, pace=1.0)
    search.abort()  # the files are on their way
    machines.warm()  # engines do this after what the search had told them
    until(lambda: listening(machines) == quiet, "the servers to end", limit=IDLE / 2)


def refused(link: Any, address: str) -> bool:
    """Ask a server for a file; return whether it hung up, or fail when it answered."""
    monitor = link.get_monitor_socket()
    try:
        link.linger = 0
        link.connect(address)
        with contextlib.suppress(zmq.Again):  # it may have hung up already: nowhere to send it to
            link.send(b'["' + b"0" * 64 + b'", 0, 1]', zmq.DONTWAIT)
        poller = zmq.Poller()
        poller.register(monitor, zmq.POLLIN)
        poller.register(link, zmq.POLLIN)
        while True:
            ready = dict(poller.poll(60_000))
            assert ready, "it neither answered nor hung up"
            assert link not in ready, "it answered"
            if recv_monitor_message(monitor)["event"] in CLOSED:
                return True
    finally:
        link.disable_monitor()
        link.close()


def test_stranger_without_the_key_gets_nothing(
    machines: Machines, quiet: set[tuple[str, int]], unshared: list[str], gated: Gated
) -> None:
    search = GridSearch(machines.client)
    search.launch_for_splits(gated, {"C": [1.0, 2.0]}, unshared, pace=ALONE)
    until(lambda: len(listening(machines) - quiet) == 2, "both hosts to serve")
    for host, port in listening(machines) - quiet:
        address = f"tcp://{host}:{port}"
        with zmq.Context() as context:
            assert refused(context.socket(zmq.DEALER), address)  # in the clear
            link = context.socket(zmq.DEALER)  # encrypted, for a key that is another's
            link.curve_publickey, link.curve_secretkey = zmq.curve_keypair()
            link.curve_serverkey, _ = zmq.curve_keypair()
            assert refused(link, address)
    until(lambda: len(search.evaluations_per_node()) == 2, "work on both hosts")
    gated.open()
    assert search.wait(LIMIT)  # and who has the key is served all the same
    assert all(sent + fetched > 0 for sent, fetched in search.delivered().values())
