"""EC2's limits on calls: buckets of tokens of the sizes that its documentation tells; off at first.

Each action has a bucket of its own in each region. A call takes a token; calls that launch, start,
stop or terminate take one for each instance too, of a second bucket. Buckets fill at a steady rate.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping

Size = tuple[float, float]
"""Tokens that a bucket holds, and that it gets each second."""

_READING: Size = (100, 20)
_CHANGING: Size = (50, 5)
_REQUESTS: dict[str, Size] = {
    "RunInstances": (5, 2),
    "StartInstances": (5, 2),
    "TerminateInstances": (100, 5),
    "CreateTags": (100, 10),
    "DeleteTags": (100, 10),
    "CreateVolume": (100, 5),
    "CreateSnapshot": (100, 5),
    "DeleteSnapshot": (100, 5),
    "CreateNetworkInterface": (100, 5),
    "DeleteNetworkInterface": (100, 5),
    "CreateLaunchTemplateVersion": (100, 5),
    "RequestSpotFleet": (50, 3),
    "DescribeSpotFleetRequests": (50, 3),
}
_INSTANCES: dict[str, Size] = {
    "RunInstances": (1000, 2),
    "StartInstances": (1000, 2),
    "StopInstances": (1000, 20),
    "TerminateInstances": (1000, 20),
}


class Limits:
    """The buckets of all regions.

    Parameters
    ----------
    clock : callable, optional
        Gives seconds, of any beginning.

    Attributes
    ----------
    on : bool
        Whether calls are limited.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.on = False
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str, str], tuple[float, float]] = {}  # tokens, and when

    def allows(self, region: str, action: str, params: Mapping[str, str]) -> bool:
        """Return whether a call may be made now, and take its tokens if it may."""
        if not self.on:
            return True
        wanted = [(("request", region, action), _size_of(action), 1.0)]
        if action in _INSTANCES:
            count = float(_instances(action, params))
            wanted.append((("instances", region, action), _INSTANCES[action], count))
        with self._lock:
            now = self._clock()
            there = {key: self._tokens(key, size, now) for key, size, _ in wanted}
            if any(there[key] < count for key, _, count in wanted):
                return False
            for key, _, count in wanted:
                self._buckets[key] = (there[key] - count, now)
        return True

    def _tokens(self, key: tuple[str, str, str], size: Size, now: float) -> float:
        most, each_second = size
        tokens, when = self._buckets.get(key, (most, now))
        return min(most, tokens + (now - when) * each_second)


def _size_of(action: str) -> Size:
    usual = _READING if re.match("Describe|Get|List|Search", action) else _CHANGING
    return _REQUESTS.get(action, usual)


def _instances(action: str, params: Mapping[str, str]) -> int:
    if action == "RunInstances":
        count = params.get("MaxCount", "1")
        return int(count) if count.isdecimal() else 1
    return sum(name.startswith("InstanceId.") for name in params)
