"""The volumes of a region that are the user's: as a list, made, and made larger."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spotcluster.aws import instance_types, instances, inventory, network
from spotcluster.aws import volumes as ebs
from spotcluster.aws.session import Session
from spotcluster.cluster import records
from spotcluster.cluster.reporter import Reporter
from spotcluster.cluster.volumes import mounting
from spotcluster.config import Config, Template, Volume
from spotcluster.errors import CloudError, SpotclusterError, UsageError

if TYPE_CHECKING:
    from spotcluster.cluster.cluster import Cluster

_ENLARGED_AFTER = 300.0  # seconds until EC2 shows a volume as large as it is to be


@dataclass(frozen=True)
class Listed:
    """A volume, and who has it."""

    volume: ebs.Volume
    cluster: str
    alias: str
    mount: str

    def as_json(self) -> dict[str, object]:
        """Return it as plain values for ``--json``."""
        one = self.volume
        return {
            "name": one.name or None,
            "id": one.id,
            "size_gb": one.size,
            "state": one.state,
            "zone": one.zone,
            "type": one.type,
            "encrypted": one.encrypted,
            "snapshot": one.snapshot or None,
            "created": one.created.isoformat(),
            "instance": one.instance or None,
            "device": one.device or None,
            "cluster": self.cluster or None,
            "alias": self.alias or None,
            "mount": self.mount or None,
        }


def listed(session: Session) -> list[Listed]:
    """Return the volumes of a region, without the disks that come and go with nodes."""
    found = [one for one in ebs.describe(session) if not one.of_a_node]
    nodes = {}
    mounts: dict[tuple[str, str], str] = {}
    if any(one.instance for one in found):
        nodes = {one.id: one for one in instances.describe(session)}
        for record in records.find_all(session):
            for each in record.template.volumes:
                mounts[record.name, each.volume_id] = each.mount_path
    rows = []
    for one in found:
        node = nodes.get(one.instance)
        cluster, alias = (node.cluster, node.alias) if node else ("", "")
        mount = mounts.get((cluster, one.id), "") if node and node.is_master else ""
        rows.append(Listed(one, cluster, alias, mount))
    return rows


def create(
    session: Session,
    name: str,
    *,
    size: int | None,
    zone: str | None,
    snapshot: str | None,
    kind: str,
    config: Config,
    key: str | None = None,
) -> ebs.Volume:
    """Make a volume; where no zone is named, where a cluster of the default template would be.

    Parameters
    ----------
    key : str, optional
        The key of KMS that it is encrypted with; by default KMS_KEY of the default template.

    Raises
    ------
    UsageError
        The name is taken, the size does not fit, or there is no such zone or snapshot.
    """
    if size is None and snapshot is None:
        raise UsageError(
            "A volume needs a SIZE in GiB.", "As in `spotcluster createvolume 100 --name data`."
        )
    if size is not None:
        ebs.check_size(size)
    check_name(session, name)
    if snapshot is not None:
        least = ebs.snapshot_size(session, snapshot)
        if size is not None and size < least:
            raise UsageError(
                f"The snapshot {snapshot} is of a volume of {least} GiB; {size} are too few.",
                f"Say {least} or more, or leave SIZE out.",
            )
    zones = [one.name for one in inventory.zones(session)]
    if zone is not None and zone not in zones:
        raise UsageError(
            f"There is no zone '{zone}' in {session.region}.", f"There are: {', '.join(zones)}."
        )
    template = _usual_template(session, config)
    if key is not None:
        ebs.check_key(session, key, "--kms-key")
    elif template is not None and template.kms_key:
        key = template.kms_key
        ebs.check_key(session, key, "KMS_KEY of the default template")
    return ebs.create(
        session,
        name,
        zone or _usual_zone(session, template, zones),
        size=size,
        snapshot=snapshot,
        kind=kind,
        token=secrets.token_hex(16),
        key=key,
    )


def _usual_template(session: Session, config: Config) -> Template | None:
    """Return the default template, where its clusters are in this region."""
    try:
        template = config.template()
    except UsageError:
        return None
    return template if template.region in (None, session.region) else None


def _usual_zone(session: Session, template: Template | None, zones: Sequence[str]) -> str:
    """Return the zone in which the default template's cluster would be started."""
    if template is None:
        return network.find_subnet(session, None, None, zones).zone
    wanted = {template.node_instance_type.rest.type, template.master_instance_type}
    offered = instance_types.zones_with(session, [one for one in wanted if one])
    return network.find_subnet(
        session, template.subnet_id, template.availability_zone, offered
    ).zone


def check_name(session: Session, name: str) -> None:
    """Refuse a name for a new volume that another one has, or that reads like an id."""
    if not name:
        return
    try:
        Volume(name=name, volume_id=name, mount_path="/data")
    except ValueError:
        name_is_wrong = True
    else:
        name_is_wrong = not ebs.is_name(name)
    if name_is_wrong:
        raise UsageError(
            f"'{name}' cannot be the name of a volume.",
            "Use up to 64 letters, digits, '_', '-' and '.', and do not begin with 'vol-'.",
        )
    there = ebs.find_all(session, [name])[name]
    if there:
        raise UsageError(
            f"There is already a volume '{name}' in {session.region}: {there[0].id}.",
            "Choose another name.",
        )


def check_removable(volume: ebs.Volume) -> None:
    """Refuse to delete a volume that an instance has, or that is a node's own."""
    if volume.instance:
        raise UsageError(
            f"The volume {volume} is attached to {volume.instance}.",
            "`spotcluster listvolumes` shows whose that is; when that cluster has been terminated,"
            " the volume can be removed.",
        )
    if volume.of_a_node:
        raise UsageError(
            f"The volume {volume} is the disk of a node.",
            "`spotcluster terminate` ends it with its cluster.",
        )


def resize(
    session: Session,
    wanted: str,
    size: int,
    locate: Callable[[str], Cluster],
    reporter: Reporter,
) -> tuple[ebs.Volume, mounting.Mounted | None, str]:
    """Make a volume larger, and its file system too where it is mounted.

    Parameters
    ----------
    locate : callable
        Gives the cluster of a name.

    Returns
    -------
    Volume
        As it was before.
    Mounted or None
        Its file system now; None where it is not mounted.
    str
        What went wrong with it, in a sentence; empty where nothing did.

    Raises
    ------
    UsageError
        It is larger already.
    """
    ebs.check_size(size)
    volume = ebs.find(session, wanted)
    if size < volume.size:
        raise UsageError(
            f"The volume {volume} has {volume.size} GiB; a volume cannot be made smaller.",
            "Make a new one with `spotcluster createvolume` and copy what is on it.",
        )
    if size > volume.size:
        ebs.enlarge(session, volume, size)
        reporter.note(f"{volume.id} is made larger, from {volume.size} to {size} GiB")
        if not ebs.wait_enlarged(session, volume.id, size, timeout=_ENLARGED_AFTER):
            raise CloudError(
                f"After {_ENLARGED_AFTER:.0f} s EC2 does not show {size} GiB for {volume} yet.",
                f"Repeat `spotcluster resizevolume {wanted} {size}`; it goes on from there.",
            )
    nodes = [one for one in instances.describe(session) if one.id == volume.instance]
    if not nodes or nodes[0].state != "running" or not nodes[0].is_master:
        return volume, None, ""
    cluster = locate(nodes[0].cluster)
    try:
        own = [one for one in cluster.record.template.volumes if one.volume_id == volume.id]
        if not own or not nodes[0].ready:
            return volume, None, ""
        outcome = mounting.bring(cluster, cluster.master)
    except SpotclusterError as error:
        return volume, None, str(error)
    finally:
        cluster.close()
    found = [one for one in outcome.mounted if one.path == own[0].mount_path]
    why = [one for one in outcome.troubles if volume.id in one]
    return volume, found[0] if found else None, why[0] if why else ""
