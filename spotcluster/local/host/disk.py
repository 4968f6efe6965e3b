"""What a host's disk holds, kept as a snapshot of EC2 keeps it, and put on the disks of others.

A host has no disk of its own but its home and its folder for temporary files; what it is told
from outside is no part of them. Programs there write down where they are, as a virtual environment
does, and on a machine that place is the same on every copy of it. So a copy gets its own place for
that of the host that it was taken of.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path

from spotcluster import files

from .layout import Layout

_ORIGIN = "origin"
_LARGEST = 64 << 20  # what is larger is data


def keep(layout: Layout, place: Path) -> None:
    """Copy the disk of a host, which may run, to `place`."""
    place.mkdir(mode=0o700, parents=True)
    for folder in _folders(layout):
        _copy(folder, place / folder.name)
    files.write_private(place / _ORIGIN, str(layout.folder))


def bring(place: Path, layout: Layout) -> None:
    """Put what is kept at `place` on the disk of a host that has not booted."""
    origin = os.fsencode((place / _ORIGIN).read_text())
    for folder in _folders(layout):
        shutil.rmtree(folder, ignore_errors=True)
        _copy(place / folder.name, folder)
        _move(folder, origin, os.fsencode(str(layout.folder)))


def _folders(layout: Layout) -> tuple[Path, Path]:
    return layout.home, layout.tmp


def _copy(source: Path, target: Path) -> None:
    """Copy a folder with all that is in it; what is linked elsewhere, as packages are, stays so."""

    def one(there: str, here: str) -> str:
        with contextlib.suppress(FileNotFoundError):  # it went meanwhile
            kind = os.lstat(there)
            if not stat.S_ISREG(kind.st_mode):
                return here  # a socket or a pipe belongs to who has it open
            if kind.st_nlink > 1:
                with contextlib.suppress(OSError):  # it is on another file system
                    os.link(there, here)
                    return here
            shutil.copy2(there, here)
        return here

    shutil.copytree(source, target, symlinks=True, copy_function=one)


def _move(folder: Path, origin: bytes, new: bytes) -> None:
    """Write `new` wherever `origin` stands in a folder's files and links."""
    for path, folders, names in os.walk(folder):
        for name in (*folders, *names):
            own = Path(path, name)
            info = own.lstat()
            if stat.S_ISLNK(info.st_mode):
                aim = os.fsencode(own.readlink())
                if origin in aim:
                    own.unlink()
                    own.symlink_to(os.fsdecode(aim.replace(origin, new)))
            elif stat.S_ISREG(info.st_mode) and info.st_nlink == 1 and info.st_size < _LARGEST:
                _rewrite(own, info, origin, new)


def _rewrite(path: Path, info: os.stat_result, origin: bytes, new: bytes) -> None:
    try:
        text = path.read_bytes()
    except PermissionError:
        return  # its owner has shut it to itself
    # Ids of instances are alike in length, so that even compiled files stay right.
    if origin in text and (len(origin) == len(new) or b"\0" not in text):
        path.write_bytes(text.replace(origin, new))
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
