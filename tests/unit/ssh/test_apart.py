"""A Ctrl-C while something goes over a connection."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import paramiko
import pytest
from commands import wait_until

from spotcluster import ssh
from spotcluster.ssh import transfer
from spotcluster.steps import Step

from .conftest import Server

PARAMIKO = str(Path(paramiko.__file__).parent)
SLEEPS = "touch began; sleep 300"
SLEEP: list[Callable[[ssh.Connection], object]] = [
    lambda connection: connection.run(SLEEPS),
    lambda connection: list(connection.stream(["sh", "-c", SLEEPS], what="it", silence=300)),
]

DOES: dict[str, Callable[[ssh.Connection, Path], object]] = {
    "run": lambda connection, _: connection.run("cat", input=bytes(100_000)),
    "run_each": lambda connection, _: connection.run_each([Step("true", "it", 60)], timeout=60),
    "put": lambda connection, _: connection.put(bytes(100_000), "there"),
    "get": lambda connection, _: connection.get("large"),
    "stream": lambda connection, _: list(
        connection.stream(["cat", "large"], what="it", silence=60)
    ),
    "copy": lambda connection, folder: transfer.put(connection, [folder / "large"], "copy"),
    "copy back": lambda connection, folder: transfer.get(connection, ["large"], folder / "back"),
}


@pytest.fixture
def folder(server: Server, tmp_path: Path) -> Path:
    (tmp_path / "large").write_bytes(os.urandom(1_000_000))
    (server.home / "large").write_bytes(os.urandom(1_000_000))
    return tmp_path


@pytest.fixture
def heard() -> Iterator[None]:
    """Have SIGINT raise KeyboardInterrupt, whatever runs the tests does with it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ctrl_c_once(condition: Callable[[], bool]) -> None:
    """Send this process what a terminal sends, as soon as something is so."""

    def send() -> None:
        wait_until("what is to be interrupted", condition)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send, daemon=True).start()


@pytest.mark.parametrize("what", DOES)
def test_ctrl_c_left_a_lock_of_paramikos_taken_and_the_end_hung(
    connection: ssh.Connection, folder: Path, what: str
) -> None:
    # What runs in the main thread can be interrupted between any two steps; so none of paramiko is.
    seen: set[str] = set()

    def note(frame: FrameType, _event: str, _argument: object) -> None:
        if frame.f_code.co_filename.startswith(PARAMIKO):
            seen.add(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")

    sys.setprofile(note)
    try:
        DOES[what](connection, folder)
    finally:
        sys.setprofile(None)
    assert not seen


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("does", SLEEP)
def test_ctrl_c_ends_what_runs_and_the_connection(
    server: Server, connection: ssh.Connection, does: Callable[[ssh.Connection], object]
) -> None:
    ctrl_c_once((server.home / "began").exists)
    with pytest.raises(KeyboardInterrupt):
        does(connection)
    assert not connection.alive
    with ssh.connect(server.target, timeout=120) as another:
        assert another.run("echo on").stdout == "on\n"


@pytest.mark.usefixtures("heard")
def test_ctrl_c_ends_a_copy_which_then_goes_on(
    server: Server, connection: ssh.Connection, tmp_path: Path
) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(200_000_000)
    part = server.home / ".large.spotcluster-part"
    ctrl_c_once(lambda: part.exists() and part.stat().st_size > 1_000_000)
    with pytest.raises(KeyboardInterrupt):
        transfer.put(connection, [tmp_path / "large"], ".")
    assert not (server.home / "large").exists()
    with ssh.connect(server.target, timeout=120) as another:
        report = transfer.put(another, [tmp_path / "large"], ".")
    assert report.sent <= 199_000_000
    assert (server.home / "large").stat().st_size == 200_000_000


def test_stream_that_is_left_early_leaves_the_connection_alone(connection: ssh.Connection) -> None:
    pieces = connection.stream(["sh", "-c", "echo on; sleep 300"], what="it", silence=300)
    assert next(pieces) == b"on\n"
    pieces.close()
    assert connection.run("echo still").stdout == "still\n"


def test_stream_is_not_read_ahead_without_end(connection: ssh.Connection) -> None:
    script = "while :; do printf . >> said; head -c 65536 /dev/zero; done"
    pieces = connection.stream(["sh", "-c", script], what="it", silence=300)
    next(pieces)
    counts = [0, len(connection.get("said"))]
    while counts[-2] != counts[-1] < 200:
        threading.Event().wait(0.5)
        counts.append(len(connection.get("said")))
    assert counts[-1] < 200  # 13 MB: a channel's window, pipes, and what waits for us
    pieces.close()
