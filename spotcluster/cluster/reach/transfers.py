"""Files to a node and from it: this computer's, or a bucket's."""

from __future__ import annotations

from collections.abc import Sequence

from spotcluster.aws.buckets.store import SCHEME, Place, Store
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.cluster.reach import buckets
from spotcluster.errors import UsageError
from spotcluster.ssh import transfer
from spotcluster.ssh.transfer import Report, Watch


def put(
    cluster: Cluster,
    node: Node,
    sources: Sequence[str],
    dest: str,
    *,
    progress: Watch | None = None,
    user: str | None = None,
    follow: bool = False,
) -> Report:
    """Copy files of this computer, or of S3, to a node; see `spotcluster.ssh.transfer.put`.

    What is in S3 goes to the node directly, by addresses that this computer signs.

    Raises
    ------
    UsageError
        What was given makes no sense, or a source of this computer is not there.
    CloudError
        A bucket is not there, or may not be used.
    NodeError
        The node cannot take it.
    """
    if dest.startswith(SCHEME):
        raise UsageError(
            f"put writes to a node, and '{dest}' is in S3.",
            f"`spotcluster get {cluster.name} FILE... {dest}` writes a node's files there.",
        )
    places = [Place.parse(one) for one in sources if one.startswith(SCHEME)]
    progress = progress or Watch()
    if not places:
        with node.connected(user) as (connection, sudo):
            return transfer.put(
                connection, sources, dest, progress=progress, user=sudo, follow=follow
            )
    if len(places) < len(sources) or len({one.bucket for one in places}) > 1:
        raise UsageError(
            "The sources are not all in one bucket, or not all on this computer.",
            "Copy them by one command each.",
        )
    store = Store(cluster.session, places[0].bucket)
    with node.connected(user) as (connection, sudo):
        return buckets.put(connection, store, places, dest, progress=progress, user=sudo)


def get(
    cluster: Cluster,
    node: Node,
    sources: Sequence[str],
    dest: str,
    *,
    progress: Watch | None = None,
    user: str | None = None,
    follow: bool = False,
) -> Report:
    """Copy files of a node to this computer, or to S3; the mirror image of `put`."""
    for one in sources:
        if one.startswith(SCHEME):
            raise UsageError(
                f"get reads from a node, and '{one}' is in S3.",
                f"`spotcluster put {cluster.name} {one} DEST` brings it to a node.",
            )
    progress = progress or Watch()
    if not dest.startswith(SCHEME):
        with node.connected(user) as (connection, sudo):
            return transfer.get(
                connection, sources, dest, progress=progress, user=sudo, follow=follow
            )
    place = Place.parse(dest)
    store = Store(cluster.session, place.bucket)
    with node.connected(user) as (connection, sudo):
        return buckets.get(
            connection, sources, store, place, progress=progress, user=sudo, follow=follow
        )
