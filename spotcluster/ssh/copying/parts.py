"""Files that are written aside, and get their names when they are whole."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from . import wire
from .folders import aside, look
from .wire import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .manifest import Entry

_PART = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def open_part(name: bytes, folder: int, beat: Callable[[], Any]) -> int:
    """Return the file aside of `name`, for reading and writing, which is ours alone.

    Raises
    ------
    OSError
        It cannot be made, or another copy is writing it (EBUSY), or something else has its name.
    """
    end = time.monotonic() + wire.HELD
    part = aside(name)
    while True:
        handle = os.open(part, _PART, 0o600, dir_fd=folder)
        try:
            mine = os.fstat(handle)
            _check_part(mine, part)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = look(part, folder)
            if found is not None and os.path.samestat(found, mine):
                return handle
        except BlockingIOError:
            # A former copy whose laptop has gone without a word holds it for some time.
            if time.monotonic() > end:
                os.close(handle)
                raise OSError(errno.EBUSY, "another copy is writing it") from None
            time.sleep(0.1)
            beat()
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def finish(handle: int, name: bytes, folder: int, entry: Entry) -> None:
    """Give a file that is whole its mode, its time and its name."""
    seal(handle, entry)
    found = look(name, folder)
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, "there is a folder of that name")
    os.rename(aside(name), name, src_dir_fd=folder, dst_dir_fd=folder)
    entry.state = "moved"


def seal(handle: int, entry: Entry) -> None:
    """Give a file its mode and time."""
    os.fchmod(handle, entry.mode)
    try:
        os.utime(handle, ns=(entry.mtime, entry.mtime))
    except OverflowError:
        raise OSError(errno.EINVAL, "it has an impossible time") from None


def _check_part(found: os.stat_result, part: bytes) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise OSError(errno.EEXIST, "something else has the name " + shown(part))


def write(handle: int, data: bytes) -> OSError | None:
    """Write all of `data`; return the error if it cannot be written."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(handle, rest) :]
    except OSError as error:
        return error
    return None
