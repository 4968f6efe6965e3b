"""The list of what the other end has; no name or link in it leads out of the destination."""

from __future__ import annotations

import fnmatch

from . import digests, wire
from .folders import ASIDE
from .wire import Pipe, RefusedError, from_wire, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Entry:
    """One thing that the other end has, and where it belongs: `names` below the destination."""

    __slots__ = ("kind", "mode", "mtime", "name", "names", "size", "state", "target")

    def __init__(self, said: Any) -> None:
        try:
            self.name, self.kind, mode, mtime, size, target = said
            self.mode, self.mtime, self.size = int(mode) & 0o777, int(mtime), int(size)
            self.names = [from_wire(one) for one in self.name.split("/")]
            self.target = from_wire(target)
        except (TypeError, ValueError, AttributeError):
            raise wire.nonsense() from None
        plain = self.names[1:] if self.names[0] == b"." else self.names
        written = self.kind not in ("-", "!")  # what is only told of may be called as it is there
        for one in plain:
            aside = written and one.endswith(ASIDE)
            if one in (b"", b".", b"..") or b"\0" in one or aside:
                raise RefusedError(
                    "hostile", "it sent the name " + shown(self.name) + ", which is not allowed"
                )
        if self.size < 0 or self.kind not in ("f", "d", "l", "-", "!"):
            raise wire.nonsense()
        if self.kind == "f" and self.target and not digests.is_etag(target):
            raise wire.nonsense()
        if self.kind == "l" and not wire.stays_inside(self.names[1:], self.target):
            raise RefusedError(
                "hostile",
                "it sent the link " + shown(self.name) + ", which leads out of its folder",
            )
        self.state = ""


def read_manifest(pipe: Pipe, patterns: Sequence[str] | None) -> list[Entry]:
    """Return what the other end has, if it is what was asked for."""
    entries: list[Entry] = []
    while True:
        kind, payload = pipe.expect()
        if kind == wire.END:
            return entries
        for said in wire.parsed(payload):
            entry = Entry(said)
            top = entry.name.split("/")[0]
            if patterns is not None and not any(
                top == one or (top != "." and fnmatch.fnmatchcase(top, one)) for one in patterns
            ):
                raise RefusedError(
                    "hostile", "it sent " + shown(entry.name) + ", which was not asked for"
                )
            entries.append(entry)
