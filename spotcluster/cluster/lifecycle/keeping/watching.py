"""What a keeper does that only looks: it tells when there is something to do, and for whom.

It is there for as long as the cluster, beside engines that want the memory. So it imports nothing
that only acting needs: neither pydantic, by which a template is read, nor boto3, nor what sets
nodes up. SSH it does need, as only a machine itself says soon what EC2 has told it.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from spotcluster.aws import network, tags
from spotcluster.aws.session import Session
from spotcluster.cluster import records
from spotcluster.cluster.cluster import Cluster, nodes_of
from spotcluster.cluster.lifecycle.keeping.decision import Decision, Past, Rules, Seen
from spotcluster.cluster.lifecycle.keeping.keeper import Keeper
from spotcluster.cluster.lifecycle.keeping.observation import Observation, Over
from spotcluster.cluster.lifecycle.keeping.relay import Known, State
from spotcluster.cluster.records import Record, Snapshot

if TYPE_CHECKING:
    from spotcluster.config import Template

_HOLDS = 8.0  # seconds


def written(record: Record) -> str:
    """Return what is written down of a cluster that only who acts can read."""
    return f"{record.tags.get(tags.KEEP)} {tags.join_text(record.tags)}"


def ended(seen_by: Observation) -> set[str]:
    """Return the instances of which EC2 says what they have cost to their end."""
    over = ("stopped", "terminated")
    return {one.id for one in seen_by.instances if one.state in over}


class Watching:
    """Leaves what a keeper decides to another process; see `keeper.Hands`."""

    adding = busy = failed = False

    def __init__(self, session: Session, name: str, state: State, known: Known) -> None:
        self._session = session
        self._name = name
        self._state = state
        self._known = known
        self._looking = threading.Lock()
        self._seen: Snapshot | None = None
        self._template = cast("Template", SimpleNamespace(**known.template))

    @property
    def past(self) -> Past:
        """What there is to remember of what was done."""
        changed = self._state.changed
        return Past() if changed is None else Past(time.monotonic() - changed)

    def look(self) -> Snapshot:
        """Return the cluster as it is now, or was a moment ago, with the template that it had."""
        with self._looking:  # two ask, the one about what there is and the one about whom to ask
            if self._seen is None or self._seen.age > _HOLDS:
                groups = network.find_groups(self._session, self._name)
                record = records.read(groups[0], self._template) if groups else None
                self._seen = records.look_at(self._session, record)
            return self._seen

    def asked(self, shows: Callable[[str], bool]) -> int:
        """Return that nodes are not asked for here."""
        del shows
        return 0

    def act(self, seen_by: Observation, seen: Seen, done: Decision) -> bool:
        """Return whether another process is to go on, as there is something to do."""
        del seen
        record = seen_by.record
        assert record
        is_other = written(record) != self._known.written
        has_ended = not ended(seen_by) <= set(self._known.ended)
        return is_other or has_ended or not done.does_nothing or self._is_to_be_counted(record)

    def _is_to_be_counted(self, record: Record) -> bool:
        counted = self._state.counted
        has_one = record.template.budget is not None
        return has_one and counted is not None and time.monotonic() >= counted

    def finish(self, *, launches_only: bool) -> None:
        """Wait for nothing, as nothing is being done."""


def watch(
    session: Session,
    name: str,
    key: Path,
    state: State,
    known: Known,
    say: Callable[[str], None],
    beat: Callable[[], object],
) -> Over | State:
    """Look until there is something to do, or nothing to keep any more; return that.

    Parameters
    ----------
    key : Path
        The master's own, which the other nodes let in.
    """
    watching = Watching(session, name, state, known)
    # What beginning leaves behind: Python looks for it late, and fills the room that it takes anew.
    gc.collect()
    there = watching.look()
    gc.collect()
    if there.record is None:
        return replace(state, known=None)
    nodes = nodes_of(there.instances, key, inside=True)
    cluster = Cluster(session, there.record, key, nodes, of_user="")
    keeper = Keeper(Rules(**state.rules), say, watching, beat=beat, noted=state.noted)
    look = watching.look
    with Observation(cluster, look=look, priced=False, memory=state.memory) as seen_by:
        over = keeper.run(cluster, seen_by)
        if over is not None:
            return over
        memory = seen_by.memory
    return replace(state, memory=memory, noted=sorted(keeper.noted), known=None)
