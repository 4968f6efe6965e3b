"""Launching nodes: under names that nobody else has, once, whatever happened before.

The master is launched alone, by RunInstances. Its name is claimed by the launch itself: the client
token is made of the cluster's id, how often it was stopped, the node's name and how often that name
was launched since; EC2 makes one instance for a token and refuses a second request that differs
from the first one. Each request of ours differs, as each carries a new host key, so of two
terminals that want a name at once one gets it and the other is told `IdempotentParameterMismatch`.

Workers that are wanted at about the same time are launched together, see `workers`. No lock is
needed for either, and none can be left behind.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence

from spotcluster import ssh, threads
from spotcluster.aws import instances, network, tags
from spotcluster.aws.instances import Instance
from spotcluster.aws.launching import placement_groups
from spotcluster.cluster.bringup.making import Making, ended_elsewhere
from spotcluster.cluster.bringup.places.kinds import MASTER
from spotcluster.cluster.bringup.plans import Plan, PlannedNode
from spotcluster.cluster.bringup.workers import Workers
from spotcluster.cluster.cluster import Cluster
from spotcluster.errors import CloudError

_BEGINNING = 10.0  # seconds in which all nodes of a plan have come to their launch
_REPLACED = 0.25  # seconds in which those that failed together have
_MANY = 1_000_000  # more than there are: whoever comes in that time is waited for


class Launcher:
    """Launches the nodes of a plan.

    Parameters
    ----------
    found : sequence of Instance
        All that EC2 shows of the cluster, ended ones too.
    addition : str, optional
        The `addnode` whose nodes these are. Then a name that somebody else has taken is passed
        over; otherwise a node of that name is the one that is wanted, whoever made it.
    there : iterable of str
        The names of those nodes of the plan that are there already.
    """

    def __init__(
        self,
        cluster: Cluster,
        todo: Plan,
        found: Sequence[Instance],
        addition: str = "",
        there: Iterable[str] = (),
    ) -> None:
        self._making = Making(cluster, todo, found, addition)
        self._workers = Workers(self._making, found)
        expected = {one.alias for one in todo.nodes} - {MASTER, *there}
        self._gathered = threads.Gathered[PlannedNode, Instance](
            self._launch_workers,
            expected=len(expected) or _MANY,
            pause=_BEGINNING if expected else _REPLACED,
        )

    def launch(self, planned: PlannedNode) -> Instance:
        """Launch a node, or return the one that an earlier run has made of it.

        Raises
        ------
        CloudError
            EC2 refused.
        ClusterError
            The cluster has been ended meanwhile.
        """
        if planned.alias == MASTER:
            return self._launch_master(planned)
        return self._gathered.ask(planned)

    def _launch_workers(self, planned: Sequence[PlannedNode]) -> list[Instance | Exception]:
        self._gathered.expected, self._gathered.pause = _MANY, _REPLACED
        return self._workers.launch(planned)

    def _launch_master(self, planned: PlannedNode) -> Instance:
        making = self._making
        for attempt in itertools.count(making.launched.count(MASTER)):
            try:
                made = self._run(planned, attempt)
            except CloudError as error:
                if error.code in (*network.UNKNOWN_GROUP, placement_groups.UNKNOWN):
                    raise ended_elsewhere(making.cluster.name) from error
                if error.code != "IdempotentParameterMismatch":
                    raise
                there = self._there()
                if there is None:
                    continue  # it has ended, so long ago that EC2 does not list it any more
                return there
            making.launched.append(MASTER)  # a replacement is another attempt
            return made
        raise AssertionError

    def _run(self, planned: PlannedNode, attempt: int) -> Instance:
        making = self._making
        host_key = ssh.keys.generate()
        own_tags = {
            **making.tags(planned, host_key),
            tags.ALIAS: MASTER,
            "Name": f"{making.cluster.name}-{MASTER}",
        }
        what = making.launch(planned, host_key, own_tags, MASTER, str(attempt))
        session, record = making.cluster.session, making.cluster.record
        return instances.launch(session, what, new_group=record.new)

    def _there(self) -> Instance | None:
        """Return the master that is there; wait, as EC2 may not show yet what was just made."""
        making = self._making
        session = making.cluster.session
        end = time.monotonic() + session.patience.settle
        while True:
            found = instances.describe(session, making.cluster.name)
            named = [one for one in found if one.is_master]
            here = instances.present(named)
            if here:
                return here[0]
            if len(named) > making.launched.count(MASTER):  # made and ended since we looked
                making.launched.append(MASTER)
                return None
            if time.monotonic() > end:
                return None
            time.sleep(1)
