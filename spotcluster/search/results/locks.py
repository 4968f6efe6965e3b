"""One search at a time writes a ledger, whatever disk it is on, and others can say who does.

The file itself is locked, so that the lock ends with the process however that ends. Where the disk
knows no locks (some that are mounted from elsewhere), a file beside the ledger is the lock. It is
there in any case, to say which process it is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import time
import uuid
from pathlib import Path
from typing import Any

import psutil

from spotcluster import starts

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class Held(Exception):
    """Somebody else has the lock; the text says who."""


class Lock:
    """The right to write a file; `path` is the file's."""

    def __init__(self, path: Path) -> None:
        self._note = path.with_name(f".{path.name}.lock")
        self._mine = b""

    @property
    def note(self) -> Path:
        """The file beside it, which says who writes."""
        return self._note

    def take(self, handle: int) -> None:
        """Lock an open file.

        Raises
        ------
        Held
            If somebody else has locked it.
        OSError
            If it cannot be locked at all.
        """
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                raise Held(_told(self._read())) from None
            self._take_note()
            return
        with contextlib.suppress(OSError):  # in a folder where only this file can be written
            self._write(self._note)

    def let_go(self) -> None:
        """Say so no more; the file's own lock ends when it is closed, which is to follow."""
        with contextlib.suppress(OSError):
            if self._mine and self._note.read_bytes() == self._mine:
                self._note.unlink()
        self._mine = b""

    def _take_note(self) -> None:
        """Make the file beside it, which only one can do."""
        aside = self._note.with_name(f"{self._note.name}.{uuid.uuid4().hex}")
        try:
            self._write(aside)
            for _ in range(2):
                try:
                    os.link(aside, self._note)
                except FileExistsError:
                    self._clear()
                else:
                    return
        finally:
            with contextlib.suppress(OSError):
                aside.unlink()
        raise Held(_told(self._read()))

    def _clear(self) -> None:
        """Take away what a process of this computer has left that is no more."""
        found = self._read()
        if found.get("host") != platform.node() or _lives(found):
            raise Held(
                f"{_told(found)} (if it has ended, delete {self._note}: this disk knows no locks)"
            )
        gone = self._note.with_name(f"{self._note.name}.{uuid.uuid4().hex}")
        with contextlib.suppress(FileNotFoundError):
            self._note.rename(gone)  # which only one can do
            gone.unlink()

    def _write(self, path: Path) -> None:
        process = psutil.Process()
        who = {"pid": process.pid, "began": starts.start_of(process), "host": platform.node()}
        self._mine = json.dumps({**who, "at": time.time()}).encode()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(self._mine)

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._note.read_bytes())
            if isinstance(found, dict) and isinstance(found.get("pid"), int):
                return found
        return {}


def _told(who: dict[str, Any]) -> str:
    if not who:
        return "another process"
    if (who["pid"], who.get("host")) == (os.getpid(), platform.node()):
        return f"this process, {who['pid']}"
    return f"process {who['pid']} on {who.get('host')}"


def _lives(who: dict[str, Any]) -> bool:
    try:
        found = psutil.Process(who["pid"])
        return "began" not in who or starts.is_of(found, who["began"])
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, ValueError, TypeError):
        return True
