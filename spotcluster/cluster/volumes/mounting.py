"""The volumes of a cluster: checked before anything is made, attached to its master, mounted.

A volume belongs to nobody: no tag of a cluster is ever put on it, so that nothing that ends a
cluster finds it. Which volumes a cluster has is in its record; where each is, EC2 says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from spotcluster import templates
from spotcluster.aws import instances, tags
from spotcluster.aws.session import Session
from spotcluster.aws.storage import ebs
from spotcluster.cluster.node import Node
from spotcluster.config import Template, Volume
from spotcluster.errors import (
    CloudError,
    CredentialsError,
    RemoteCommandFailed,
    UsageError,
)

if TYPE_CHECKING:
    from spotcluster.cluster.cluster import Cluster

log = logging.getLogger("spotcluster.volumes")

_FREED_AFTER = 120.0  # seconds until EC2 has taken a volume from a master that ends
_PATIENCE = 60  # seconds for a device to come up


@dataclass(frozen=True)
class PlannedVolume:
    """A volume that the master is to have: as the config names it, and as EC2 has it."""

    settings: Volume
    found: ebs.Volume

    def __str__(self) -> str:
        return f"'{self.settings.name}' ({self.found.id}, {self.found.size} GiB)"


@dataclass(frozen=True)
class Mounted:
    """A volume on a node: its path, the file system's type and size in bytes, and since when."""

    path: str
    type: str
    bytes: int
    outcome: str

    @property
    def before(self) -> bool:
        """Whether it was mounted already."""
        return self.outcome in ("there", "small")


@dataclass(frozen=True)
class Outcome:
    """What came of mounting.

    Attributes
    ----------
    left_out : tuple of str
        What the machine does not let us do, in words.
    troubles : tuple of str
        What is not mounted and why, in sentences.
    unformatted : tuple of str
        The paths of those to which nothing was ever written.
    """

    mounted: tuple[Mounted, ...] = ()
    left_out: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    unformatted: tuple[str, ...] = ()

    @property
    def new(self) -> bool:
        """Whether anything was mounted that was not before."""
        return any(not one.before for one in self.mounted)


# Before anything is made.


def look_up(session: Session, template: Template) -> tuple[list[PlannedVolume], list[str]]:
    """Return the volumes of a template as EC2 has them, and what is wrong with the others."""
    found = ebs.find_all(session, [one.volume_id for one in template.disks])
    planned, wrong = [], []
    for settings in template.disks:
        there = found[settings.volume_id]
        if len(there) == 1:
            planned.append(PlannedVolume(settings, there[0]))
            continue
        how = (
            f"is the name of {len(there)} volumes; name one by its id"
            if there
            else f"is not in {session.region}"
        )
        wrong.append(f"[volume {settings.name}]: the volume {settings.volume_id} {how}.")
    return planned, wrong


def check(
    session: Session, cluster: str, template: Template
) -> tuple[Template, tuple[PlannedVolume, ...]]:
    """Check the volumes of a template for a cluster whose master is to be launched or set up.

    Returns
    -------
    Template
        With the volumes by their ids, and their zone.
    tuple of PlannedVolume
        The volumes.

    Raises
    ------
    UsageError
        A volume is not there, not free or not in the zone; all that is wrong is said.
    """
    planned, wrong = look_up(session, template)
    wrong += _taken(session, cluster, planned)
    zones = {one.found.zone: one for one in planned}
    if len(zones) > 1:
        places = ", ".join(f"{one} in {zone}" for zone, one in sorted(zones.items()))
        wrong.append(f"VOLUMES must be in one zone, and are not: {places}.")
    elif zones and template.availability_zone not in (None, *zones):
        (zone,) = zones
        wrong.append(
            f"The volumes are in {zone}, and AVAILABILITY_ZONE (-a) is"
            f" {template.availability_zone}; leave it out, and the cluster goes where they are."
        )
    if wrong:
        raise UsageError(
            "\n".join(wrong), "`spotcluster listvolumes` shows the volumes and who has them."
        )
    resolved = [one.settings.model_copy(update={"volume_id": one.found.id}) for one in planned]
    resolved += template.file_systems
    update = {"volumes": tuple(resolved), "availability_zone": next(iter(zones))}
    return template.model_copy(update=update), tuple(planned)


def _taken(session: Session, cluster: str, planned: Sequence[PlannedVolume]) -> list[str]:
    """Say of each volume that cannot be had why not."""
    wrong = []
    nodes = {}
    if any(one.found.instance for one in planned):
        nodes = {one.id: one for one in instances.describe(session)}
    for one in planned:
        name = f"[volume {one.settings.name}]: {one.found.id}"
        node = nodes.get(one.found.instance)
        if one.found.of_a_node:
            wrong.append(f"{name} is the disk of a node of '{one.found.tags[tags.CLUSTER]}'.")
        elif node and node.is_master and node.cluster == cluster:
            continue  # of a start that was cut off, or of a master that ends
        elif one.found.instance:
            who = f"{node.alias} of '{node.cluster}'" if node else one.found.instance
            wrong.append(f"{name} is attached to {who}.")
        elif one.found.state not in ("available", "creating"):
            wrong.append(f"{name} is not available: it is {one.found.state}.")
    return wrong


def new_ones(session: Session, template: Template) -> list[str]:
    """Return the volumes, in words, that have to be formatted when a cluster is started."""
    planned, _ = look_up(session, template)
    return [str(one) for one in planned if one.found.known_empty]


def check_format(planned: Sequence[PlannedVolume], *, format_new: bool) -> None:
    """Refuse a volume that has no file system, as far as EC2 tells, and is not to have one.

    Raises
    ------
    UsageError
        There is such a volume.
    """
    empty = [str(one) for one in planned if one.found.known_empty]
    if empty and not format_new:
        raise UsageError(
            f"Nothing has been put on the volume {', '.join(empty)} yet, so it cannot be mounted.",
            "With --format, `start` makes an ext4 file system on it; on a volume that has anything"
            " on it, it never does.",
        )


# On the master.


def bring(cluster: Cluster, master: Node, *, format_new: bool = False) -> Outcome:
    """Attach the cluster's volumes to its master and mount them; repeating it changes nothing.

    A volume that is in the way does not take the cluster with it: why it is not mounted is said,
    and the cluster is of use without it.

    Parameters
    ----------
    format_new : bool
        Whether volumes that nothing was ever written to get a file system.
    """
    wanted = cluster.record.template.disks
    if not wanted:
        return Outcome()
    session = cluster.session
    there, troubles = _attach(session, master, wanted)
    usable = sorted(
        (one for one in wanted if one.volume_id in there),
        key=lambda one: len(PurePosixPath(one.mount_path).parts),  # /data before /data/more
    )
    if not usable:
        return Outcome(troubles=tuple(troubles))
    if not master.facts.sudo:
        paths = ", ".join(one.mount_path for one in usable)
        return Outcome(left_out=(f"mounting the volumes on {paths}",), troubles=tuple(troubles))
    try:
        said = master.run(
            _script(
                usable,
                there,
                master.account.name,
                format_new=format_new,
                has_units=master.facts.has_units,
            ),
            what="mounting the volumes",
            timeout=_PATIENCE + 540,
            user="root",
        )
    except RemoteCommandFailed as error:
        log.warning("%s", error)
        return Outcome(troubles=(*troubles, f"The volumes could not be mounted: {error}"))
    mounted, refused, unformatted = _read(said, usable)
    kinds = {one.path: one.type for one in mounted}
    for one in usable:
        if one.mount_path in kinds:
            ebs.note_content(session, there[one.volume_id], kinds[one.mount_path])
    for each in mounted:
        if each.outcome == "formatted":
            cluster.note(f"{master.alias}: {each.path} has a new {each.type} file system")
    left_out = () if master.facts.has_units else ("mounting the volumes again at each boot",)
    return Outcome(tuple(mounted), left_out, (*troubles, *refused), tuple(unformatted))


def _attach(
    session: Session, master: Node, wanted: Sequence[Volume]
) -> tuple[dict[str, ebs.Volume], list[str]]:
    """Attach the volumes; return those that the master has, by id, and why it lacks the others."""
    mine = master.instance.id
    troubles = []
    ids = list(dict.fromkeys(one.volume_id for one in wanted))
    found = {one.id: one for one in ebs.describe(session, ids)}
    taken = {one.device for one in ebs.attached_to(session, [mine])}
    there = {}
    for one in wanted:
        name = f"The volume '{one.name}' ({one.volume_id})"
        volume = found.get(one.volume_id)
        if volume is None:
            troubles.append(f"{name} is not in {session.region} any more.")
            continue
        if volume.id in there:  # another partition of it
            continue
        try:
            if volume.instance != mine and (volume.instance or volume.state != "available"):
                # A master that failed has it until it has ended.
                volume = ebs.wait(session, volume.id, _free_for(mine), timeout=_FREED_AFTER)
            if volume is None:
                had_by = found[one.volume_id].instance or "nobody, but not available"
                troubles.append(f"{name} cannot be attached: it is with {had_by}.")
                continue
            device = volume.device
            if volume.instance != mine:
                device = one.device or ebs.free_device(taken)
                ebs.attach(session, volume.id, mine, device)
        except CredentialsError:
            raise
        except CloudError as error:
            troubles.append(f"{name} cannot be attached: {error}")
            continue
        taken.add(device)
        there[volume.id] = replace(volume, instance=mine, device=device)
    return there, troubles


def _free_for(instance_id: str) -> Callable[[ebs.Volume], bool]:
    return lambda one: one.instance == instance_id or one.state == "available"


def _script(
    wanted: Sequence[Volume],
    there: Mapping[str, ebs.Volume],
    account: str,
    *,
    format_new: bool,
    has_units: bool,
) -> str:
    """Return the script that mounts volumes now, and has them mounted at each boot."""
    lists = {
        "ids": [one.volume_id for one in wanted],
        "devices": [there[one.volume_id].device for one in wanted],
        "partitions": [str(one.partition or "") for one in wanted],
        "paths": [one.mount_path for one in wanted],
        "sizes": [str(there[one.volume_id].size) for one in wanted],
    }
    body = templates.script("volumes.sh", account=account, patience=_PATIENCE, **lists)
    # A boot formats nothing, and is seen to have failed where a volume is not mounted.
    boot = f'set -euo pipefail\nformat=0\nbooting=1\n{body}[ "$bad" = 0 ]\n'
    unit = templates.script("volumes_unit.sh", boot=boot, has_units=has_units)
    return f"{templates.assigned(format=format_new, booting=False)}{body}{unit}"


def _read(said: str, wanted: Sequence[Volume]) -> tuple[list[Mounted], list[str], list[str]]:
    """Return what is mounted, the sentences for what is not, and the paths of what is new."""
    outcomes = {}
    for line in said.splitlines():
        path, outcome, detail = [*line.split("\t", 2), "", ""][:3]
        outcomes[path] = (outcome, detail)
    mounted, troubles, unformatted = [], [], []
    for one in wanted:
        outcome, detail = outcomes.get(one.mount_path, ("failed", "nothing was said of it"))
        if outcome in ("there", "small", "mounted", "formatted"):
            kind, size, why = [*detail.split(" ", 2), ""][:3]
            mounted.append(Mounted(one.mount_path, kind, int(size), outcome))
            if outcome == "small":
                troubles.append(
                    f"The file system of the volume '{one.name}' ({one.volume_id}) on"
                    f" {one.mount_path} could not be made as large as the volume: {why}."
                )
            continue
        also = ""
        if outcome == "new":
            unformatted.append(one.mount_path)
            also = "; --format makes one"
        troubles.append(
            f"The volume '{one.name}' ({one.volume_id}) is not mounted on {one.mount_path}:"
            f" {detail}{also}."
        )
    return mounted, troubles, unformatted
