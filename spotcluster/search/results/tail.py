"""A ledger that is followed while its search writes to it: each line is read once."""

from __future__ import annotations

from pathlib import Path

from spotcluster.search.results import record
from spotcluster.search.results.record import Record

_AT_ONCE = 4_000_000  # bytes


class Tail:
    """What a ledger has said so far.

    Attributes
    ----------
    record : Record or None
        None as long as its first line is not there.
    place : int
        How many of its bytes have been read.

    Raises
    ------
    ValueError, TypeError, KeyError, AttributeError or OverflowError
        By `feed` and `read`, of a line that is damaged.
    """

    def __init__(self) -> None:
        self.record: Record | None = None
        self.place = 0
        self._rest = b""

    def feed(self, data: bytes) -> bool:
        """Take the bytes that follow; return whether they had a whole line in them."""
        self.place += len(data)
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if not newline:
            return False
        items, error = record.parsed((whole + newline).splitlines(keepends=True))
        if self.record is None and items:
            self.record = Record(record.header_from(items.pop(0)))
        if self.record is not None:
            for _ in record.taken(self.record, items):
                pass
        if error is not None:
            raise error
        return True

    def read(self, path: Path) -> bool:
        """Take what has come to a file on this computer; return whether there was a whole line."""
        with path.open("rb") as file:
            file.seek(self.place)
            news = False
            while data := file.read(_AT_ONCE):
                news = self.feed(data) or news
            return news
