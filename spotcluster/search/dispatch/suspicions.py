"""Failures of evaluations that may be their host's: one that has them alone is not as the others.

An evaluation that fails since a module, a file or memory is missing where it runs may be in order
elsewhere. So does any that fails on a host on which nothing has gone well yet. Such a failure is
held until another host has had the same, and counts then; or has not, and then it is the first
host's, which is left out. What two hosts agree on is asked about no more.
"""

from __future__ import annotations

import builtins
import re
import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from spotcluster.search.data.evaluations import Key
from spotcluster.search.dispatch.backlog import Backlog
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.dispatch.roster import Roster

AT_ONCE = 3  # failures of a host that wait for another's answer, after which it gets nothing more
ENOUGH = 3  # answers after which a host is believed, or is not
ANSWER = 60.0  # seconds that a failure waits for a host that is there and not ready

_ENVIRONMENT = (ImportError, OSError, MemoryError)
_RAISED = re.compile(r"^(?:[\w.]*\.)?(\w+)(?:: |:?$)")
_OURS = "TimeoutError: It took longer than timeout="


@dataclass
class Failure:
    """A result that has an error.

    Attributes
    ----------
    said : str
        The error, without what it came by.
    environment : bool
        Whether something was missing that is no part of the evaluation.
    """

    who: dict[str, Any]
    result: dict[str, Any]
    said: str = ""
    environment: bool = False
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        raised = _raised(self.result["error"])
        self.said = raised[-1] if raised else self.result["error"]
        # What was raised in place of it tells as little as `except ImportError: raise ValueError`.
        self.environment = any(issubclass(_kind(line), _ENVIRONMENT) for line in raised)

    @property
    def node(self) -> str:
        return str(self.who["node"])

    def is_like(self, other: Failure) -> bool:
        """Return whether two hosts say the same: names of files may be each host's own."""
        mine, theirs = _kind(self.said), _kind(other.said)
        return self.said == other.said or (
            mine is theirs and issubclass(mine, OSError | MemoryError)
        )


def _raised(text: str) -> list[str]:
    """Return the lines of a traceback that say what was raised, in their order."""
    found, within = [], False
    for line in text.splitlines():
        if line.startswith("  File "):
            within = True
        elif within and line[:1].strip():
            found.append(line)
            within = False
    last = text.strip().splitlines()[-1:]
    return found or last


def _kind(line: str) -> type[BaseException]:
    found = _RAISED.match(line)
    kind = getattr(builtins, found[1], None) if found else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseException) else BaseException


class Suspicions:
    """What is held, and how far each host is believed."""

    def __init__(self, roster: Roster, backlog: Backlog) -> None:
        self._roster = roster
        self._backlog = backlog
        self._held: dict[Key, list[Failure]] = {}
        self._common: set[str] = set()
        self._agreed: Counter[str] = Counter()
        self._refuted: Counter[str] = Counter()
        self._proven: set[str] = set()

    def judge(self, message: Message, key: Key, failure: Failure) -> list[tuple[Key, Failure]]:
        """Return the failures that count, now that there is one more; none while it is held."""
        held = self._held.get(key, [])
        alike = [one for one in held if one.node != failure.node and one.is_like(failure)]
        nodes = {failure.node, *(one.node for one in held)}
        alone = key in self._backlog.only_in(message)
        doubtful = not alike and self._doubts(failure) and self._roster.elsewhere(nodes)
        if doubtful or not alone:  # no failure wins over a run that is still going
            self._held[key] = [*held, failure]
            self._backlog.park(key, message)
            return []
        if not alike:
            return [(key, failure)]
        self._agreed.update({one.node for one in (failure, *alike)})
        self._common.update(one.said for one in (failure, *alike))
        return [
            (other, failures[0])
            for other, failures in self._held.items()
            if other == key or (other in self._backlog.parked and self._are_common(failures))
        ]

    def went_well(self, key: Key, node: str) -> None:
        """Take note that a host has done an evaluation; a host that could not is left out."""
        self._proven.add(node)
        self._roster.proved(node)
        for failure in self._held.pop(key, []):
            if failure.node != node and self._doubts(failure):
                self._refuted[failure.node] += 1
                if failure.environment or self._refuted[failure.node] >= ENOUGH:
                    self.leave_out(failure.node, failure.said)

    def leave_out(self, node: str, why: str) -> None:
        """Give a host nothing more, and forget what failed there; its name may not be known."""
        if not node:
            return
        self._roster.leave_out(node, why.splitlines()[0].rstrip("."))
        self._proven.discard(node)
        self._refuted.pop(node, None)
        for key, held in list(self._held.items()):
            others = [failure for failure in held if failure.node != node]
            if others:
                self._held[key] = others
            else:
                del self._held[key]
                if key in self._backlog.parked:
                    self._backlog.put_back([key])

    def forget(self, key: Key) -> None:
        """Hold nothing of an evaluation that is finished."""
        self._held.pop(key, None)

    def ready(self, without: Collection[str] = ()) -> list[int]:
        """Return the engines that may be given evaluations, but for those of some hosts.

        To answer for others a host may have as many failures of its own as it likes.
        """
        if not self._held and not without:
            return self._roster.ready()
        engines = self._roster.engines
        ready = {one: engines[one].node for one in self._roster.ready()}
        fine = {node for node in ready.values() if without or not self._fills(node)}
        return [one for one, node in ready.items() if node in fine.difference(without)]

    def in_doubt(self) -> list[tuple[list[Key], set[str]]]:
        """Return what another host should try, together with the hosts on which it has failed."""
        found: dict[frozenset[str], list[Key]] = {}
        for key in self._held:
            if key in self._backlog.parked:
                nodes = frozenset(failure.node for failure in self._held[key])
                found.setdefault(nodes, []).append(key)
        return [(keys, set(nodes)) for nodes, keys in found.items()]

    def unanswered(self) -> list[tuple[Key, Failure]]:
        """Return the failures that count since nobody is there to say something else."""
        now = time.monotonic()
        return [
            (keys[n], failure)
            for keys, nodes in self.in_doubt()
            for n, failure in enumerate(self._held[key][0] for key in keys)
            if not self._roster.elsewhere(nodes)
            or (now - failure.at > ANSWER and not self.ready(nodes))
        ]

    def _doubts(self, failure: Failure) -> bool:
        """Return whether a failure may be its host's."""
        if failure.said in self._common or failure.said.startswith(_OURS):
            return False
        if self._agreed[failure.node] >= ENOUGH:
            return False
        return failure.environment or failure.node not in self._proven

    def _are_common(self, failures: Iterable[Failure]) -> bool:
        return all(failure.said in self._common for failure in failures)

    def _fills(self, node: str) -> bool:
        """Return whether a host should wait for what others say of its failures."""
        if not self._held:
            return False
        mine = sum(any(one.node == node for one in held) for held in self._held.values())
        return mine >= AT_ONCE
