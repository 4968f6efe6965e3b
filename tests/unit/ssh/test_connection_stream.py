"""Programs whose output is passed on as it comes."""

from __future__ import annotations

import time

import pytest

from spotcluster import ssh
from spotcluster.errors import ConnectionFailed, RemoteCommandFailed

from .conftest import Server


def test_output_comes_before_the_program_has_ended(connection: ssh.Connection) -> None:
    script = "echo first; sleep 300"
    pieces = connection.stream(["sh", "-c", script], what="it", silence=30)
    begin = time.monotonic()
    assert next(pieces) == b"first\n"
    pieces.close()
    assert time.monotonic() - begin < 30
    assert connection.run("echo free").stdout == "free\n"


def test_words_and_bytes_arrive_as_they_are(connection: ssh.Connection) -> None:
    words = ["printf", "%s|", "a b", "$(x)", "'", "\n", "*"]
    assert b"".join(connection.stream(words, what="it", silence=30)) == b"a b|$(x)|'|\n|*|"
    raw = b"".join(connection.stream(["printf", r"\377\000\n"], what="it", silence=30))
    assert raw == b"\xff\0\n"


def test_all_of_a_large_output_comes(connection: ssh.Connection) -> None:
    command = ["head", "-c", "20000000", "/dev/zero"]
    got = sum(len(piece) for piece in connection.stream(command, what="it", silence=30))
    assert got == 20_000_000


def test_failure_carries_the_status_and_what_was_said(connection: ssh.Connection) -> None:
    with pytest.raises(RemoteCommandFailed, match="why not") as caught:
        list(connection.stream(["sh", "-c", "echo why not >&2; exit 9"], what="it", silence=30))
    assert caught.value.status == 9


def test_silence_counts_as_a_lost_connection(connection: ssh.Connection) -> None:
    with pytest.raises(ConnectionFailed, match="lost during it"):
        list(connection.stream(["sleep", "300"], what="it", silence=0.3))


def test_lost_connection_is_said(server: Server, connection: ssh.Connection) -> None:
    pieces = connection.stream(["sh", "-c", "echo on; sleep 300"], what="it", silence=30)
    next(pieces)
    server.drop_connections()
    with pytest.raises(ConnectionFailed, match="lost during it"):
        list(pieces)


def test_another_user_runs_it_by_sudo(server: Server, connection: ssh.Connection) -> None:
    with pytest.raises(RemoteCommandFailed):
        list(connection.stream(["true"], what="it", user="no-such-user", silence=30))
    assert server.commands[-1].startswith("exec sudo -n -H -u no-such-user -- true")
