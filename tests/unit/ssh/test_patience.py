"""Waiting for a machine that boots."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from spotcluster import ssh
from spotcluster.errors import ConnectionFailed, HostKeyMismatch
from spotcluster.ssh import patience

from .conftest import Server


class Attempts:
    """A `should_stop` that tells a test how many attempts have failed."""

    def __init__(self) -> None:
        self.count = 0
        self._condition = threading.Condition()

    def __call__(self) -> str | None:
        with self._condition:
            self.count += 1
            self._condition.notify_all()
        return None

    def wait(self, count: int) -> None:
        with self._condition:
            assert self._condition.wait_for(lambda: self.count >= count, 120)


def waiting(
    target: ssh.Target, attempts: Attempts, then: Callable[[], None]
) -> Future[ssh.Connection]:
    """Wait for `target` in a thread; call `then` after two failed attempts."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(ssh.wait_for, target, timeout=120, should_stop=attempts)
        attempts.wait(2)
        then()
    return future


def test_waits_for_a_port_that_opens_late(
    make_server: Callable[..., Server], free_port: int
) -> None:
    server = make_server()
    server.port = free_port
    with waiting(server.target, Attempts(), server.start).result() as connection:
        assert connection.run("echo up").stdout == "up\n"


def test_waits_for_a_key_that_is_let_in_late(server: Server) -> None:
    right, server.user_key = server.user_key, ssh.keys.generate()

    def let_in() -> None:
        server.user_key = right

    waiting(server.target, Attempts(), let_in).result().close()


def test_waits_for_a_host_key_that_is_replaced_late(
    make_server: Callable[..., Server],
) -> None:
    server = make_server()
    server.start()
    target = replace(server.target, host_key=ssh.keys.generate().public)
    pair = ssh.keys.generate()
    target = replace(target, host_key=pair.public)

    def replace_key() -> None:
        server.stop()
        server.host_key = pair
        server.start()

    waiting(target, Attempts(), replace_key).result().close()


def test_says_how_long_and_what_was_last(server: Server, free_port: int) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        ssh.wait_for(replace(server.target, port=free_port), timeout=1.2)
    said = re.match(
        r"node001: SSH did not let us in within (\d+) s; last, 127\.0\.0\.1 port \d+ refused",
        str(caught.value),
    )
    assert said
    assert 1 <= int(said[1]) < 60


def test_refused_key_is_borne_for_a_limited_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_KEY_REFUSED_FOR", 1.0)
    begin = time.monotonic()
    with pytest.raises(ConnectionFailed, match="does not let nobody in"):
        ssh.wait_for(replace(server.target, user="nobody"), timeout=60)
    assert 1.0 <= time.monotonic() - begin < 50
    assert len(server.connections) > 1


def test_other_host_key_is_borne_for_a_limited_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_OTHER_HOST_KEY_FOR", 1.0)
    with pytest.raises(HostKeyMismatch, match=r"within \d+ s; last, the machine at"):
        ssh.wait_for(replace(server.target, host_key=ssh.keys.generate().public), timeout=60)
    assert len(server.connections) > 1


def test_reason_to_stop_ends_the_waiting(server: Server, free_port: int) -> None:
    with pytest.raises(ConnectionFailed, match=r"^node001: the instance was terminated\.$"):
        ssh.wait_for(
            replace(server.target, port=free_port),
            timeout=60,
            should_stop=lambda: "the instance was terminated.",
        )
