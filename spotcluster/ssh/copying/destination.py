"""Where things go, as `cp -r` would take it."""

from __future__ import annotations

import errno
import os

from .folders import aside
from .wire import RefusedError, reason, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .manifest import Entry

FULL = (errno.ENOSPC, errno.EDQUOT)


class Destination:
    """The folder that everything goes below; gives entries their names in it.

    Attributes
    ----------
    base : bytes
        That folder.
    renamed : (bytes, bytes) or None
        The name aside of the one folder that there is, and the name it gets when it is whole.
    is_file : bool
        Whether the one thing that there is gets a name of its own at once.

    Raises
    ------
    RefusedError
        It is no place for what there is, or cannot be written.
    """

    def __init__(self, dest: bytes, entries: Sequence[Entry]) -> None:
        self.renamed: tuple[bytes, bytes] | None = None
        self.is_file = False
        self._dest = dest
        self._entries = entries
        self.base = self._place()

    def _place(self) -> bytes:
        dest, tops = self._dest, {entry.names[0] for entry in self._entries}
        try:
            if not dest or b"\0" in dest:
                raise RefusedError("missing", shown(dest) + " is not a file name")
            if os.path.isdir(dest):
                return self._into(dest)
            if os.path.lexists(dest.rstrip(b"/")) and (dest.endswith(b"/") or len(tops) > 1):
                raise RefusedError("folder", shown(dest) + " is not a folder")
            if dest.endswith(b"/"):
                os.makedirs(dest)
                return self._into(dest)
        except OSError as error:
            raise cannot_write(dest, error) from None
        if len(tops) != 1:
            raise RefusedError(
                "folder", "several things need a folder, and there is no folder " + shown(dest)
            )
        folder, name = os.path.split(dest)
        if not os.path.isdir(folder or b"."):
            raise RefusedError("missing", "there is no folder " + shown(folder))
        self._rename(name)
        return folder or b"."

    def _into(self, dest: bytes) -> bytes:
        for entry in self._entries:
            if entry.names[0] == b".":
                del entry.names[0]
        return dest

    def _rename(self, name: bytes) -> None:
        """Let the one thing that there is be `name`; a folder, aside until it is whole.

        Otherwise the same command, repeated after a cut, would find a folder and copy into it.
        """
        new = name
        if self._entries and self._entries[0].kind == "d":
            new = aside(name)
            self.renamed = (new, name)
        else:
            self.is_file = True
        for entry in self._entries:
            entry.names[0] = new


def cannot_write(dest: bytes, error: OSError) -> RefusedError:
    """Return the error for a destination that the system does not let us write."""
    code = "full" if error.errno in FULL else "denied"
    return RefusedError(code, shown(dest) + " cannot be written: " + reason(error))
