"""What time it is in the local cloud: the one place of this room that asks.

Prices are a function of the time, instances say when they were launched and ended, and what has
ended is listed for a while: all of that is of one time, which `source` gives. Waits are none of its
business: they are measured with `time.monotonic`, whatever the time of day does meanwhile.

moto's modules ask for the time by themselves. What it writes on instances and disks, of which bills
are made, is written over with ours; its other times (a key pair's, a launch template's) nothing
here depends on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

source: Callable[[], float] = time.time
"""Gives the time in seconds since the epoch."""


def seconds() -> float:
    """Return the time in seconds since the epoch."""
    return source()


def now() -> datetime:
    """Return the time, in UTC and saying so."""
    return datetime.fromtimestamp(source(), UTC)


def stamp() -> datetime:
    """Return the time as moto keeps it: in UTC, without saying so."""
    return now().replace(tzinfo=None)
