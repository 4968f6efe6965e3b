"""Launching one node: under a name that nobody else has, once, whatever happened before.

A name is claimed by the launch itself. The client token of RunInstances is made of the cluster's
id, how often it was stopped, the node's name and how often that name was launched since; EC2 makes
one instance for a token and refuses a second request that differs from the first one. Each request
of ours differs, as each carries a new host key, so of two terminals that want a name at once one
gets it and the other is told `IdempotentParameterMismatch`: no lock is needed, and none can be left
behind.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Sequence

from spotcluster import ssh
from spotcluster.aws import instances, network, tags
from spotcluster.aws.instances import Instance, Launch
from spotcluster.cluster.bringup import plans, userdata
from spotcluster.cluster.bringup.plans import MASTER, Plan, PlannedNode
from spotcluster.cluster.cluster import Cluster
from spotcluster.errors import CloudError, ClusterError

_MOST_NAMES = 200  # names that others may take before us, until something else must be wrong


class Names:
    """The names of nodes that may still be taken; safe to use from several threads."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = list(taken)
        self._lock = threading.Lock()

    def next(self) -> str:
        """Return one that nobody is known to have, and count it as taken."""
        with self._lock:
            (name,) = plans.aliases_after(self._taken, 1)
            self._taken.append(name)
            return name


class Launcher:
    """Launches the nodes of a plan.

    Parameters
    ----------
    found : sequence of Instance
        All that EC2 shows of the cluster, ended ones too.
    addition : str, optional
        The `addnode` whose nodes these are. Then a name that somebody else has taken is passed
        over; otherwise a node of that name is the one that is wanted, whoever made it.
    """

    def __init__(
        self, cluster: Cluster, todo: Plan, found: Sequence[Instance], addition: str = ""
    ) -> None:
        self._cluster = cluster
        self._todo = todo
        self._addition = addition
        self._scripts = userdata.read_scripts(todo.template.userdata_scripts)
        self._launched = [one.alias for one in found]
        planned = [one.alias for one in todo.nodes]
        self._names = Names([*self._launched, *planned])

    def launch(self, planned: PlannedNode) -> Instance:
        """Launch a node, or return the one that an earlier run has made of it.

        Raises
        ------
        CloudError
            EC2 refused.
        ClusterError
            The cluster has been ended meanwhile.
        """
        alias = planned.alias
        for _ in range(_MOST_NAMES):
            made = self._claim(planned, alias)
            if made:
                return made
            alias = self._names.next()
        raise ClusterError(
            f"Others have taken {_MOST_NAMES} names for nodes of '{self._cluster.name}' in turn.",
            f"See `spotcluster listclusters {self._cluster.name}`.",
        )

    def _claim(self, planned: PlannedNode, alias: str) -> Instance | None:
        """Launch a node under a name; None if it is somebody else's."""
        for attempt in itertools.count(self._launched.count(alias)):
            try:
                made = self._run(planned, alias, attempt)
            except CloudError as error:
                if error.code in network.UNKNOWN_GROUP:
                    raise ended_elsewhere(self._cluster.name) from error
                if error.code != "IdempotentParameterMismatch":
                    raise
                there = self._there(alias)
                if there is None:
                    continue  # it has ended, so long ago that EC2 does not list it any more
                if self._addition and there.tags.get(tags.BY) != self._addition:
                    return None
                return there
            self._launched.append(alias)  # a replacement is another attempt
            return made
        raise AssertionError

    def _run(self, planned: PlannedNode, alias: str, attempt: int) -> Instance:
        cluster, template = self._cluster, self._todo.template
        host_key = ssh.keys.generate()
        own_tags = {
            tags.CLUSTER: cluster.name,
            tags.ID: cluster.record.run,
            tags.ALIAS: alias,
            tags.ROLE: "master" if alias == MASTER else "worker",
            tags.HOST_KEY: ssh.keys.bare(host_key.public),
            tags.LOGIN: template.image_user or planned.image.login,
            "Name": f"{cluster.name}-{alias}",
        }
        if template.proxy_jump:
            own_tags[tags.JUMP] = template.proxy_jump
        if planned.bid is not None:
            own_tags[tags.BID] = f"{planned.bid:g}"
        if self._addition:
            own_tags[tags.BY] = self._addition
        what = Launch(
            image=planned.image,
            type=planned.type.name,
            key_name=template.keyname,
            subnet_id=self._todo.subnet.id,
            group_id=cluster.record.group_id,
            user_data=userdata.build(host_key, self._scripts),
            tags=own_tags,
            spot=planned.spot,
            bid=planned.bid,
            token=instances.token(cluster.record.run, alias, str(attempt)),
            public_ip=template.public_ips is not False,
            root_gb=template.root_volume_size,
        )
        return instances.launch(cluster.session, what, new_group=cluster.record.new)

    def _there(self, alias: str) -> Instance | None:
        """Return the node that has a name; wait, as EC2 may not show yet what was just made."""
        end = time.monotonic() + self._cluster.session.patience.settle
        while True:
            found = instances.describe(self._cluster.session, self._cluster.name)
            named = [one for one in found if one.alias == alias]
            here = instances.present(named)
            if here:
                return here[0]
            if len(named) > self._launched.count(alias):  # made and ended since we looked
                self._launched.append(alias)
                return None
            if time.monotonic() > end:
                return None
            time.sleep(1)


@contextlib.contextmanager
def unless_ended(name: str) -> Iterator[None]:
    """Say that the cluster was ended, where EC2 says that its group is not there."""
    try:
        yield
    except CloudError as error:
        if error.code not in network.UNKNOWN_GROUP:
            raise
        raise ended_elsewhere(name) from error


def ended_elsewhere(name: str) -> ClusterError:
    """Return the error for a cluster that somebody has ended while nodes were made for it."""
    return ClusterError(
        f"'{name}' has been terminated from elsewhere meanwhile; the nodes made here were ended"
        " too.",
        f"`spotcluster start {name}` starts it anew.",
    )
