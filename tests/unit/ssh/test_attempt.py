"""One attempt to connect, and every way in which it can fail."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from spotcluster import ssh
from spotcluster.errors import ConnectionFailed, HostKeyMismatch, UsageError

from .conftest import Server


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen on a port; every connection gets `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                kept.append(sock)
                answer(sock)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for sock in kept:
                sock.close()
            thread.join(60)


def test_connects_and_closes(server: Server) -> None:
    with ssh.connect(server.target, timeout=120) as connection:
        assert connection.alive
        assert connection.run("echo hi").stdout == "hi\n"
    assert not connection.alive


def test_small_messages_are_not_held_back(connection: ssh.Connection) -> None:
    sock = connection._transport.sock
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_refused_port(server: Server, free_port: int) -> None:
    with pytest.raises(ConnectionFailed, match="refused the connection") as caught:
        ssh.connect(replace(server.target, port=free_port), timeout=120)
    assert str(caught.value).startswith(f"node001: 127.0.0.1 port {free_port} refused")
    assert "booting" in caught.value.hint


def test_unknown_host(server: Server) -> None:
    with pytest.raises(ConnectionFailed, match="has no address"):
        ssh.connect(replace(server.target, host="no-such-host.invalid"), timeout=120)


def test_silent_port_times_out(server: Server) -> None:
    begin = time.monotonic()
    with answering(lambda sock: None) as port, pytest.raises(ConnectionFailed) as caught:
        ssh.connect(replace(server.target, port=port), timeout=0.5)
    assert "did not answer (connected, but SSH's handshake did not end)" in str(caught.value)
    assert time.monotonic() - begin < 12  # paramiko would wait for 15


def test_port_that_falls_silent_after_its_banner_times_out(server: Server) -> None:
    with (
        answering(lambda sock: sock.sendall(b"SSH-2.0-Silent\r\n")) as port,
        pytest.raises(ConnectionFailed, match="handshake did not end"),
    ):
        ssh.connect(replace(server.target, port=port), timeout=0.5)


def test_full_queue_times_out(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(4):  # nobody accepts: the kernel drops what does not fit
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        try:
            with pytest.raises(ConnectionFailed, match="did not answer"):
                ssh.connect(replace(server.target, port=port), timeout=0.4)
        finally:
            for filler in fillers:
                filler.close()


@pytest.mark.parametrize("sent", [b"", b"Not allowed at this time\r\n", b"SSH-2.0-Gone\r\n"])
def test_early_close(server: Server, sent: bytes) -> None:
    def close(sock: socket.socket) -> None:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)

    with (
        answering(close) as port,
        pytest.raises(ConnectionFailed, match="closed the connection before SSH was set up"),
    ):
        ssh.connect(replace(server.target, port=port), timeout=120)


def test_reset_is_an_early_close(server: Server) -> None:
    def reset(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()

    with (
        answering(reset) as port,
        pytest.raises(ConnectionFailed, match="closed the connection before SSH was set up"),
    ):
        ssh.connect(replace(server.target, port=port), timeout=120)


@pytest.mark.parametrize(
    "sent", [b"HTTP/1.1 400 Bad Request\r\n" * 120, b"SSH-1.5-old\r\n", b"SSH-nonsense\r\n"]
)
def test_other_protocol_is_not_ssh(server: Server, sent: bytes) -> None:
    with (
        answering(lambda sock: sock.sendall(sent)) as port,
        pytest.raises(ConnectionFailed, match=r"does not speak SSH|no method in common"),
    ):
        ssh.connect(replace(server.target, port=port), timeout=120)


def test_other_host_key_is_refused_with_both_fingerprints(server: Server) -> None:
    expected = ssh.keys.generate().public
    with pytest.raises(HostKeyMismatch) as caught:
        ssh.connect(replace(server.target, host_key=expected), timeout=120)
    said = str(caught.value)
    assert ssh.keys.fingerprint(expected) in said
    assert ssh.keys.fingerprint(server.host_key.public) in said
    assert "another machine on the same address" in said


def test_host_key_comment_does_not_matter(server: Server) -> None:
    line = " ".join(server.host_key.public.split()[:2]) + " other comment"
    ssh.connect(replace(server.target, host_key=line), timeout=120).close()


def test_broken_host_key_is_told_before_anything_is_sent(server: Server) -> None:
    with pytest.raises(UsageError, match="not a public key"):
        ssh.connect(replace(server.target, host_key="ssh-ed25519 AAAA"), timeout=120)
    assert server.connections == []


def test_other_key_is_refused(server: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch(mode=0o600)
    other.write_text(ssh.keys.generate().private)
    with pytest.raises(ConnectionFailed, match="does not let worker in with the key") as caught:
        ssh.connect(replace(server.target, key_path=other), timeout=120)
    assert str(other) in str(caught.value)
    assert "ubuntu" in caught.value.hint


def test_other_user_is_refused(server: Server) -> None:
    with pytest.raises(ConnectionFailed, match="does not let nobody in"):
        ssh.connect(replace(server.target, user="nobody"), timeout=120)


def test_missing_key_is_told_before_anything_is_sent(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no private key"):
        ssh.connect(replace(server.target, key_path=tmp_path / "nope"), timeout=120)
    assert server.connections == []


def test_failed_attempts_leave_no_threads(server: Server, free_port: int) -> None:
    before = set(threading.enumerate())
    for target in (
        replace(server.target, port=free_port),
        replace(server.target, user="nobody"),
        replace(server.target, host_key=ssh.keys.generate().public),
    ):
        with pytest.raises((ConnectionFailed, HostKeyMismatch)):
            ssh.connect(target, timeout=120)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert set(threading.enumerate()) <= before


def test_what_paramiko_complains_of_is_a_detail_in_our_log(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.DEBUG, logger="spotcluster"),
        answering(lambda sock: sock.close()) as port,
        pytest.raises(ConnectionFailed),
    ):
        ssh.connect(replace(server.target, port=port), timeout=120)
    records = [record for record in caplog.records if "asyncssh" not in record.name]
    assert {record.name.split(".")[0] for record in records} <= {"spotcluster", "asyncio"}
    assert {record.levelno for record in records if "paramiko" in record.name} <= {logging.DEBUG}
