"""What a launch asks for, and what was launched before: the same for the master and for workers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence

from spotcluster import ssh
from spotcluster.aws import instances, network, tags
from spotcluster.aws.instances import Instance
from spotcluster.aws.launching import placement_groups
from spotcluster.aws.launching.asked import Launch
from spotcluster.cluster import records
from spotcluster.cluster.bringup import ceiling, userdata
from spotcluster.cluster.bringup.places.kinds import MASTER
from spotcluster.cluster.bringup.plans import Plan, PlannedNode
from spotcluster.cluster.cluster import Cluster
from spotcluster.errors import CloudError, ClusterError


class Making:
    """Nodes of a plan that are being made.

    Attributes
    ----------
    addition : str
        The `addnode` whose nodes these are; empty for `start`.
    launched : list of str
        The names that were launched, each as often as it was.
    """

    def __init__(
        self, cluster: Cluster, todo: Plan, found: Sequence[Instance], addition: str
    ) -> None:
        self.cluster = cluster
        self.todo = todo
        self.addition = addition
        self.launched = [one.alias for one in found]
        # Before it is set up, the master can log in by this only.
        self._let_in = cluster.public_key if cluster.inside else ""
        self._scripts = userdata.read_scripts(todo.template.userdata_scripts)

    def tags(self, planned: PlannedNode, host_key: ssh.keys.KeyPair) -> dict[str, str]:
        """Return what the tags of a node say from its launch on, but for its name."""
        cluster, template = self.cluster, self.todo.template
        own_tags = {
            **template.users_tags,
            tags.CLUSTER: cluster.name,
            tags.ID: cluster.record.run,
            tags.ROLE: "master" if planned.alias == MASTER else "worker",
            tags.HOST_KEY: ssh.keys.bare(host_key.public),
            tags.LOGIN: template.image_user or planned.image.login,
            tags.DISK: str(planned.disk_gb),
        }
        if planned.priced_gb != planned.disk_gb:
            own_tags[tags.PRICED_DISK] = f"{planned.priced_gb:g}"
        if template.proxy_jump:
            own_tags[tags.JUMP] = template.proxy_jump
        if planned.bid is not None:
            own_tags[tags.BID] = f"{planned.bid:g}"
        if self.addition:
            own_tags[tags.BY] = self.addition
        return own_tags

    def launch(
        self,
        planned: PlannedNode,
        host_key: ssh.keys.KeyPair,
        own_tags: Mapping[str, str],
        *token: str,
    ) -> Launch:
        """Return the launch of a node, or of several like it."""
        template = self.todo.template
        scripts = [*self._scripts]
        if (deadline := self.cluster.deadline) is not None:
            timer = ceiling.boot_script(deadline - time.monotonic())
            scripts.append(("spotcluster-ceiling", timer))
        around, own_group = self.todo.around, self.cluster.record.group_id
        keeps_disk = planned.alias == MASTER and not planned.spot  # one-time spot cannot stop
        return Launch(
            image=planned.image,
            type=planned.type.name,
            key_name=template.keyname,
            subnet_id=self.todo.subnet.id,
            group_ids=(own_group, *template.security_groups),
            user_data=userdata.build(host_key, scripts, self._let_in),
            tags=own_tags,
            spot=planned.spot,
            bid=planned.bid,
            token=instances.token(self.cluster.record.run, *token),
            public_ip=template.public_ips is not False,
            disk=self.todo.disk,
            ipv6=self.todo.subnet.ipv6,
            profile=self._profile(planned),
            placement_group=around.group.name if around.group else None,
            reservation=planned.reservation.id if planned.reservation else None,
            block=planned.reservation is not None and planned.reservation.block,
            on_shutdown=template.autostop_action if keeps_disk else "terminate",
        )

    def _profile(self, planned: PlannedNode) -> str | None:
        own = self.todo.template.instance_profile if planned.alias == MASTER else None
        return own or self.todo.template.node_instance_profile


def make_place(cluster: Cluster, todo: Plan) -> None:
    """Make the placement group of the cluster's own, if it is to have one, unless it is there.

    Raises
    ------
    ClusterError
        The cluster has been ended meanwhile; then it is not left behind.
    """
    group = todo.around.group
    if group is None or not group.own:
        return
    session, record = cluster.session, cluster.record
    own = {
        **record.template.users_tags,
        tags.CLUSTER: cluster.name,
        tags.ID: record.id,
        "Name": group.name,
    }
    placement_groups.create(session, group.name, own)
    # Who ends the cluster looks for it until nothing is left; afterwards nobody would.
    if not records.is_wanted(record, records.find(session, cluster.name)):
        placement_groups.delete(session, group.name)
        raise ended_elsewhere(cluster.name)


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
