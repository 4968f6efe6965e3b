"""What has happened to a cluster while perhaps nobody looked, told to the hook once.

Who sees it first tells it: `listclusters`, `costs`, `status`, `keep`. What is told is written down
in the cluster's tags before, so that nobody tells it again; one that is cut off in between has told
nothing. EC2 has no tag that only one of two can write. So each writes a word of its own, and looks
a moment later whose is there.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from spotcluster import notify
from spotcluster.aws import instances, network, tags
from spotcluster.aws.session import Session
from spotcluster.cluster import records
from spotcluster.cluster.status.listing import Listed
from spotcluster.errors import SpotclusterError

log = logging.getLogger("spotcluster.events")

NEARLY = 0.8
"""Of a ceiling, from where on it is said."""
_MOMENT = 1.0  # seconds after which whoever has read the tags before we wrote has written too
_TRIES = 5
_DIGEST, _WORD = 6, 3  # characters that stand for an event, and for who tells it
_PER_TAG = 28  # events in a tag, of 256 characters
_TAGS = 3


@dataclass(frozen=True)
class Event:
    """Something that has happened.

    Attributes
    ----------
    name : str
        One of `notify.EVENTS`.
    key : str
        What tells it from all others of its cluster.
    text : str
        A sentence about it.
    facts : mapping
        More, as JSON knows it.
    """

    name: str
    key: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Looked(Protocol):
    """A cluster as `listclusters` or `status` sees it."""

    @property
    def name(self) -> str: ...
    @property
    def cost(self) -> float | None: ...
    @property
    def budget(self) -> float | None: ...
    @property
    def max_hours(self) -> float | None: ...
    @property
    def up_since(self) -> datetime | None: ...


def near_ceiling(seen: Looked, now: datetime | None = None) -> list[Event]:
    """Return which of a running cluster's ceilings are used up by 80% or more."""
    if seen.up_since is None:
        return []
    found = []
    if seen.cost and seen.budget and seen.cost >= NEARLY * seen.budget:
        text = (
            f"{seen.cost / seen.budget:.0%} of the BUDGET of ${seen.budget:g} of '{seen.name}' is"
            " spent; at 100% it ends by itself, whatever runs;"
            f" `spotcluster autostop {seen.name} --budget` raises it."
        )
        facts = {"usd": round(seen.cost, 2), "budget_usd": seen.budget}
        found.append(Event("budget", f"budget {seen.budget!r}", text, facts))
    hours = ((now or datetime.now(UTC)) - seen.up_since).total_seconds() / 3600
    if seen.max_hours and hours >= NEARLY * seen.max_hours:
        text = (
            f"{hours / seen.max_hours:.0%} of the MAX_HOURS of {seen.max_hours:g} of '{seen.name}'"
            " have passed; at 100% it ends by itself, whatever runs."
        )
        facts = {"hours": round(hours, 2), "max_hours": seen.max_hours}
        key = f"hours {seen.max_hours!r} {seen.up_since.isoformat()}"
        found.append(Event("budget", key, text, facts))
    return found


def ended(seen: Listed) -> list[Event]:
    """Return that a cluster has ended by itself, if it has."""
    if seen.ended is None:
        return []
    text = f"'{seen.name}' has ended by itself."
    if any(one.state in instances.STOPPED for one in seen.nodes):
        text = f"'{seen.name}' has stopped by itself; only disks cost money."
    return [Event("stopped", f"ended {seen.ended.id} {seen.ended.launched.isoformat()}", text)]


class Teller:
    """Tells a hook what has happened to a cluster, if nobody has told it yet.

    Parameters
    ----------
    hook : str or None
        See `spotcluster.notify`; None tells nobody, and leaves it to others.
    """

    def __init__(self, session: Session, name: str, hook: str | None) -> None:
        self._session = session
        self._name = name
        self._hook = hook
        self._done: set[str] = set()

    def tell(self, events: Iterable[Event]) -> None:
        """Tell what is new; that it cannot be told fails nobody."""
        new = [one for one in events if one.key not in self._done] if self._hook else []
        if not new:
            return
        try:
            first = _claim(self._session, self._name, [one.key for one in new])
        except SpotclusterError as error:
            log.warning("the hook is not told: %s", error)
            return
        self._done.update(one.key for one in new)
        for one in new:
            if one.key in first:
                notify.tell(self._hook, one.name, self._name, one.text, **one.facts)


def tell_all(sessions: Sequence[Session], found: Iterable[Listed], hook: str | None) -> None:
    """Tell what is seen of clusters of several regions."""
    by_region = {one.region: one for one in sessions}
    for one in found:
        Teller(by_region[one.region], one.name, hook).tell([*near_ceiling(one), *ended(one)])


def _claim(session: Session, name: str, keys: Sequence[str]) -> set[str]:
    """Return of which events nobody has told, and write down that we do."""
    own = secrets.token_urlsafe(_WORD)[:_WORD]
    wanted = {_digest(key): key for key in keys}
    written = False
    for _ in range(_TRIES):
        now = records.find(session, name)
        if now is None:
            break
        told = _read(now.tags)
        new = [one for one in wanted if one not in told]
        if not new:
            return {key for one, key in wanted.items() if told[one] == own} if written else set()
        # Those that are seen now are the last to be forgotten.
        seen = {one: told.pop(one) for one in wanted if one in told}
        network.tag(session, [now.group_id], _as_tags({**told, **seen, **dict.fromkeys(new, own)}))
        written = True
        time.sleep(_MOMENT)
    return set()


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:_DIGEST]


def _read(given: Mapping[str, str]) -> dict[str, str]:
    """Return what stands for the events that were told, and for who did."""
    text = "".join(given.get(f"{tags.TOLD}:{number}", "") for number in range(_TAGS))
    length = _DIGEST + _WORD
    parts = [text[at : at + length] for at in range(0, len(text), length)]
    return {one[:_DIGEST]: one[_DIGEST:] for one in parts}


def _as_tags(told: Mapping[str, str]) -> dict[str, str]:
    """Return it as tags, all of which are written in one call; the oldest are left out."""
    parts = [f"{one}{word}" for one, word in told.items()][-_PER_TAG * _TAGS :]
    return {
        f"{tags.TOLD}:{number}": "".join(parts[at : at + _PER_TAG])
        for number, at in enumerate(range(0, len(parts), _PER_TAG))
    }
