"""One search at a time writes a ledger, and nothing that is in it is cut off."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spotcluster.errors import SearchError
from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.results import record as ledgers
from spotcluster.search.results.ledger import Ledger
from spotcluster.search.results.record import Header

HEADER = Header("abc", "GridSearch", "q", {}, [])
HERE = f"process {os.getpid()}"
PROCESS = f"process, {os.getpid()}"
HOST = platform.node()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture(params=["locks", "no locks"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A disk that knows locks, or one that does not: as NFS may be mounted."""
    if request.param == "no locks":

        def refuse(*_: Any) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", refuse)
    return str(request.param)


def claim(path: Path) -> Ledger:
    with Ledger.claimed(path) as book:
        return book


def note(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def test_one_search_writes_at_a_time(path: Path, disk: str) -> None:
    book = Ledger.create(path, HEADER)
    with pytest.raises(
        SearchError, match=rf"Another search is writing.*this process, {os.getpid()}"
    ):
        claim(path)
    book.append([Evaluation(0, 0, 0.5)])
    book.close()
    again = claim(path)
    assert again.record is not None
    assert list(again.record.evaluations) == [(0, 0)]
    again.close()
    assert list(path.parent.iterdir()) == [path]


def test_what_was_told_between_reading_and_locking_was_cut_off(path: Path) -> None:
    book = Ledger.create(path, HEADER)
    book.append([Evaluation(0, 0, 0.5)])
    seen = ledgers.read(path)
    book.append([Evaluation(0, n, 0.5) for n in range(1, 12)])
    book.close()
    with Ledger.claimed(path) as again:
        record = again.go_on()
        again.close()
    assert (len(seen.evaluations), len(record.evaluations)) == (1, 12)
    assert len(ledgers.read(path).evaluations) == 12


WRITER = """
import os, sys, time
from pathlib import Path
from spotcluster.search.results.ledger import Ledger
from spotcluster.search.results.record import Header
book = Ledger.create(Path(sys.argv[1]), Header("abc", "GridSearch", "q", {}, []))
child = os.fork() if sys.argv[2] == "fork" else -1
if child:
    print(os.getpid(), child, flush=True)
time.sleep(250)
"""


@pytest.fixture
def writer(path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """A process that writes, and its child."""
    command = [sys.executable, "-c", WRITER, str(path), request.param]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    pid, child = map(int, process.stdout.readline().split())
    yield pid, child
    for one in (pid, child):
        if one > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("writer", ["fork"], indirect=True)
def test_a_forked_child_of_a_killed_process_kept_the_lock(
    path: Path, writer: tuple[int, int]
) -> None:
    pid, child = writer
    with pytest.raises(SearchError, match=f"process {pid} on {HOST}"):
        claim(path)
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}/fd").exists() and os.waitpid(pid, os.WNOHANG) == (0, 0):
        pass
    os.kill(child, 0)  # it goes on
    claim(path).close()


@pytest.mark.parametrize("disk", ["no locks"], indirect=True)
def test_a_lock_of_a_process_that_is_no_more_was_kept(path: Path, disk: str) -> None:
    book = Ledger.create(path, HEADER)
    who = json.loads(note(path).read_bytes())
    book.close()
    note(path).write_text(json.dumps({**who, "began": 1.0}))  # its number is another's now
    claim(path).close()
    note(path).write_text(json.dumps({**who, "host": "elsewhere"}))
    with pytest.raises(
        SearchError, match=rf"{HERE} on elsewhere \(if it has ended, delete"
    ) as held:
        claim(path)
    assert str(note(path)) in str(held.value)


def test_a_disk_that_fails_was_another_search(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "I/O")))
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "I/O")))
    with pytest.raises(SearchError, match=r"cannot be locked \(I/O\)"):
        claim(path)


def test_what_is_refused_leaves_nothing(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Ledger.claimed(path):
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []
    with pytest.raises(SearchError, match="cannot be read"), Ledger.claimed(path, new=False):
        pass
    assert list(path.parent.iterdir()) == []
    path.write_bytes(b"no ledger\n")
    with pytest.raises(SearchError, match="damaged"):
        claim(path)
    assert path.read_bytes() == b"no ledger\n"
    path.unlink()
    Ledger.create(path, HEADER).close()
    with pytest.raises(ZeroDivisionError), Ledger.claimed(path):
        raise ZeroDivisionError
    claim(path).close()


def test_a_ledger_was_put_in_its_place_between_opening_and_locking(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger.create(path, HEADER).close()
    lock, opened = fcntl.flock, []

    def late(handle: int, how: int) -> None:
        opened.append(handle)
        if len(opened) == 1:
            aside = path.with_name("aside")
            aside.write_bytes(path.read_bytes())
            aside.replace(path)
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with Ledger.claimed(path) as book:
        book.go_on()
        book.append([Evaluation(0, 0, 0.5)])
        book.close()
    assert len(opened) == 2
    assert list(ledgers.read(path).evaluations) == [(0, 0)]
