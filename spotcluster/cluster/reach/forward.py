"""Ports of this computer that lead to ports of nodes, for as long as somebody wants them."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from spotcluster import ssh
from spotcluster.aws import instances
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.errors import ClusterError, SpotclusterError, UsageError

log = logging.getLogger("spotcluster.forward")

_LOOK = 10.0  # seconds between two looks at what is behind a tunnel that is broken


@dataclass(frozen=True)
class Way:
    """A port of this computer, and the node and the port of it where that leads."""

    local: int
    alias: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Way:
        """Read ``8787:node001:8787``.

        Raises
        ------
        UsageError
            It is none.
        """
        found = re.fullmatch(r"(\d+):([^:\s]+):(\d+)", text)
        if not found or not all(0 < int(one) < 65536 for one in found.group(1, 3)):
            raise UsageError(
                f"'{text}' is no way from a port here to one of a node.",
                "Write LOCAL-PORT:NODE:PORT, such as 8787:node001:8787.",
            )
        return cls(int(found[1]), found[2], int(found[3]))


@contextlib.contextmanager
def opened(
    cluster: Cluster, ways: Sequence[Way], refused: Callable[[Way, str], object]
) -> Iterator[list[tuple[Node, ssh.Tunnel]]]:
    """Open ways, one connection for each node, until the block ends.

    Parameters
    ----------
    refused : callable
        Is told of each local connection that led nowhere, and why.

    Raises
    ------
    UsageError
        There is no such node, or a port of this computer is taken, or given twice.
    ConnectionFailed, HostKeyMismatch
        A node cannot be reached.
    """
    by_node: dict[Node, dict[int, Way]] = {}
    for way in ways:
        if any(way.local in own for own in by_node.values()):
            raise UsageError(
                f"Port {way.local} of this computer cannot lead to two places.",
                "Take another port for one of them.",
            )
        by_node.setdefault(cluster.node(way.alias), {})[way.local] = way
    with contextlib.ExitStack() as stack:
        found = []
        for node, own in by_node.items():
            ports = {local: ("127.0.0.1", way.port) for local, way in own.items()}
            tunnel = ssh.Tunnel(node.target, ports, _named(own, refused))
            found.append((node, stack.enter_context(tunnel)))
        yield found


def keep_open(cluster: Cluster, found: Sequence[tuple[Node, ssh.Tunnel]]) -> None:
    """Wait as long as each tunnel leads somewhere; an interrupt is passed on.

    Raises
    ------
    ClusterError
        A node has stopped or ended; a tunnel to it can come back no more.
    """
    while True:
        time.sleep(_LOOK)
        for node, tunnel in found:
            if not (tunnel.alive or _is_there(cluster, node)):
                which = "master" if node.is_master else f"node {node.alias}"
                raise ClusterError(
                    f"The {which} of '{cluster.name}' has stopped or ended, and what ran there"
                    " with it.",
                    f"`spotcluster listclusters {cluster.name}` shows what there is;"
                    f" `spotcluster start {cluster.name}` brings back what is missing.",
                )


def _named(
    ways: dict[int, Way], refused: Callable[[Way, str], object]
) -> Callable[[int, str], object]:
    by_port = {way.port: way for way in ways.values()}
    return lambda port, why: refused(by_port[port], why)


def _is_there(cluster: Cluster, node: Node) -> bool:
    try:
        found = instances.describe(cluster.session, cluster.name)
    except SpotclusterError as error:  # this computer may be offline for a while
        log.info("%s", error)
        return True
    own = node.instance
    return any(
        one.id == own.id and one.state == "running" and one.address == own.address for one in found
    )
