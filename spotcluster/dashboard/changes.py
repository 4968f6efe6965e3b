"""What has happened between two looks, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from spotcluster.dashboard.snapshot import Happening, NodeRow, Snapshot

if TYPE_CHECKING:
    from spotcluster.cluster.reporter import Event

_GOOD, _BAD, _WARN = "good", "bad", "warn"
_TONES = {"ready": _GOOD, "unreachable": _BAD, "draining": _WARN, "not set up": _WARN}
_STATES = {"running": _GOOD, "incomplete": _WARN, "stopped": _WARN, "stopping": _WARN}
_ENDS = {
    "finished": ("is finished", _GOOD),
    "stopped": ("has stopped before its end", _WARN),
    "silent": ("says nothing any more; its process may have ended", _BAD),
}


def between(old: Snapshot | None, new: Snapshot) -> Iterator[Happening]:
    """Yield what is new of a cluster; of one that nobody has looked at before, how it is."""
    now = new.taken_at
    if old is None:
        yield Happening(now, f"'{new.name}' is {new.state}: {len(new.nodes)} nodes.")
        return
    if new.gone and not old.gone:
        yield Happening(now, new.gone, _WARN)
        return
    if new.state != old.state:
        yield Happening(now, f"'{new.name}' is {new.state}.", _STATES.get(new.state, ""))
    yield from _nodes(old, new)
    yield from _engines(old, new)
    yield from _searches(old, new)
    yield from _jobs(old, new)


def told(events: list[Event], known: set[str], now: float) -> Iterator[Happening]:
    """Yield what the user's hook would be told of, each once."""
    for one in events:
        if one.key not in known:
            known.add(one.key)
            yield Happening(now, one.text, _WARN)


def _nodes(old: Snapshot, new: Snapshot) -> Iterator[Happening]:
    now = new.taken_at
    before = {one.alias: one for one in old.nodes}
    after = {one.alias: one for one in new.nodes}
    taken = {alias for alias, _ in new.taken} | set(old.leaving)
    for alias in sorted(after.keys() - before.keys()):
        yield Happening(now, f"{alias} has joined ({after[alias].state}).", _GOOD)
    for alias in sorted(before.keys() - after.keys()):
        if alias in taken:
            yield Happening(now, f"{alias} was taken back by EC2.", _BAD)
        else:
            yield Happening(now, f"{alias} has left.", _WARN)
    for alias in sorted(set(new.leaving) - set(old.leaving)):
        yield Happening(now, f"EC2 takes {alias} back; nothing new begins there.", _BAD)
    for alias in sorted(after.keys() & before.keys()):
        if after[alias].state != before[alias].state:
            yield _of_state(after[alias], now)


def _of_state(node: NodeRow, now: float) -> Happening:
    why = f": {node.problem}" if node.problem else "."
    return Happening(now, f"{node.alias} is {node.state}{why}", _TONES.get(node.state, ""))


def _engines(old: Snapshot, new: Snapshot) -> Iterator[Happening]:
    now = new.taken_at
    if new.problem and not old.problem:
        yield Happening(now, f"The controller does not answer: {new.problem}", _BAD)
    elif old.problem and not new.problem and new.done is not None:
        yield Happening(now, "The controller answers again.", _GOOD)
    more = len(new.engines) - len(old.engines)
    if more and old.done is not None:
        number = f"{abs(more)} engine{'s' if abs(more) > 1 else ''}"
        word = "joined" if more > 0 else "gone"
        tone = _GOOD if more > 0 else _BAD
        have = "has" if abs(more) == 1 else "have"
        yield Happening(now, f"{number} {have} {word}; {len(new.engines)} there.", tone)


def _searches(old: Snapshot, new: Snapshot) -> Iterator[Happening]:
    now, before = new.taken_at, {one.id: one for one in old.searches}
    for one in new.searches:
        was = before.get(one.id)
        if was is None and one.state == "running":
            yield Happening(now, f"A {one.kind} has begun: {one.total} evaluations.")
        elif was is not None and was.state != one.state and one.state in _ENDS:
            text, tone = _ENDS[one.state]
            done = f"{one.done} of {one.total} evaluations"
            yield Happening(now, f"The {one.kind} {text}: {done}.", tone)


def _jobs(old: Snapshot, new: Snapshot) -> Iterator[Happening]:
    now, before = new.taken_at, {one.id: one for one in old.jobs}
    for one in new.jobs:
        was = before.get(one.id)
        if was is None and one.state == "running":
            yield Happening(now, f"Job {one.id} has begun: {one.command}")
        elif was is not None and was.state == "running" and one.state != "running":
            tone = _GOOD if one.status == 0 else ""
            yield Happening(now, f"Job {one.id} has ended ({one.state}).", tone)
