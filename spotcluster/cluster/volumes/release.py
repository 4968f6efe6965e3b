"""The volumes of a cluster that ends: they outlive it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from spotcluster import files, templates
from spotcluster.aws import instances
from spotcluster.aws.session import Session
from spotcluster.aws.storage import ebs
from spotcluster.cluster import records
from spotcluster.cluster.node import Node
from spotcluster.cluster.reporter import Reporter
from spotcluster.config import Volume
from spotcluster.errors import SpotclusterError

log = logging.getLogger("spotcluster.release")

_RELEASE = 30.0  # seconds to unmount them


def kept(session: Session, name: str) -> list[ebs.Volume]:
    """Return the volumes that the nodes of a cluster have and that outlive it."""
    nodes = instances.live(instances.describe(session, name))
    found = ebs.attached_to(session, [one.id for one in nodes])
    return [one for one in found if not one.of_a_node]


def release(session: Session, name: str, keys: Mapping[str, Path], reporter: Reporter) -> None:
    """Unmount and detach a cluster's volumes, if its master can be reached.

    Nothing that fails here keeps a cluster from ending: a machine that shuts down unmounts what it
    has, and EC2 takes the volumes from it then.
    """
    try:
        record = records.find(session, name)
        if record is None or not record.template.disks:
            return
        found = instances.present(instances.describe(session, name))
        master = next((one for one in found if one.is_master and one.state == "running"), None)
        if master is None:
            return
        key_path = keys.get(record.template.keyname) or files.key_file(record.template.keyname)
        own = {one.volume_id: one.mount_path for one in record.template.disks}
        there = [one.id for one in ebs.attached_to(session, [master.id]) if one.id in own]
        if not there:
            return
        node = Node(master, key_path)
        try:
            _release(session, node, record.template.disks, there)
        finally:
            node.close()
    except (SpotclusterError, OSError) as error:
        log.warning("the volumes of %s: %s", name, error)
        reporter.note("the volumes are not unmounted by us; the master's shutdown does it")


def _release(session: Session, node: Node, volumes: Sequence[Volume], there: Sequence[str]) -> None:
    deepest = sorted((one.mount_path for one in volumes), key=lambda path: -len(path))
    free = set(deepest)
    if node.facts.sudo:
        script = templates.script("volumes_release.sh", paths=deepest)
        said = node.run(script, what="unmounting the volumes", timeout=_RELEASE, user="root")
        free = set(said.splitlines())
    for one in there:
        if {it.mount_path for it in volumes if it.volume_id == one} <= free:
            ebs.detach(session, one, node.instance.id)
