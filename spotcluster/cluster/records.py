"""What EC2 remembers of a cluster: its template and size, in the tags of its security group."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from spotcluster.aws import instances, network, tags
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.cluster import additions
from spotcluster.cluster.additions import Addition
from spotcluster.errors import CloudError, ClusterError, UsageError

if TYPE_CHECKING:  # a keeper that only looks goes without pydantic, see `lifecycle.keeping`
    from spotcluster.config import Template


_FOR_TEMPLATE = 32
"""How many of EC2's fifty tags a template and its owner's own may take; others are yet to come."""


@dataclass(frozen=True)
class Record:
    """A cluster as it was started.

    Attributes
    ----------
    id : str
        Random, made with the cluster: two clusters of one name in turn differ in it.
    size : int
        How many nodes it should have, the master included.
    template : Template
        The resolved template it was started from.
    additions : tuple of Addition
        The `addnode` commands that have not ended.
    ending : bool
        Whether `terminate` has begun.
    stopped : bool
        Whether it is to be stopped: `stop` has begun, and no `start` since.
    stops : int
        How often it has been stopped.
    bid : float or None
        Highest price of the spot workers that take the place of those that ended with a stop.
    new : bool
        Whether this process has made it, so that EC2 may not know of it yet.
    installed_later : tuple of str
        What somebody has installed on its master with pip, as requirements.
    tags : mapping of str to str
        All that is written down of it.
    ssh : mapping of str to str
        The blocks of addresses that may reach SSH, with what each rule says of itself.
    """

    name: str
    id: str
    group_id: str
    vpc_id: str
    size: int
    created: datetime
    template: Template
    additions: tuple[Addition, ...] = ()
    ending: bool = False
    stopped: bool = False
    stops: int = 0
    bid: float | None = None
    new: bool = False
    installed_later: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict, repr=False)
    ssh: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def run(self) -> str:
        """Its id, another one after each stop: nodes of different runs may have the same name."""
        return f"{self.id}.{self.stops}" if self.stops else self.id

    @property
    def begun(self) -> datetime:
        """When it was started, last when nothing of it ran."""
        return _time(self.tags.get(tags.BEGUN)) or self.created

    @property
    def is_settled(self) -> bool:
        """Whether all that it has cost is written down, as nothing has run since."""
        settled = _time(self.tags.get(tags.SETTLED))
        return settled is not None and settled >= self.begun

    @property
    def keeps_itself(self) -> bool:
        """Whether its master is to keep its size."""
        wanted = self.tags.get(tags.KEEP) != tags.OFF
        return self.template.instance_profile is not None and wanted

    @property
    def cut_off(self) -> tuple[Addition, ...]:
        """The additions that nobody runs any more, as far as one computer can know."""
        # Those of another computer by the limits of their waits.
        limits = self.template
        set_up = limits.setup_timeout * (1 + len(limits.plugins))
        tries = 1 + limits.replacements
        longest = tries * (limits.launch_timeout + limits.ssh_timeout + set_up) + 600
        return tuple(one for one in self.additions if one.was_cut_off(longest=longest))

    def own(self, found: Sequence[Instance]) -> list[Instance]:
        """Leave out the nodes of an earlier cluster of this name that EC2 still shows as ended."""
        return [
            one
            for one in found
            if one.state in instances.PRESENT or one.tags.get(tags.ID) == self.run
        ]

    def was_stopped_since(self, now: Record) -> bool:
        """Return whether somebody has stopped the cluster, by its record `now`."""
        # Not by `stopped` alone, which EC2 may show for a moment after it was taken away.
        return now.stopped and now.stops > self.stops


@dataclass(frozen=True)
class Snapshot:
    """A cluster as EC2 showed it at one moment, for all that a command decides by.

    Attributes
    ----------
    record : Record or None
        None where there is no such cluster.
    instances : tuple of Instance
        All that EC2 showed of it, ended ones too.
    taken : float
        When, by `time.monotonic`.
    """

    record: Record | None
    instances: tuple[Instance, ...] = ()
    taken: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        """How many seconds ago that was."""
        return time.monotonic() - self.taken


def look(session: Session, name: str) -> Snapshot:
    """Return the cluster `name` as it is now."""
    return look_at(session, find(session, name))


def look_at(session: Session, record: Record | None) -> Snapshot:
    """Return the cluster whose record has been read a moment ago."""
    taken = time.monotonic()
    there = instances.describe(session, record.name) if record else ()
    return Snapshot(record, tuple(there), taken)


def find(session: Session, name: str) -> Record | None:
    """Return the record of the cluster `name`, None where there is none."""
    groups = network.find_groups(session, name)
    return _read(groups[0]) if groups else None


def find_all(session: Session) -> list[Record]:
    """Return the records of every cluster in the region, by name."""
    return sorted(
        (_read(group) for group in network.find_groups(session)), key=lambda one: one.name
    )


def check_size(template: Template) -> None:
    """Refuse a template that EC2's tags have no room for.

    Raises
    ------
    UsageError
        It is too long, mostly by what its plugins are given.
    """
    from spotcluster.cluster.secrets import without_secrets

    room = tags.TEXT_SIZE * (_FOR_TEMPLATE - len(template.users_tags))
    size = len(without_secrets(template).model_dump_json(exclude_defaults=True))
    if size <= room:
        return
    sizes = {one.name: sum(map(len, one.settings.values())) for one in template.plugins}
    longest = max(sizes, key=sizes.__getitem__, default="")
    why = f", {sizes[longest]} of them in [plugin {longest}]" if longest else ""
    raise UsageError(
        f"[cluster {template.name}] has {size} characters of settings{why}, and EC2's tags, where a"
        f" cluster keeps them, have room for {room}.",
        "Write less: short public keys (ed25519), and long lists of packages into a file that"
        " PACKAGES names with -r.",
    )


def create(session: Session, name: str, template: Template, vpc_id: str) -> Record:
    """Make the cluster's security group, and with it its record, in one call.

    Returns
    -------
    Record
        It is `new`, unless somebody else has made a cluster of that name at the same moment: then
        it is theirs.

    Raises
    ------
    ClusterError
        A group of that name is there, but is no cluster's.
    """
    from spotcluster.cluster.secrets import without_secrets
    from spotcluster.config.template import AUTOSTOP

    # Said for good, so that another default of a later version does not change this cluster's.
    template = template.model_copy(update={"autostop": template.autostop or AUTOSTOP})
    own = {
        **template.users_tags,
        tags.CLUSTER: name,
        tags.ID: secrets.token_hex(6),
        tags.SIZE: str(template.cluster_size),
        tags.CREATED: datetime.now(UTC).isoformat(timespec="seconds"),
        "Name": f"spotcluster-{name}",
        **tags.split_text(without_secrets(template).model_dump_json(exclude_defaults=True)),
    }
    try:
        group_id = network.create_group(session, f"spotcluster-{name}", vpc_id, own)
    except CloudError as error:
        if error.code != "InvalidGroup.Duplicate":
            raise
        made = _made_meanwhile(session, name)
        if made is None:
            raise ClusterError(
                f"A security group 'spotcluster-{name}' is already there in {session.region}.",
                f"If nobody is starting '{name}' at this moment, choose another name or delete the"
                " group.",
            ) from error
        # Ours, if the call was repeated because its first answer did not arrive.
        if made.tags.get(tags.ID) != own[tags.ID]:
            return _read(made)
        group_id = made.id
    made_now = _read(network.Group(group_id, f"spotcluster-{name}", vpc_id, own))
    return replace(made_now, new=True)


def _made_meanwhile(session: Session, name: str) -> network.Group | None:
    """Return the cluster's group that EC2 says is there; None if it shows none after a while."""
    end = time.monotonic() + session.patience.settle
    while True:
        groups = network.find_groups(session, name)
        if groups or time.monotonic() > end:
            return groups[0] if groups else None
        time.sleep(1)


def resize(
    session: Session, record: Record, size: int, own: Mapping[str, str] | None = None
) -> Record:
    """Write down how many nodes the cluster should have, and whatever else goes with it."""
    network.tag(session, [record.group_id], {tags.SIZE: str(size), **(own or {})})
    return replace(record, size=size)


def amend(session: Session, record: Record, template: Template) -> Record:
    """Write down another template, by which nodes are made from now on."""
    from spotcluster.cluster.secrets import without_secrets

    text = without_secrets(template).model_dump_json(exclude_defaults=True)
    # All in one call: in between, the tags would hold parts of both.
    emptied = dict.fromkeys(tags.of_text(record.tags), "")
    own = {**emptied, **tags.split_text(text)}
    network.tag(session, [record.group_id], own)
    return replace(record, template=template, tags={**record.tags, **own})


def remember_installed(session: Session, record: Record, lines: Sequence[str]) -> Record:
    """Write down what somebody has installed on the master with pip, for one made in its place."""
    written = tags.split_text(json.dumps(lines), tags.INSTALLED)
    emptied = dict.fromkeys(tags.of_text(record.tags, tags.INSTALLED), "")
    own = {**emptied, **written}
    network.tag(session, [record.group_id], own)
    return replace(record, installed_later=tuple(lines), tags={**record.tags, **own})


def is_wanted(record: Record, now: Record | None) -> bool:
    """Return whether nobody has ended or stopped the cluster, or begun to, by its record `now`."""
    return (
        now is not None
        and now.id == record.id
        and not now.ending
        and not record.was_stopped_since(now)
    )


def settle(session: Session, record: Record) -> Record | None:
    """Raise the size to what is there; return the record, None if nobody wants the cluster so.

    That is if somebody has ended it meanwhile, or stopped it.

    Two terminals that add nodes at once each know of their own only. So each looks again after it
    has written, until it is right: whoever writes last has seen all of them.
    """
    try:
        while True:
            now = find(session, record.name)
            if not is_wanted(record, now):
                return None
            assert now
            there = instances.staying(instances.describe(session, record.name))
            if len(there) <= now.size:
                return replace(record, size=now.size)
            resize(session, now, len(there))
    except CloudError as error:
        if error.code not in network.UNKNOWN_GROUP:
            raise
        return None


def conclude(session: Session, record: Record) -> None:
    """Take away the lines of the additions that have ended with this run.

    This is the last call of an `addnode`: cut off before it, repeating goes on with the same
    nodes; after it, repeating adds others.
    """
    if not record.additions:
        return
    try:
        network.untag(session, [record.group_id], [one.key for one in record.additions])
    except CloudError as error:
        if error.code not in network.UNKNOWN_GROUP:
            raise


def mark_ending(session: Session, group_id: str) -> None:
    """Write down that the cluster is being ended, so that nobody goes on making nodes for it."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    network.tag(session, [group_id], {tags.ENDING: now})


def mark_stopped(session: Session, record: Record, bids: Iterable[float]) -> Record:
    """Write down that the cluster is to be stopped, so that nobody goes on making nodes for it.

    Parameters
    ----------
    bids : iterable of float
        What its spot workers had.
    """
    if record.stopped:
        return record
    now = datetime.now(UTC).isoformat(timespec="seconds")
    number = record.stops + 1
    own = {tags.STOPPED: now, tags.STOPS: str(number)}
    bid = max(bids, default=record.bid)
    if bid is not None:
        own[tags.BID] = f"{bid:g}"
    network.tag(session, [record.group_id], own)
    return replace(record, stopped=True, stops=number, bid=bid)


def mark_started(session: Session, record: Record, size: int, bid: float | None) -> Record:
    """Write down that the cluster is to run, with that many nodes, and that bid if one is given."""
    bid = record.bid if bid is None else bid
    if (size, bid) != (record.size, record.bid):
        own = {} if bid is None else {tags.BID: f"{bid:g}"}
        record = resize(session, record, size, own)
    if record.stopped:
        network.untag(session, [record.group_id], [tags.STOPPED])
    return replace(record, stopped=False, bid=bid)


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _read(group: network.Group) -> Record:
    from spotcluster.config import Template

    name = group.tags[tags.CLUSTER]
    text = tags.join_text(group.tags)
    try:
        return read(group, Template.model_validate_json(text))
    except ValueError as error:
        raise ClusterError(
            f"The template of '{name}', kept in the tags of {group.id}, cannot be read.",
            f"`spotcluster terminate {name}` ends the cluster all the same.",
        ) from error


def read(group: network.Group, template: Template) -> Record:
    """Return the record that a group is, of which somebody has read the template."""
    created = group.tags.get(tags.CREATED)
    return Record(
        name=group.tags[tags.CLUSTER],
        id=group.tags.get(tags.ID, group.id),
        group_id=group.id,
        vpc_id=group.vpc_id,
        size=int(group.tags.get(tags.SIZE, template.cluster_size)),
        created=datetime.fromisoformat(created) if created else datetime.now(UTC),
        template=template,
        additions=additions.read(group.tags),
        ending=tags.ENDING in group.tags,
        installed_later=tuple(json.loads(tags.join_text(group.tags, tags.INSTALLED) or "[]")),
        tags=group.tags,
        ssh=group.ssh,
        stopped=tags.STOPPED in group.tags,
        stops=int(group.tags.get(tags.STOPS, "0")),
        bid=float(group.tags[tags.BID]) if tags.BID in group.tags else None,
    )
