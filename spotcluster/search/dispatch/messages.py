"""What is known of a message with evaluations in it, from its sending to its answer."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spotcluster.search.backends.protocol import Pending
from spotcluster.search.data.evaluations import Key


@dataclass(eq=False)
class Message:
    """A message with evaluations in it, which an engine does in their order.

    Attributes
    ----------
    keys : tuple of Key
        The evaluations.
    pending : Future
        Its answer, when there is one.
    sent, limit : float
        When, on the monotonic clock, and how long it may wait for an engine.
    engine, uuid : int, str
        Where it is known to run.
    begun : float
        When it was first known to run.
    clock : float
        When it began, on a clock of its engine; it tells which of an engine's messages came later.
    refused_by : set of int
        The engines known to have refused it.
    vanished : float
        When its engine was first seen to be gone.
    number : int
        Which of the messages it is, as they were sent.
    work : float
        Seconds that it may be expected to take; 0 while nothing is known.
    guessed : bool
        Whether nothing was known of its evaluations when it was sent.
    """

    keys: tuple[Key, ...]
    pending: Pending
    sent: float
    limit: float
    engine: int | None = None
    uuid: str | None = None
    who: dict[str, Any] = field(default_factory=dict)
    begun: float = 0.0
    clock: float = 0.0
    heard: set[tuple[str, str]] = field(default_factory=set)
    refused_by: set[int] = field(default_factory=set)
    vanished: float = 0.0
    call: Any = None
    call_at: float = 0.0
    answered: float = 0.0
    number: int = 0
    work: float = 0.0
    guessed: bool = False

    def hints(self, data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield what is new of the notes about it."""
        for name in sorted(data, key=lambda name: name != "started"):
            if name.startswith("results") and "started" not in data:
                continue  # that hint was lost: nobody says whose they are before the answer does
            # It begins anew on another engine when one could not do it.
            mark = (name, str(data[name]["who"]["uuid"]) if name == "started" else "")
            if mark not in self.heard:
                self.heard.add(mark)
                yield name, data[name]

    def starts(self, who: dict[str, Any], clock: float) -> None:
        """Take note that an engine has begun it."""
        self.engine, self.uuid = who["engine"], who["uuid"]
        self.who, self.clock, self.begun = who, clock, time.monotonic()

    def refused(self, who: dict[str, Any]) -> None:
        """Take note that an engine will not do it; another one may."""
        self.refused_by.add(who["engine"])
        if self.uuid == who["uuid"]:
            self.engine = self.uuid = None
            self.who, self.clock, self.begun = {}, 0.0, 0.0

    def results(self, raw: bytes, first: int = 0) -> Iterator[tuple[Key, dict[str, Any]]]:
        """Yield the evaluations, from the one numbered `first`, with their results."""
        yield from zip(self.keys[first:], pickle.loads(raw), strict=False)  # noqa: S301
