"""What a search knows of an engine, and of a host."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from spotcluster.search.backends.protocol import Pending
from spotcluster.search.dispatch.delivery import Delivery

RETRY = 5.0  # seconds until something that failed on a host, or a draining engine, is tried again


@dataclass
class Engine:
    """An engine.

    Attributes
    ----------
    joined : float
        When it was first seen, in seconds since 1970.
    probe, asked : Pending, float
        What it was asked, if it has not answered, and when, on the monotonic clock.
    """

    id: int
    uuid: str = ""
    joined: float = field(default_factory=time.time)
    probe: Pending | None = None
    asked: float = 0.0
    node: str = ""
    draining: bool = False
    look_again: float = 0.0


@dataclass
class Taken:
    """A host that EC2 takes back, or has taken.

    Attributes
    ----------
    at : float
        When EC2 was seen to say so, in seconds since 1970 by the host's clock.
    engines : set of str
        The uuids of its engines that have said so.
    lost : int
        Evaluations that were lost with it and are run again.
    """

    node: str
    at: float
    engines: set[str]
    lost: int = 0

    def describe(self, *, over: bool) -> str:
        """Return it in words, by whether its engines have gone; the time is local."""
        when = time.strftime("%H:%M", time.localtime(self.at))
        if not over:
            return f"{self.node} is taken back, as EC2 said at {when}: nothing new begins there."
        lost = f"{self.lost} evaluation{'s run' if self.lost > 1 else ' runs'} again"
        return f"{self.node} was taken back at {when}{f'; {lost}' if self.lost else ''}."


@dataclass
class Host:
    """A host, as far as this search is concerned.

    Attributes
    ----------
    ready : bool
        Whether it has the files.
    served : float
        When the last delivery of them ended, on the monotonic clock.
    lacking : int, optional
        The engine that has refused an evaluation for want of files last, and so is idle.
    problem : str
        Why it did not get them.
    unable : str
        Why it is left out all the same; empty when it is not.
    trial : float
        When it is tried again then, on the monotonic clock.
    """

    name: str
    ready: bool = False
    served: float = 0.0
    delivery: Delivery | None = None
    not_before: float = 0.0
    lacking: int | None = None
    problem: str = ""
    unable: str = ""
    trial: float = 0.0
    pause: float = RETRY
    remark: str = ""
    sent: int = 0  # bytes, by the client
    fetched: int = 0  # bytes, from other hosts or the depot
