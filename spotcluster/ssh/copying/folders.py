"""Folders by descriptor, entered one name at a time and never through a link."""

from __future__ import annotations

import errno
import hashlib
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

ASIDE = b".spotcluster-part"
"""How the names of what is not whole yet end."""
_LONGEST_NAME = 255
_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def aside(name: bytes) -> bytes:
    """Return the name under which `name` is written until it is whole: the same every time."""
    found = b"." + name + ASIDE
    if len(found) > _LONGEST_NAME:
        found = b"." + hashlib.sha256(name).hexdigest()[:32].encode() + ASIDE
    return found


class Folders:
    """The folders below `base`, which is the one that the user named and may be a link."""

    def __init__(self, base: bytes) -> None:
        self.base = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: list[tuple[bytes, int]] = []

    def close(self) -> None:
        """Let go of every folder."""
        self._leave(0)
        os.close(self.base)

    def enter(self, names: Sequence[bytes]) -> int:
        """Return a descriptor of the folder `names`, good until the next call.

        Raises
        ------
        OSError
            It is not there, or a link stands in the way (ELOOP).
        """
        common = 0
        for (name, _), wanted in zip(self._open, names):  # noqa: B905 - Python 3.10's word
            if name != wanted:
                break
            common += 1
        self._leave(common)
        current = self._open[-1][1] if self._open else self.base
        for name in names[common:]:
            try:
                current = os.open(name, _ENTER, dir_fd=current)
            except OSError as error:
                if error.errno == errno.ENOTDIR and is_link(name, current):
                    raise OSError(errno.ELOOP, "a symbolic link is in the way") from None
                raise
            self._open.append((name, current))
        return current

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            os.close(self._open.pop()[1])


def look(name: bytes, folder: int) -> os.stat_result | None:
    """Return what is at `name`, itself if it is a link; None for nothing."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_link(name: bytes, folder: int) -> bool:
    """Return whether a link is at `name`."""
    found = look(name, folder)
    return found is not None and stat.S_ISLNK(found.st_mode)


def make_folder(name: bytes, folder: int) -> None:
    """Make a folder that we can write in, unless it is there; whatever else is there stays."""
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except FileExistsError:
        found = look(name, folder)
        if is_link(name, folder):
            raise OSError(errno.ELOOP, "a symbolic link is in the way") from None
        if found is None or not stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EEXIST, "a file of that name is in the way") from None
        if found.st_mode & 0o700 != 0o700 and found.st_uid == os.geteuid():
            os.chmod(name, stat.S_IMODE(found.st_mode) | 0o700, dir_fd=folder)


def make_link(name: bytes, target: bytes, folder: int) -> None:
    """Make a link, in the place of a file or link that is there."""
    found = look(name, folder)
    if found is not None:
        if stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EISDIR, "there is a folder of that name")
        if stat.S_ISLNK(found.st_mode) and os.readlink(name, dir_fd=folder) == target:
            return
    part = aside(name)
    try:
        os.symlink(target, part, dir_fd=folder)
    except FileExistsError:
        os.unlink(part, dir_fd=folder)
        os.symlink(target, part, dir_fd=folder)
    os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)


def prune(top: bytes, folder: int, known: Collection[tuple[bytes, ...]]) -> None:
    """Remove from the folder `top` what is not `known` (by its names below `top`)."""
    for where, folders, files, here in os.fwalk(top, topdown=False, dir_fd=folder):
        above = tuple(where[len(top) :].split(b"/")[1:])
        for name in files:
            if (*above, name) not in known:
                os.unlink(name, dir_fd=here)
        for name in folders:
            if (*above, name) not in known:
                if is_link(name, here):
                    os.unlink(name, dir_fd=here)
                else:
                    os.rmdir(name, dir_fd=here)
