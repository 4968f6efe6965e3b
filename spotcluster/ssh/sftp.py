"""Single files over SFTP, for set-up: written aside and then renamed, read whole.

Nothing but SSH is needed on the machine, as it may be new; what users move goes by `transfer`.

Names are names: SFTP knows no quoting, no patterns and no options.
"""

from __future__ import annotations

import contextlib
import errno
import posixpath
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spotcluster.errors import UsageError

_CHUNK = 32 * 1024  # the most that one SFTP packet is sure to carry
_ASIDE_LENGTH = 200  # of 255 bytes that a name may have, so that ours has room


def put(sftp: Any, data: bytes | Path, target: str, *, mode: int) -> None:
    """Write `target` whole or not at all, with its mode from before the first byte."""
    path = _path(target)
    if posixpath.basename(path) in {b"", b".", b".."}:
        raise UsageError(f"'{target}' names a folder, not a file.", "Give the file's name too.")
    folder, name = posixpath.split(path)
    aside = posixpath.join(
        folder, b".%s.%s" % (name[:_ASIDE_LENGTH], secrets.token_hex(6).encode())
    )
    try:
        file = sftp.open(aside, "wx")
    except OSError as error:
        # Some servers answer a missing folder with a plain "failure". Where none is missing now,
        # another thread of ours may have made it since.
        if error.errno == errno.EACCES:
            raise
        _make_folders(sftp, folder)
        file = sftp.open(aside, "wx")
    try:
        with file:
            file.chmod(mode)
            file.set_pipelined(True)
            size = 0
            for chunk in _chunks(data):
                file.write(chunk)
                size += len(chunk)
        _check_size(sftp, aside, size)
        sftp.posix_rename(aside, path)
    except BaseException:
        with contextlib.suppress(OSError, EOFError):
            sftp.remove(aside)
        raise


def get(sftp: Any, source: str) -> bytes:
    """Return the content of `source`."""
    with sftp.open(_path(source), "rb") as file:
        # All requests at once, as far as the size says (0 for a file of /proc); then to the end.
        size = file.stat().st_size
        if size:
            file.prefetch(size)
        data: bytes = file.read()
        return data


def hint(error: Exception) -> str:
    """Return what to do about a failure."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return "Check the path; ~/ and relative paths start at the login's home."
    if number == errno.EACCES:
        return "The login has no right to it."
    if "Garbage packet" in str(error):  # as paramiko says it
        return (
            "The login's profile prints something, which SFTP cannot bear: let it print in"
            " interactive shells only."
        )
    if isinstance(error, TimeoutError):
        return "Its SFTP server does not answer; the machine may be too busy."
    return "Check the path, and that the disk is not full."


def _check_size(sftp: Any, path: bytes, size: int) -> None:
    if sftp.stat(path).st_size != size:
        raise OSError(errno.EIO, "it arrived incomplete")


def _path(name: str) -> bytes:
    """Return a path for SFTP, which starts in the login's home."""
    if not name or "\0" in name:
        raise UsageError(f"{name!r} is not a file name.", "Give a path on the machine.")
    raw = name.encode("utf-8", "surrogateescape")
    if raw.startswith(b"~/"):
        raw = raw[2:].lstrip(b"/") or b"."
    return raw if raw.startswith(b"/") else b"./" + raw


def _make_folders(sftp: Any, folder: bytes) -> None:
    """Make a folder and its parents where they are missing."""
    missing = []
    while folder and not _is_folder(sftp, folder):
        missing.append(folder)
        folder = posixpath.dirname(folder)
    for one in reversed(missing):
        try:
            sftp.mkdir(one, 0o700)
        except OSError:
            if not _is_folder(sftp, one):  # another thread of ours may have been quicker
                raise


def _is_folder(sftp: Any, path: bytes) -> bool:
    try:
        return stat.S_ISDIR(sftp.stat(path).st_mode)
    except FileNotFoundError:
        return False


def _chunks(data: bytes | Path) -> Iterator[bytes]:
    if isinstance(data, Path):
        try:
            file = data.open("rb")
        except OSError as error:
            raise UsageError(
                f"{data} on this computer cannot be read: {error.strerror}.", "Check the path."
            ) from error
        with file:
            while chunk := file.read(_CHUNK):
                yield chunk
    else:
        view = memoryview(data)
        for begin in range(0, len(view), _CHUNK):
            yield bytes(view[begin : begin + _CHUNK])
