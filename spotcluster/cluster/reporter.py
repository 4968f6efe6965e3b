"""How the cluster tells whoever looks on what it is doing; it never prints.

What has happened while perhaps nobody looked is told to the user's hook once, by who sees it first.
It is written down in the cluster's tags before, so that nobody tells it again; one that is cut off
in between has told nothing. EC2 has no tag that only one of two can write. So each writes a word of
its own, and looks a moment later whose is there.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from spotcluster import notify
from spotcluster.aws import instances, network, tags
from spotcluster.aws.session import Session
from spotcluster.cluster import records
from spotcluster.errors import SpotclusterError

log = logging.getLogger("spotcluster")

_MOMENT = 1.0  # seconds after which whoever has read the tags before we wrote has written too
_TRIES = 5
_DIGEST, _WORD = 6, 3  # characters that stand for an event, and for who tells it
_PER_TAG = 28  # events in a tag, of 256 characters
_TAGS = 3


class Reporter(Protocol):
    """Receives what happens, from several threads at once."""

    def stage(self, alias: str, stage: str) -> None:
        """A node has entered a stage."""

    def failed(self, alias: str, message: str) -> None:
        """A node has failed."""

    def note(self, message: str) -> None:
        """Something the user should know, in one line."""


class Quiet:
    """Writes to the log only."""

    def stage(self, alias: str, stage: str) -> None:
        """Log it."""
        log.info("%s: %s", alias, stage)

    def failed(self, alias: str, message: str) -> None:
        """Log it."""
        log.error("%s failed: %s", alias, message)

    def note(self, message: str) -> None:
        """Log it."""
        log.info("%s", message)


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


def lost(cluster: str, alias: str, instance: str, why: str) -> Event:
    """Return that a node is lost."""
    text = f"{alias} of '{cluster}' is lost: {why}."
    return Event("lost", f"lost {instance}", text, {"node": alias})


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


def tell_lost(session: Session, name: str, hook: str | None, alias: str) -> None:
    """Tell that a node is lost that is known by its name only, as to searches."""
    try:
        there = [one for one in instances.describe(session, name) if one.alias == alias]
    except SpotclusterError as error:
        log.warning("the hook is not told: %s", error)
        return
    if there:
        newest = max(there, key=lambda one: one.launched)
        event = lost(name, alias, newest.id, "EC2 takes it back")
        Teller(session, name, hook).tell([event])


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
