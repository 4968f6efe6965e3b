"""Who is at work on a cluster: one process of one computer, so that others can tell if it died."""

from __future__ import annotations

import functools
import hashlib
import platform
import uuid


def myself() -> str:
    """Return the name of this process: it is never used again, on this computer or another."""
    import psutil  # half a megabyte, which a keeper that only looks goes without

    from spotcluster import starts

    me = psutil.Process()
    return f"{this_computer()}/{me.pid}/{starts.start_of(me)}"


def has_died(name: str) -> bool | None:
    """Return whether the process of that name is gone; None when it ran on another computer."""
    import psutil

    from spotcluster import starts

    computer, _, process = name.partition("/")
    if computer != this_computer():
        return None
    number, _, start = process.partition("/")
    try:
        found = psutil.Process(int(number))
        if found.status() == psutil.STATUS_ZOMBIE:
            return True
        return not starts.is_of(found, start)
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, ValueError):
        return None


@functools.cache
def this_computer() -> str:
    """Return a name for this computer that tells nothing about it."""
    return hashlib.sha256(f"{platform.node()} {uuid.getnode()}".encode()).hexdigest()[:12]
