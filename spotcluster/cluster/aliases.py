"""Names of a cluster's nodes for the user's own ssh, scp, rsync and editors: ``ssh mycluster``.

They stand in a file of ours for each cluster, which ``~/.ssh/config`` includes by one line. The
file is written anew when nodes come or their addresses change, and goes with the cluster.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from spotcluster import files, ssh
from spotcluster.cluster.node import Node

_COMMENT = (
    "# The clusters of `spotcluster ssh-config`; first, so that nothing below changes them.\n"
)


def names(cluster: str, nodes: Sequence[Node]) -> dict[str, Node]:
    """Return the nodes by the names that ssh knows them by: the master has the cluster's own."""
    return {cluster if one.is_master else f"{cluster}-{one.alias}": one for one in nodes}


def text(cluster: str, nodes: Sequence[Node], known_hosts: Path) -> str:
    """Return the blocks of ssh's config for the nodes."""
    blocks = [
        ssh.config_text(name, node.target, known_hosts)
        for name, node in names(cluster, nodes).items()
    ]
    return "\n".join(blocks)


def write(region: str, cluster: str, nodes: Sequence[Node], known_hosts: Path) -> None:
    """Write the cluster's file, and the line in ``~/.ssh/config`` that includes it.

    Raises
    ------
    OSError
        One of them cannot be written.
    """
    files.write_private(files.ssh_config_file(region, cluster), text(cluster, nodes, known_hosts))
    _include()


def refresh(region: str, cluster: str, nodes: Sequence[Node], known_hosts: Path) -> None:
    """Write the cluster's file anew where there is one."""
    path = files.ssh_config_file(region, cluster)
    if path.exists():
        files.write_private(path, text(cluster, nodes, known_hosts))


def _include() -> None:
    pattern = str(files.ssh_config_file("*", "*"))
    line = f'Include "{pattern}"\n'
    # What a link leads to is written, so that the link stays.
    config = files.expand(Path("~/.ssh/config")).resolve()
    try:
        before = config.read_text(encoding="utf-8", errors="surrogateescape")
        mode = stat.S_IMODE(config.stat().st_mode)
    except FileNotFoundError:
        before, mode = "", 0o600
    if line not in before.splitlines(keepends=True):
        after = f"{_COMMENT}{line}\n{before}" if before else f"{_COMMENT}{line}"
        files.write_private(config, after.encode("utf-8", "surrogateescape"), mode=mode)
