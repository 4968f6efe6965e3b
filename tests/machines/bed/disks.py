"""Volumes: loop devices over files that have no name.

A file that is unlinked while it is open, and a loop device that clears itself at its last close:
when the process that made them ends, however it ends, nothing of them is left.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import subprocess
import tempfile
import threading
from pathlib import Path

_GET_FREE = 0x4C82
_CONFIGURE = 0x4C0A
_GET_STATUS = 0x4C05
_SET_CAPACITY = 0x4C07
_AUTOCLEAR = 4
_GIB = 1 << 30


class _Info(ctypes.Structure):  # struct loop_info64 of linux/loop.h
    _fields_ = (
        ("device", ctypes.c_uint64),
        ("inode", ctypes.c_uint64),
        ("rdevice", ctypes.c_uint64),
        ("offset", ctypes.c_uint64),
        ("sizelimit", ctypes.c_uint64),
        ("number", ctypes.c_uint32),
        ("encrypt_type", ctypes.c_uint32),
        ("encrypt_key_size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("file_name", ctypes.c_uint8 * 64),
        ("crypt_name", ctypes.c_uint8 * 64),
        ("encrypt_key", ctypes.c_uint8 * 32),
        ("init", ctypes.c_uint64 * 2),
    )


class _Config(ctypes.Structure):  # struct loop_config
    _fields_ = (
        ("fd", ctypes.c_uint32),
        ("block_size", ctypes.c_uint32),
        ("info", _Info),
        ("reserved", ctypes.c_uint64 * 8),
    )


class Disk:
    """A volume of `size` GiB; it takes room for what is written only.

    Parameters
    ----------
    name : str
        What the kernel knows it by in place of a file name; see `names`.
    folder : Path
        A folder on the file system that holds its data.
    """

    def __init__(self, name: str, size: int, folder: Path) -> None:
        self.size = size
        # It has no name, and stays open, so that it can grow.
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        try:
            os.ftruncate(self._file.fileno(), size * _GIB)
            config = _Config(fd=self._file.fileno(), block_size=512)
            config.info.flags = _AUTOCLEAR
            ctypes.memmove(config.info.file_name, name.encode()[:63], min(len(name), 63))
            self.path, self._fd = _configured(config)
        except BaseException:
            self._file.close()
            raise
        number = Path(self.path).stat().st_rdev
        self.major, self.minor = os.major(number), os.minor(number)

    def format(self) -> None:
        """Make an empty file system on it, as the root volume of an image has one."""
        options = "nodiscard,lazy_itable_init=1,lazy_journal_init=1"
        command = ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", options, self.path]
        subprocess.run(command, check=True, timeout=120, stdin=subprocess.DEVNULL)

    def grow(self, size: int) -> None:
        """Make it larger, also while it is in use, as EC2 does it."""
        if size > self.size:
            os.ftruncate(self._file.fileno(), size * _GIB)
            fcntl.ioctl(self._fd, _SET_CAPACITY)
            self.size = size

    def fill(self, file: Path) -> None:
        """Put on it what is in a file."""
        with file.open("rb") as source:
            _copy(source.fileno(), self._file.fileno())

    def copy_to(self, other: Disk) -> None:
        """Put on another one what is on this one; holes stay holes."""
        os.fsync(self._fd)
        _copy(self._file.fileno(), other._file.fileno())

    def close(self) -> None:
        """Give it back; its data is gone when nothing has it mounted any more."""
        os.close(self._fd)
        self._file.close()


def _copy(source: int, target: int) -> None:
    start = 0
    while True:
        try:
            start = os.lseek(source, start, os.SEEK_DATA)
        except OSError:  # nothing but a hole is left
            return
        end = os.lseek(source, start, os.SEEK_HOLE)
        while start < end:
            data = os.pread(source, min(end - start, 1 << 20), start)
            os.pwrite(target, data, start)
            start += len(data)


def names() -> set[str]:
    """Return the names of all disks that there are on this computer, of whatever lab."""
    found = set()
    for path in Path("/dev").glob("loop[0-9]*"):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # it has just gone
            continue
        info = _Info()
        try:
            fcntl.ioctl(fd, _GET_STATUS, info)
            found.add(bytes(info.file_name).split(b"\0")[0].decode(errors="replace"))
        except OSError:  # it is free
            continue
        finally:
            os.close(fd)
    return found


_opening = threading.Lock()


def _configured(config: _Config) -> tuple[str, int]:
    """Return path and descriptor of a loop device for `config`."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(100):
            with _opening:
                path = f"/dev/loop{fcntl.ioctl(control, _GET_FREE)}"
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.ioctl(fd, _CONFIGURE, config)
                except OSError as error:
                    os.close(fd)
                    if error.errno != errno.EBUSY:  # another program took it in between
                        raise
                    continue
                return path, fd
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "other programs take every loop device before we can")
