"""When processes began, so that a process id that was given again is not taken for the same one.

The time of day will not do: psutil works a start time out from it, and where the clock is set later
another one comes out for the same process. Linux itself counts from the boot of the computer, in
ticks, which no clock changes.
"""

from __future__ import annotations

import functools
from pathlib import Path

import psutil

_PROC = Path("/proc")
_SAME = 2.0  # seconds by which the clock may have been corrected, where there are no ticks
_STARTED = 19  # of what follows the name of the program in /proc/PID/stat


def start_of(process: psutil.Process) -> str:
    """Return what tells a process from all others that had or will have its number.

    Raises
    ------
    psutil.NoSuchProcess
        It has ended, and nobody has yet to be told of that.
    """
    boot = _boot()
    if not boot:
        return f"{process.create_time():.2f}"
    try:
        said = (_PROC / str(process.pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(process.pid) from None
    # The name is between brackets, and may hold some itself.
    return f"{boot}:{int(said.rpartition(b')')[2].split()[_STARTED])}"


def is_of(process: psutil.Process, start: str | float) -> bool:
    """Return whether that was said of this process, and not of an earlier one with its number.

    Parameters
    ----------
    start : str or float
        What `start_of` gave; or a time of day, as former versions wrote it.

    Raises
    ------
    psutil.NoSuchProcess
        There is no process of that number.
    ValueError
        It is neither.
    """
    if isinstance(start, str) and ":" in start:
        return start == start_of(process)
    return bool(abs(process.create_time() - float(start)) < _SAME)  # not for NaN


@functools.cache
def _boot() -> str:
    """Return the name that Linux gives to the time since it was booted; empty elsewhere."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip().replace("-", "")[:12]
    except OSError:
        return ""
