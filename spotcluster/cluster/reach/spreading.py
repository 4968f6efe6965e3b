"""Files of this computer on all nodes: sent to the master once, which sends them on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from spotcluster import templates
from spotcluster.aws.buckets.store import SCHEME
from spotcluster.cluster.cluster import Cluster
from spotcluster.errors import UsageError
from spotcluster.plugins import sharing
from spotcluster.ssh import relaying, transfer
from spotcluster.ssh.relaying import Passed
from spotcluster.ssh.transfer import Report, Watch


def put(
    cluster: Cluster,
    sources: Sequence[str],
    dest: str,
    *,
    progress: Watch | None = None,
    user: str | None = None,
    follow: bool = False,
) -> tuple[Report, list[Passed]]:
    """Copy files and folders to all nodes; see `spotcluster.ssh.transfer.put`.

    They have the same places on all nodes: what `dest` is on the master says where. Where that is
    a folder that all nodes share, they are sent once.

    Returns
    -------
    Report, list of Passed
        What came of the master, and of each worker.

    Raises
    ------
    UsageError
        A source is not on this computer.
    NodeError
        The master cannot take them.
    """
    if any(one.startswith(SCHEME) for one in (*sources, dest)):
        raise UsageError(
            "--all sends files of this computer, and what is in S3 each node takes by itself.",
            f"`spotcluster put {cluster.name} --node node001 s3://BUCKET/PREFIX DEST` has one do"
            " so.",
        )
    with cluster.master.connected(user) as (connection, sudo):
        known = shlex.quote("." if dest == "~" else dest.removeprefix("~/") or ".")
        look = f"[ ! -d {known} ] || echo folder"
        said = connection.run(look, what=f"looking for {dest}", timeout=60, user=sudo).stdout
        if said.strip() and not dest.endswith("/"):
            dest += "/"
        report = transfer.put(
            connection, sources, dest, progress=progress, user=sudo, follow=follow
        )
        workers = [node.alias for node in cluster.nodes if not node.is_master]
        if not workers:
            return report, []
        base, names = _placed(dest, report.there)
        look = templates.script(
            "shared_place.sh", folder=base.removeprefix("~/"), own_names=sharing.OWN_NAMES
        )
        said = connection.run(look, what=f"looking who has {base}", timeout=60, user=sudo).stdout
        if said.strip():
            return report, [Passed(one, 0, (), "") for one in workers]
        if progress:
            number = 1 + len(workers)
            progress.total(number * len(report.files), number * report.size)
        return report, relaying.pass_on(
            connection, base, names, workers, user=sudo, progress=progress
        )


def _placed(dest: str, names: Sequence[str]) -> tuple[str, list[str]]:
    """Return the folder that things are in now, and what each of them is called there."""
    if dest.endswith("/"):
        return dest.rstrip("/") or "/", list(names)
    base, slash, own = dest.rpartition("/")
    tail = [one.partition("/")[2] for one in names]
    return base or slash or ".", [f"{own}/{rest}" if rest else own for rest in tail]
