"""Instances: launched one per node, described all at once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from spotcluster.aws import blocks, tags
from spotcluster.aws.calls import call, call_soon, every
from spotcluster.aws.images import USUAL_GB
from spotcluster.aws.launching import asked, placement_groups
from spotcluster.aws.launching.asked import Launch
from spotcluster.aws.network import UNKNOWN_GROUP
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError, UsageError

LIVE = ("pending", "running", "stopping", "stopped", "shutting-down")
"""States in which an instance is still there."""

PRESENT = ("pending", "running", "stopping", "stopped")
"""States in which an instance is a node, or may be one again."""

STOPPED = ("stopping", "stopped")
"""States of an instance that keeps its disk and does not run."""

UNKNOWN = "InvalidInstanceID.NotFound"
"""The code by which EC2 says that there is no such instance, or not yet."""

_NO_LATEST = ("UnsupportedOperation", "InvalidParameterCombination", "IncorrectInstanceState")
_NOT_NOW = "IncorrectInstanceState"


@dataclass(frozen=True)
class Instance:
    """An instance as EC2 describes it; what tags say is given by name.

    Attributes
    ----------
    launched : datetime
        When it was started last.
    ended : datetime or None
        When it was told to stop or to end, where EC2 says so.
    provisional : bool
        Whether its name follows from those that it was launched with, and is not written down yet.
    prepaid : bool
        Whether it is of a capacity block, which has been paid for.
    """

    id: str
    state: str
    type: str
    zone: str
    private_ip: str
    public_ip: str
    spot_request: str
    spot: bool
    launched: datetime
    reason: str
    tags: Mapping[str, str] = field(repr=False)
    ended: datetime | None = None
    provisional: bool = False
    prepaid: bool = False

    @property
    def alias(self) -> str:
        """The node's name in its cluster."""
        return self.tags.get(tags.ALIAS, self.id)

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return self.tags.get(tags.CLUSTER, "")

    @property
    def is_master(self) -> bool:
        """Whether this is the cluster's master."""
        return self.tags.get(tags.ROLE) == "master"

    @property
    def ready(self) -> bool:
        """Whether the node has been set up."""
        return self.tags.get(tags.STATE) == "ready"

    @property
    def returning(self) -> bool:
        """Whether it was set up once and is to be brought back, or is being so."""
        return self.tags.get(tags.STATE) == tags.RETURNING or (self.ready and self.state in STOPPED)

    @property
    def shut_itself_down(self) -> bool:
        """Whether it was shut down from inside, as an idle node does."""
        return self.reason.startswith("Client.InstanceInitiatedShutdown")

    @property
    def leaving(self) -> bool:
        """Whether it is being taken out of its cluster."""
        return tags.LEAVING in self.tags

    @property
    def is_copy(self) -> bool:
        """Whether it is a copy of a node that `ebsimage` makes an image of, and no node."""
        return tags.BAKE in self.tags

    @property
    def address(self) -> str:
        """Where this computer reaches it: the public address, or the private where it has none.

        Through a host in between it is the private one, as that host is inside.
        """
        if self.proxy_jump and self.private_ip:
            return self.private_ip
        return self.public_ip or self.private_ip

    @property
    def proxy_jump(self) -> str:
        """The hosts through which SSH reaches it, empty where it does so itself."""
        return self.tags.get(tags.JUMP, "")

    @property
    def disk_gb(self) -> int:
        """The size of its own disk in GiB; of nodes that do not say it, the default image's."""
        said = self.tags.get(tags.DISK, "")
        return int(said) if said.isdecimal() else USUAL_GB

    @property
    def priced_gb(self) -> float:
        """How many GiB of gp3 cost what its own disk costs."""
        return float(self.tags.get(tags.PRICED_DISK, self.disk_gb))

    @property
    def ssh_port(self) -> int:
        """The port of its SSH server."""
        return int(self.tags.get(tags.SSH_PORT, "22"))


def token(*parts: str) -> str:
    """Return the client token of `parts`: the same for the same parts (64 characters at most)."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:60]


def launch(session: Session, what: Launch, *, new_group: bool = False) -> Instance:
    """Launch one instance, with an encrypted disk and IMDSv2 only.

    Parameters
    ----------
    new_group : bool
        Whether its groups were made a moment ago, so that EC2 may not know of them yet.

    Raises
    ------
    CapacityError
        No capacity, a quota is used up, or the bid is too low.
    CloudError
        Any other refusal.
    """
    answer = call_soon(
        session.ec2.run_instances,
        unknown=(*UNKNOWN_GROUP, placement_groups.UNKNOWN) if new_group else (),
        InstanceType=what.type,
        MinCount=1,
        MaxCount=1,
        ClientToken=what.token,
        UserData=what.user_data,
        InstanceMarketOptions=asked.market(what),
        **asked.settings(what, ("instance", "volume", *asked.beside(what)), what.subnet_id),
    )
    return _instance(answer["Instances"][0])


def check_profile(session: Session, name: str, key: str, hint: str) -> None:
    """Refuse an instance profile that an instance cannot be launched with.

    Parameters
    ----------
    key : str
        What names it in the config.
    hint : str
        What its role needs.

    Raises
    ------
    UsageError
        There is none of that name, or it has no role.
    """
    try:
        answer = call(session.client("iam").get_instance_profile, InstanceProfileName=name)
    except CloudError as error:
        if error.code != "NoSuchEntity":
            raise
        raise UsageError(f"There is no instance profile '{name}' ({key}).", hint) from None
    if not answer["InstanceProfile"]["Roles"]:
        raise UsageError(
            f"The instance profile '{name}' ({key}) has no role.",
            f"Put one into it with `aws iam add-role-to-instance-profile`. {hint}".rstrip(),
        )


def describe(
    session: Session,
    cluster: str | None = None,
    *,
    ids: Sequence[str] = (),
    states: Sequence[str] = (),
    copies: bool = False,
) -> list[Instance]:
    """Return the instances of a cluster (or of all clusters), ended ones too, oldest first.

    Parameters
    ----------
    ids, states : sequence of str
        Only these; in these states. The names of instances that share their tags with others are
        wrong then, as those follow from all of them.
    copies : bool
        Also copies of nodes that `ebsimage` makes images of: they are the cluster's, and no nodes.
    """
    wanted = (
        tags.filters(cluster=cluster)
        if cluster
        else [{"Name": "tag-key", "Values": [tags.CLUSTER]}]
    )
    if states:
        wanted = [*wanted, {"Name": "instance-state-name", "Values": [*states]}]
    reservations = every(
        session.ec2.describe_instances,
        "Reservations",
        Filters=wanted,
        InstanceIds=list(ids) or None,
    )
    found = _named([_instance(item) for group in reservations for item in group["Instances"]])
    found = [one for one in found if copies or not one.is_copy]
    return sorted(found, key=lambda instance: (instance.launched, instance.alias))


def image_of(session: Session, instance_id: str) -> str:
    """Return the id of the image that an instance was launched from."""
    answer = call(session.ec2.describe_instances, InstanceIds=[instance_id])
    return str(answer["Reservations"][0]["Instances"][0]["ImageId"])


def _named(found: Sequence[Instance]) -> list[Instance]:
    """Give every instance its own tags, of those that it shares with others."""
    own = blocks.resolve({one.id: one.tags for one in found})
    return [
        replace(one, tags=own[one.id][0], provisional=own[one.id][1]) if one.id in own else one
        for one in found
    ]


def live(found: Iterable[Instance]) -> list[Instance]:
    """Return those that are still there, master first, then by alias."""
    return _in_order(one for one in found if one.state in LIVE)


def present(found: Iterable[Instance]) -> list[Instance]:
    """Return those that are there and not about to end, master first, then by alias."""
    return _in_order(one for one in found if one.state in PRESENT)


def staying(found: Iterable[Instance]) -> list[Instance]:
    """Return those that are there and are to be: what a cluster's size counts."""
    return [one for one in present(found) if not one.leaving]


def _in_order(found: Iterable[Instance]) -> list[Instance]:
    return sorted(found, key=lambda one: (not one.is_master, len(one.alias), one.alias))


def terminate(session: Session, ids: Sequence[str], *, new: bool = False) -> None:
    """Terminate instances; those already gone are no error.

    Parameters
    ----------
    new : bool
        Whether they were made in this run, so that EC2 may not know of them yet.
    """
    soon = [UNKNOWN] if new else ()
    _all_but_refused(session.ec2.terminate_instances, ids, refused=(UNKNOWN,), soon=soon)


def stop(session: Session, ids: Sequence[str]) -> None:
    """Stop instances, which keep their disks; one that is not far enough to stop is no error."""
    _all_but_refused(session.ec2.stop_instances, ids, refused=(UNKNOWN, _NOT_NOW))


def _all_but_refused(
    operation: Callable[..., Any],
    ids: Sequence[str],
    *,
    refused: Collection[str],
    soon: Collection[str] = (),
) -> None:
    """Make a call for instances, and for each alone where EC2 refuses it for one of them."""
    if not ids:
        return
    try:
        call_soon(operation, unknown=soon, InstanceIds=list(ids))
    except CloudError as error:
        if error.code not in refused:
            raise
        if len(ids) > 1:
            for one in ids:
                _all_but_refused(operation, [one], refused=refused)


def start(session: Session, instance_id: str) -> None:
    """Start an instance that has stopped; one that runs already is no error."""
    # EC2 may show that it has stopped a moment before it can start it.
    call_soon(session.ec2.start_instances, unknown=[_NOT_NOW], InstanceIds=[instance_id])


def reboot(session: Session, instance_id: str) -> None:
    """Reboot an instance."""
    call(session.ec2.reboot_instances, InstanceIds=[instance_id])


def open_spot_requests(session: Session, cluster: str) -> list[str]:
    """Return the ids of a cluster's spot requests that could still be fulfilled."""
    requests = every(
        session.ec2.describe_spot_instance_requests,
        "SpotInstanceRequests",
        Filters=tags.filters(cluster=cluster, state=["open", "active"]),
    )
    return [item["SpotInstanceRequestId"] for item in requests]


def cancel_spot_requests(session: Session, ids: Sequence[str]) -> None:
    """Cancel spot requests, so that none is fulfilled late; those already gone are no error."""
    if not ids:
        return
    try:
        call(session.ec2.cancel_spot_instance_requests, SpotInstanceRequestIds=list(ids))
    except CloudError as error:
        if error.code != "InvalidSpotInstanceRequestID.NotFound":
            raise


def volumes(session: Session, cluster: str) -> list[str]:
    """Return the ids of the volumes that were made with a cluster's instances."""
    found = every(session.ec2.describe_volumes, "Volumes", Filters=tags.filters(cluster=cluster))
    return [item["VolumeId"] for item in found if item["State"] != "deleting"]


def delete_volume(session: Session, volume_id: str) -> None:
    """Delete a volume; one already gone is no error, nor one that its instance still has."""
    try:
        call(session.ec2.delete_volume, VolumeId=volume_id)
    except CloudError as error:
        if error.code not in ("InvalidVolume.NotFound", "VolumeInUse"):
            raise


def console_tail(session: Session, instance_id: str, lines: int = 10) -> str:
    """Return the last lines that an instance wrote to its console; empty when there are none."""
    try:
        text = console(session, instance_id)
    except CloudError:
        return ""  # the console is only ever extra information about another error
    return "\n".join(text.strip().splitlines()[-lines:])


def console(session: Session, instance_id: str, *, latest: bool = False) -> str:
    """Return what an instance wrote to its console, as far as EC2 has it by now.

    Parameters
    ----------
    latest : bool
        Whether to ask for what it has written since its last change of state too, which EC2 can
        tell of newer types only, and only while they run.
    """
    import base64

    try:
        answer = call(
            session.ec2.get_console_output, InstanceId=instance_id, Latest=True if latest else None
        )
    except CloudError as error:
        if not latest or error.code not in _NO_LATEST:
            raise
        return console(session, instance_id)
    raw = answer.get("Output") or ""
    try:
        return base64.b64decode(raw, validate=True).decode(errors="replace")
    except ValueError:
        return raw


def _instance(item: Any) -> Instance:
    return Instance(
        id=item["InstanceId"],
        state=item["State"]["Name"],
        type=item["InstanceType"],
        zone=item.get("Placement", {}).get("AvailabilityZone", ""),
        # In a subnet of IPv6 only that is what its neighbours and its user reach it by.
        private_ip=item.get("PrivateIpAddress") or item.get("Ipv6Address") or "",
        public_ip=item.get("PublicIpAddress") or "",
        spot_request=item.get("SpotInstanceRequestId") or "",
        spot=item.get("InstanceLifecycle") == "spot",
        prepaid=item.get("InstanceLifecycle") == "capacity-block",
        launched=item["LaunchTime"],
        reason=(item.get("StateReason") or {}).get("Message", ""),
        tags=tags.mapping(item.get("Tags")),
        ended=_ended(item),
    )


def _ended(item: Any) -> datetime | None:
    """Return when an instance began to stop or to end: EC2 has it as words only."""
    said = re.search(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)", _transition(item))
    if said is None:
        return None
    return datetime.strptime(said[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def _transition(item: Any) -> str:
    if item["State"]["Name"] in ("pending", "running"):
        return ""
    return item.get("StateTransitionReason") or ""
