"""The console output of a cluster's nodes, those that have ended too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from spotcluster.aws import instances, regions
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError, UsageError
from spotcluster.wording import plain

MASTER = "master"


@dataclass(frozen=True)
class Console:
    """What EC2 has of a console; `text` without what would move a terminal's cursor."""

    who: str
    text: str


def read(sessions: Sequence[Session], name: str, alias: str | None = None) -> Console:
    """Return the console of a node.

    Parameters
    ----------
    sessions : sequence of Session
        The regions to look in.
    name : str
        A cluster; or the id of any instance, and no alias then.
    alias : str, optional
        The node, also by its instance's id; the master by default.

    Raises
    ------
    UsageError
        EC2 shows no such cluster or node.
    """
    places = ", ".join(session.region for session in sessions)
    if alias is None and re.fullmatch(r"i-[0-9a-f]{8,17}", name):
        return _of_any(sessions, name, places)
    there = regions.first(sessions, lambda session: instances.describe(session, name))
    if there:
        session, found = there
        one = _named(found, name, alias or MASTER)
        return Console(f"{one.alias} ({one.id}, {one.state})", _text(session, one.id))
    raise UsageError(
        f"EC2 shows no node of a cluster '{name}' in {places}.",
        "`spotcluster listclusters` shows the clusters there are; -r looks in another region.",
    )


def _of_any(sessions: Sequence[Session], instance: str, places: str) -> Console:
    def look(session: Session) -> Console | None:
        try:
            return Console(instance, _text(session, instance))
        except CloudError as error:
            if error.code != instances.UNKNOWN:
                raise
            return None

    there = regions.first(sessions, look)
    if there:
        return there[1]
    raise UsageError(
        f"EC2 shows no instance '{instance}' in {places}.",
        "`spotcluster listinstances` shows those there are; -r looks in another region.",
    )


def _named(found: Sequence[Instance], cluster: str, alias: str) -> Instance:
    """Return the node of a name; of several that had it in turn, the latest."""
    named = [one for one in found if alias in (one.alias, one.id)]
    if not named:
        there = ", ".join(dict.fromkeys(one.alias for one in found))
        raise UsageError(
            f"EC2 shows no node '{alias}' of the cluster '{cluster}'.", f"It shows: {there}."
        )
    return max(named, key=lambda one: (one.state in instances.LIVE, one.launched))


def _text(session: Session, instance: str) -> str:
    return plain(instances.console(session, instance, latest=True)).strip("\n")
