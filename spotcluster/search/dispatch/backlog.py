"""What a search has still to do, and which messages should bring it."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence

from spotcluster.search.data.evaluations import Key
from spotcluster.search.dispatch.durations import Durations
from spotcluster.search.dispatch.messages import Message

PASSED = 256  # evaluations that wait again, at most, after which another one takes its place


class Backlog:
    """The evaluations that are not finished: they wait, or messages that we count on have them.

    Attributes
    ----------
    unfinished : set of Key
        All of them.
    live : dict of Message
        The messages that we count on, and others that may still answer, as they were sent.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._waiting = deque(keys)
        self.unfinished = set(self._waiting)
        self._known = set(self._waiting)
        self._sent = itertools.count()  # messages
        self._back: dict[Key, int] = {}  # those that wait again, first of all: of which message
        self._in_order = False  # whether somebody has said what goes first
        self._alone: set[Key] = set()
        # The messages that should bring each: all of a message share a tuple, for there are many.
        self._counted: dict[Key, tuple[Message, ...]] = {}
        self._due: dict[Message, int] = {}  # how many evaluations each should still bring
        self.parked: set[Key] = set()  # neither waits nor travels, until it is sent or put back
        self.live: dict[Message, None] = {}

    @property
    def waiting(self) -> int:
        """How many there are that no message has."""
        return len(self._waiting)

    @property
    def travels(self) -> bool:
        """Whether there is something that messages should bring."""
        return bool(self._counted)

    def add(self, keys: Iterable[Key], *, first: bool = False) -> None:
        """Take in those that are new; `first`: before what is waiting."""
        keys = [key for key in keys if key not in self._known]
        self._known.update(keys)
        self.unfinished.update(keys)
        if first:
            self._in_order = True
            self.put_back(keys)
        else:
            self._waiting.extend(keys)

    def next(self, durations: Durations, wanted: float, untried: int = 1) -> list[Key]:
        """Take the evaluations of the next message, of so many seconds, from those that wait.

        While nothing is known of how long they take, `untried` says how many.
        """
        while self._waiting and not self._to_send(self._waiting[0]):
            self._waiting.popleft()
        if not self._waiting:
            return []
        if self._waiting[0] in self._alone:
            return [self._waiting.popleft()]
        keys: dict[Key, None] = {}
        for _ in range(durations.batch(self._waiting, wanted, untried)):
            if self._waiting[0] in self._alone:
                break
            key = self._waiting.popleft()
            if self._to_send(key):
                keys[key] = None
        return list(keys)

    def longest_first(self, durations: Durations) -> float:
        """Have what takes longest go first, so that nothing long is begun near the end.

        Before them go the first splits of candidates of which nothing is known, which tell of the
        others. Those that may be expected to take as long as each other keep their order, and all
        do where somebody has said what goes first.

        Returns
        -------
        float
            Seconds that all that waits may be expected to take.
        """
        takes: dict[int, float] = {}  # of each candidate, for all its splits take as long
        urgency: dict[Key, float] = {}
        for key in self._waiting:
            if key[0] in takes:
                urgency[key] = takes[key[0]]
            else:
                takes[key[0]] = durations.expected(key) or 0.0
                urgency[key] = takes[key[0]] if durations.knows(key) else math.inf
        if not self._in_order:
            self._waiting = deque(sorted(self._waiting, key=urgency.__getitem__, reverse=True))
            self._back.clear()
        return sum(takes[candidate] for candidate, _ in self._waiting)

    def _to_send(self, key: Key) -> bool:
        return key in self.unfinished and key not in self._counted

    def put_back(self, keys: Sequence[Key]) -> None:
        """Have these wait, before all others."""
        self.parked.difference_update(keys)
        self._waiting.extendleft(reversed(keys))
        self._back.update(dict.fromkeys(keys, -1))

    def isolate(self, keys: Iterable[Key]) -> None:
        """Have each of these travel in a message of its own from now on."""
        self._alone.update(keys)

    def count_on(self, message: Message) -> None:
        """Expect from a message what it was sent for."""
        message.number = next(self._sent)
        alone = (message,)
        for key in message.keys:
            before = self._counted.get(key)
            self._counted[key] = alone if before is None else before + alone
            if self._back:
                self._back.pop(key, None)
        self._due[message] = len(message.keys)
        self.parked.difference_update(message.keys)
        self.live[message] = None

    def expects(self, message: Message) -> bool:
        """Return whether a message should still bring something."""
        return message in self._due

    def open(self, message: Message) -> list[Key]:
        """Return what a message should still bring."""
        if message not in self._due:
            return []
        return [key for key in message.keys if message in self._counted.get(key, ())]

    def under_way(self) -> Collection[Message]:
        """Return the messages that should still bring something, as they were sent."""
        return self._due.keys()

    def only_in(self, message: Message) -> list[Key]:
        """Return what only this message should bring."""
        return [key for key in self.open(message) if len(self._counted[key]) == 1]

    def park(self, key: Key, message: Message) -> None:
        """Count on a message no longer for one of its evaluations, which does not wait either."""
        if not self._release(key, message):
            self.parked.add(key)

    def give_up(self, message: Message) -> None:
        """Count on a message no longer; what no other one should bring waits again.

        It does so before all others, but after what was sent before it and waits again too, if that
        is not much: messages come back one by one, and what was to be first would be last.
        """
        back = [key for key in self.open(message) if not self._release(key, message)]
        place = 0
        while place < min(len(self._waiting), PASSED):
            if self._back.get(self._waiting[place], message.number) >= message.number:
                break
            place += 1
        for key in reversed(back):
            self._waiting.insert(place, key)
        self._back.update(dict.fromkeys(back, message.number))

    def finish(self, key: Key) -> tuple[Message, ...]:
        """Take one as finished; return the messages that should have brought it."""
        self.unfinished.discard(key)
        self.parked.discard(key)
        messages = self._counted.pop(key, ())
        for message in messages:
            self._one_less(message)
        return messages

    def _release(self, key: Key, message: Message) -> bool:
        """Count on a message no longer for one; return whether others should bring it."""
        others = tuple(other for other in self._counted.pop(key) if other is not message)
        if others:
            self._counted[key] = others
        self._one_less(message)
        return bool(others)

    def _one_less(self, message: Message) -> None:
        self._due[message] -= 1
        if not self._due[message]:
            del self._due[message]
