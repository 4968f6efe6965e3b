"""Local ports that lead through a machine."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from commands import wait_until

from spotcluster import ssh
from spotcluster.errors import ConnectionFailed, UsageError
from spotcluster.ssh import tunnel as tunnels

from .conftest import Server


class Service:
    """A TCP service behind the machine."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.remote = ("127.0.0.1", self.port)
        self._socks: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._socks.append(sock)
            thread = threading.Thread(target=self._run, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            self._serve(sock)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)


def echo(sock: socket.socket) -> None:
    while data := sock.recv(65536):
        sock.sendall(data)


@pytest.fixture
def service() -> Iterator[Callable[[Callable[[socket.socket], None]], Service]]:
    made: list[Service] = []

    def make(serve: Callable[[socket.socket], None]) -> Service:
        made.append(Service(serve))
        return made[-1]

    yield make
    for one in made:
        one.close()


def dial(tunnel: ssh.Tunnel, port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", tunnel.local_port(port)), timeout=120)


def read_all(sock: socket.socket) -> bytes:
    data = bytearray()
    while piece := sock.recv(65536):
        data += piece
    return bytes(data)


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_carries_both_ways_and_half_closes(server: Server, service: Callable[..., Service]) -> None:
    far = service(lambda sock: sock.sendall(read_all(sock)[::-1]))
    with ssh.Tunnel(server.target, [far.remote]) as tunnel, dial(tunnel, far.port) as sock:
        assert tunnel.alive
        sock.sendall(b"abc")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b"cba"
    assert not tunnel.alive


def test_far_side_may_end_first(server: Server, service: Callable[..., Service]) -> None:
    heard = []

    def serve(sock: socket.socket) -> None:
        sock.sendall(b"mine")
        sock.shutdown(socket.SHUT_WR)
        heard.append(read_all(sock))

    far = service(serve)
    with ssh.Tunnel(server.target, [far.remote]) as tunnel, dial(tunnel, far.port) as sock:
        assert read_all(sock) == b"mine"
        sock.sendall(b"yours")
        sock.shutdown(socket.SHUT_WR)
        wait_until("the far side to hear us", lambda: heard == [b"yours"])


def test_carries_much_through_a_caller_s_connection(
    connection: ssh.Connection, service: Callable[..., Service]
) -> None:
    far = service(echo)
    raw = os.urandom(6_000_000)
    with (
        ssh.Tunnel(connection, [far.remote]) as tunnel,
        dial(tunnel, far.port) as sock,
        ThreadPoolExecutor(1) as pool,
    ):

        def send() -> None:
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)

        sending = pool.submit(send)
        assert read_all(sock) == raw
        sending.result()
    assert connection.alive


def test_slow_reader_holds_the_sender_back(server: Server, service: Callable[..., Service]) -> None:
    sent = 0

    def serve(sock: socket.socket) -> None:
        nonlocal sent
        for _ in range(1000):
            sock.sendall(b"x" * 65536)
            sent += 65536

    far = service(serve)
    with ssh.Tunnel(server.target, [far.remote]) as tunnel, dial(tunnel, far.port) as sock:
        before = -1
        while before != sent:  # until nothing moves any more
            before = sent
            time.sleep(0.3)
        assert sent < 40_000_000
        assert len(read_all(sock)) == 65_536_000


def test_several_ports_and_several_connections_at_once(
    server: Server, service: Callable[..., Service]
) -> None:
    services = [service(echo) for _ in range(7)]
    with ssh.Tunnel(server.target, [one.remote for one in services]) as tunnel:
        assert len({tunnel.local_port(one.port) for one in services}) == 7

        def ask(number: int) -> bytes:
            with dial(tunnel, services[number % 7].port) as sock:
                sock.sendall(b"%d" % number)
                return sock.recv(10)

        with ThreadPoolExecutor(21) as pool:
            assert list(pool.map(ask, range(42))) == [b"%d" % n for n in range(42)]


def test_small_messages_go_at_once(server: Server, service: Callable[..., Service]) -> None:
    far = service(echo)
    with ssh.Tunnel(server.target, [far.remote]) as tunnel, dial(tunnel, far.port) as sock:
        sock.sendall(b"x")
        sock.recv(1)
        (link,) = tunnel._links
        connection: Any = tunnel._connection
        for one in (link._sock, connection._transport.sock):  # Nagle's algorithm would wait
            assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_local_port_may_be_chosen(
    server: Server, service: Callable[..., Service], free_port: int
) -> None:
    far = service(echo)
    with ssh.Tunnel(server.target, {free_port: far.remote}) as tunnel:
        assert tunnel.local_port(far.port) == free_port


def test_taken_local_port_is_told_and_nothing_stays(
    server: Server, service: Callable[..., Service]
) -> None:
    far = service(echo)
    before = set(threading.enumerate())
    with pytest.raises(UsageError, match=f"Port {far.port} on this computer cannot be used"):
        ssh.Tunnel(server.target, {far.port: far.remote}).start()
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert set(threading.enumerate()) <= before


def test_listens_on_loopback_only(server: Server, service: Callable[..., Service]) -> None:
    far = service(echo)
    with ssh.Tunnel(server.target, [far.remote]) as tunnel:
        assert {one.getsockname()[0] for one in tunnel._listeners} == {"127.0.0.1"}


def test_unknown_port_is_a_key_error(server: Server) -> None:
    with ssh.Tunnel(server.target, []) as tunnel, pytest.raises(KeyError):
        tunnel.local_port(1)


def test_port_that_nobody_listens_on_resets(server: Server, free_port: int) -> None:
    with ssh.Tunnel(server.target, [("127.0.0.1", free_port)]) as tunnel:
        with pytest.raises(ConnectionResetError), dial(tunnel, free_port) as sock:
            sock.recv(1)
        assert tunnel.alive


def test_unreachable_machine_is_told_at_the_start(server: Server) -> None:
    server.stop()
    with pytest.raises(ConnectionFailed, match="refused"):
        ssh.Tunnel(server.target, [("127.0.0.1", 1)]).start()


def test_lost_connection_closes_links_and_the_next_one_reconnects(
    server: Server, service: Callable[..., Service]
) -> None:
    far = service(echo)
    with ssh.Tunnel(server.target, [far.remote]) as tunnel:
        with dial(tunnel, far.port) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
            server.drop_connections()
            with contextlib.suppress(ConnectionError):
                assert sock.recv(1) == b""
        wait_until("the tunnel to notice", lambda: not tunnel.alive)
        with dial(tunnel, far.port) as sock:
            sock.sendall(b"again")
            assert sock.recv(10) == b"again"
        assert tunnel.alive


def test_caller_s_connection_is_not_made_again(
    server: Server, connection: ssh.Connection, service: Callable[..., Service]
) -> None:
    far = service(echo)
    with ssh.Tunnel(connection, [far.remote]) as tunnel:
        server.drop_connections()
        wait_until("the tunnel to notice", lambda: not tunnel.alive)
        # The reset may come before `dial` has looked whether it is connected.
        with pytest.raises(ConnectionResetError), dial(tunnel, far.port) as sock:
            sock.recv(1)


def test_far_side_that_goes_away_ends_the_link(
    server: Server, service: Callable[..., Service]
) -> None:
    far = service(lambda sock: sock.sendall(b"bye"))
    with ssh.Tunnel(server.target, [far.remote]) as tunnel, dial(tunnel, far.port) as sock:
        assert read_all(sock) == b"bye"
    assert not tunnel._links


def test_close_ends_everything(server: Server, service: Callable[..., Service]) -> None:
    far = service(echo)
    with ssh.connect(server.target, timeout=120) as warm:  # what is made once per process
        warm.run("true")
    threads, files = set(threading.enumerate()), descriptors()
    tunnel = ssh.Tunnel(server.target, [far.remote])
    tunnel.start()
    port = tunnel.local_port(far.port)
    socks = [socket.create_connection(("127.0.0.1", port), timeout=120) for _ in range(5)]
    for sock in socks:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    begin = time.monotonic()
    tunnel.close()
    tunnel.close()
    assert time.monotonic() - begin < tunnels._JOIN  # no thread was waited for in vain
    for sock in socks:
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1) == b""
        sock.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    ours = {thread for thread in threading.enumerate() if thread.name.startswith("tunnel-")}
    assert not ours - threads
    wait_until("files to be closed", lambda: descriptors() <= files)
