"""The ledger: a search on disk, so that another client can go on with it.

A line is on the disk before anybody is told of what it says; `record` says what is in which.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from spotcluster import files
from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import Candidate
from spotcluster.search.data.evaluations import Evaluation, Retry
from spotcluster.search.results import record
from spotcluster.search.results.locks import Held, Lock
from spotcluster.search.results.record import Header, Record


class Ledger:
    """A ledger open for writing, by one search at a time.

    Attributes
    ----------
    record : Record or None
        What was in it when it was locked; None of a new one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record: Record | None = None
        self._id = ""
        self._file: Any = None
        self._lock = Lock(path)

    @classmethod
    @contextlib.contextmanager
    def claimed(cls, path: Path, *, new: bool = True) -> Iterator[Ledger]:
        """Lock a ledger, and then read it: nobody writes between the two, or after.

        Parameters
        ----------
        path : Path
        new : bool
            Whether it may be one that there is not yet.

        Yields
        ------
        Ledger
            It is let go if the body raises, and else stays open.

        Raises
        ------
        SearchError
            If another search is writing to it, or it cannot be read or written.
        """
        ledger = cls(path)
        ledger._open(new=new)
        try:
            ledger.record = ledger._read(new=new)
            yield ledger
        except BaseException:
            ledger._withdraw()
            raise

    @classmethod
    def create(cls, path: Path, header: Header) -> Ledger:
        """Start a ledger."""
        with cls.claimed(path) as ledger:
            ledger.begin(header)
            return ledger

    def begin(self, header: Header) -> None:
        """Write the first line."""
        self._id = header.id
        self._write([record.header_line(header)])

    def go_on(self) -> Record:
        """Go on after the last line that could be read."""
        assert self.record is not None
        self._id = self.record.header.id
        self._file.truncate(self.record.size)
        if self.record.accepted is not None:
            self._write([self.record.accepted])
        return self.record

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Write more candidates; they are on the disk when this returns."""
        if candidates and self._file is not None:
            self._write([record.candidates_line(self._id, candidates)])

    def append(self, items: Iterable[Evaluation | Retry]) -> None:
        """Write finished evaluations and retries; they are on the disk when this returns."""
        if self._file is not None:
            self._write(
                {
                    "kind": "evaluation" if isinstance(item, Evaluation) else "retry",
                    **item.as_plain(),
                }
                for item in items
            )

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            file, self._file = self._file, None
            self._lock.let_go()
            file.close()
            _open.discard(self)

    def _open(self, *, new: bool) -> None:
        while self._file is None:
            try:
                if new:
                    files.make_parents(self.path)
                handle = os.open(
                    self.path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if new else 0), 0o600
                )
            except OSError as error:
                verb = "written" if new else "read"
                raise SearchError(
                    f"The ledger {self.path} cannot be {verb} ({error.strerror}).",
                    "Name a file in a folder of yours.",
                ) from error
            self._file = os.fdopen(handle, "r+b", buffering=0)
            self._take_lock(handle)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), self.path.stat()):
                    _open.add(self)
                    return
            self.close()  # somebody has put another one in its place meanwhile

    def _take_lock(self, handle: int) -> None:
        try:
            self._lock.take(handle)
        except Held as held:
            self.close()
            raise SearchError(
                f"Another search is writing to the ledger {self.path}: {held}.",
                "Abort that search first, or give this one another ledger.",
            ) from None
        except OSError as error:
            self.close()
            raise SearchError(
                f"The ledger {self.path} cannot be locked ({error.strerror}).",
                "Name a file in another folder.",
            ) from error

    def _read(self, *, new: bool) -> Record | None:
        self._file.seek(0)
        if new and not os.fstat(self._file.fileno()).st_size:
            return None
        with os.fdopen(os.dup(self._file.fileno()), "rb") as reading:
            return record.of_lines(self.path, reading)

    def _withdraw(self) -> None:
        """Let go, and leave no empty file behind."""
        with contextlib.suppress(OSError):
            if self._file is not None and not os.fstat(self._file.fileno()).st_size:
                self.path.unlink()
        self.close()

    def _lose(self) -> None:
        """Close the file in a process that was forked: its lock is the parent's."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write(self, lines: Iterable[dict[str, Any]]) -> None:
        # One by one: of what is there at once Python would look for garbage in all that there is.
        rest = memoryview("".join([f"{record.in_json(line)}\n" for line in lines]).encode())
        if not rest:
            return
        size = self._file.seek(0, os.SEEK_END)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            # A full disk: nobody is told of these, so they are no part of it.
            with contextlib.suppress(OSError):
                self._file.truncate(size)
            raise


_open: weakref.WeakSet[Ledger] = weakref.WeakSet()


def _lose_all() -> None:
    for ledger in list(_open):
        ledger._lose()
    _open.clear()


# A lock lasts until the last process that has inherited it has ended, which may be long after.
os.register_at_fork(after_in_child=_lose_all)


def new_path() -> Path:
    """Return where a ledger may be that nobody has named."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return files.private_dir("searches") / f"{stamp}-{uuid.uuid4().hex[:8]}.jsonl"
