"""Root as somebody whom the modes of files hold for, for tests of files that cannot be read."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Of linux/capability.h: what lets root read and write whatever the mode says.
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


@contextmanager
def held_to_modes() -> Iterator[None]:
    """Have this thread read only what modes let its user read; others need nothing for that.

    Raises
    ------
    OSError
        The system cannot.
    """
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        raise OSError("root reads everything here")
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()

    def call(function: str) -> None:
        if getattr(libc, function)(ctypes.byref(header), ctypes.byref(sets)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    call("capget")
    before = sets[0].effective
    sets[0].effective = before & ~(1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH)
    call("capset")
    try:
        yield
    finally:
        sets[0].effective = before
        call("capset")
