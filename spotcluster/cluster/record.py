"""What EC2 remembers of a cluster: its template and size, in the tags of its security group."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from spotcluster.aws import network, tags
from spotcluster.aws.session import Session
from spotcluster.config import Template
from spotcluster.errors import CloudError, ClusterError


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
    """

    name: str
    id: str
    group_id: str
    vpc_id: str
    size: int
    created: datetime
    template: Template


def find(session: Session, name: str) -> Record | None:
    """Return the record of the cluster `name`, None where there is none."""
    groups = network.find_groups(session, name)
    return _read(groups[0]) if groups else None


def find_all(session: Session) -> list[Record]:
    """Return the records of every cluster in the region, by name."""
    return sorted(
        (_read(group) for group in network.find_groups(session)), key=lambda one: one.name
    )


def create(session: Session, name: str, template: Template, vpc_id: str) -> Record:
    """Make the cluster's security group, and with it its record, in one call.

    Raises
    ------
    ClusterError
        A group of that name is there, but is not ours.
    """
    own = {
        tags.CLUSTER: name,
        tags.ID: secrets.token_hex(6),
        tags.SIZE: str(template.cluster_size),
        tags.CREATED: datetime.now(UTC).isoformat(timespec="seconds"),
        "Name": f"spotcluster-{name}",
        **tags.split_text(template.model_dump_json(exclude_defaults=True)),
    }
    try:
        group_id = network.create_group(session, f"spotcluster-{name}", vpc_id, own)
    except CloudError as error:
        if error.code != "InvalidGroup.Duplicate":
            raise
        raise ClusterError(
            f"A security group 'spotcluster-{name}' is already there in {session.region}.",
            f"If nobody is starting '{name}' at this moment, choose another name or delete the"
            " group.",
        ) from error
    return _read(network.Group(group_id, f"spotcluster-{name}", vpc_id, own))


def resize(session: Session, record: Record, size: int) -> Record:
    """Write down how many nodes the cluster should have."""
    network.tag(session, [record.group_id], {tags.SIZE: str(size)})
    return replace(record, size=size)


def _read(group: network.Group) -> Record:
    name = group.tags[tags.CLUSTER]
    text = tags.join_text(group.tags)
    try:
        template = Template.model_validate_json(text)
    except ValueError as error:
        raise ClusterError(
            f"The template of '{name}', kept in the tags of {group.id}, cannot be read.",
            f"`spotcluster terminate {name}` ends the cluster all the same.",
        ) from error
    created = group.tags.get(tags.CREATED)
    return Record(
        name=name,
        id=group.tags.get(tags.ID, group.id),
        group_id=group.id,
        vpc_id=group.vpc_id,
        size=int(group.tags.get(tags.SIZE, template.cluster_size)),
        created=datetime.fromisoformat(created) if created else datetime.now(UTC),
        template=template,
    )
