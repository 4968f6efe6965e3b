"""Ray's head on the master and a raylet on every other node, for those who want to use Ray."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from spotcluster import templates
from spotcluster.errors import NodeError
from spotcluster.node_layout import DRAIN, ENV, RAY, SERVICES
from spotcluster.plugins import environment, supervisor
from spotcluster.plugins.base import Cluster, Node, Plugin
from spotcluster.steps import Step, writing

_READY = 150.0  # seconds that it may take to be there
_LEAVING = 20.0  # seconds that it may take to end, beside those of what it runs
_SERVICE = "ray_node"
_ADDRESS, _TOKEN, _GIVEN = f"{RAY}/address", f"{RAY}/token", f"{RAY}/given"
_NEEDED = {"ray": "ray>=2.52", "grpc": "grpcio"}  # with its token; what programs elsewhere talk


class Ray(Plugin):
    """Run Ray's head on the master, and a raylet on every other node.

    Parameters
    ----------
    cpus_on_master : int, optional
        How many CPUs of the master tasks may use; by default all, 0 for none.
    drain_timeout : float, optional
        Seconds that a task may still take when its node is removed; then it is stopped, and Ray
        runs it again elsewhere. By default what the cluster's template says.
    """

    after_master: ClassVar[bool] = False
    lasts: ClassVar[bool] = True

    cpus_on_master: int | None = Field(default=None, ge=0)
    drain_timeout: float | None = Field(default=None, ge=0)

    def setup(self, cluster: Cluster, node: Node) -> None:
        """Start Ray on the node where it does not run, and wait until it is part of the cluster."""
        environment.complete(node, _NEEDED)
        self._start(cluster, node)

    def restart(self, cluster: Cluster, node: Node) -> None:
        """Start it again: a stopped node has kept its files, not its processes."""
        self._start(cluster, node)

    def remove(self, cluster: Cluster, node: Node) -> None:
        """Let Ray end what runs on the node, and give it nothing new."""
        node.account.run(f"touch {DRAIN}", what="draining", timeout=30)
        limit = self._limit(cluster)
        if supervisor.of(node).stop(_SERVICE, patience=limit + _LEAVING):
            cluster.note(
                f"{node.alias}: Ray still ran something, or had objects, after {limit:.0f} s; Ray"
                " makes them again elsewhere"
            )

    def _limit(self, cluster: Cluster) -> float:
        return cluster.drain_timeout if self.drain_timeout is None else self.drain_timeout

    def _start(self, cluster: Cluster, node: Node) -> None:
        own, account = supervisor.of(node), node.account.name
        if node.is_master:
            _make_token(node)
            given = ("", "")
        else:
            cluster.meet(node)
            given = _given_by_master(cluster, node)
        head, token = given
        cpus = node.facts.cores
        if node.is_master and self.cpus_on_master is not None:
            cpus = self.cpus_on_master
        digest = hashlib.sha256(json.dumps([head, token, cpus]).encode()).hexdigest()
        had = node.account.run(f"cat {_GIVEN} 2>/dev/null || true", what="looking for Ray")
        if had not in ("", digest):  # of another head, or with other settings
            own.stop(_SERVICE)
        script = templates.script(
            "ray_node.sh",
            alias=node.alias,
            ip=node.private_ip,
            head=head,
            cpus=cpus,
            limit=int(self._limit(cluster)),
            free_port=templates.read("free_port.py"),
        )
        watch, find = templates.read("ray_watch.py"), templates.read("ray_environment.py")
        node.run_each(
            [
                Step(f"rm -f {DRAIN}", "starting Ray", user=account),
                *([] if node.is_master else [writing(_TOKEN, token, user=account)]),
                writing(_GIVEN, digest, user=account),
                writing(f"{SERVICES}/ray_watch.py", watch, user=account),
                writing(f"{ENV}/ray_environment.py", find, user=account),
                Step(_FINDING, "letting programs find Ray", user=account),
                supervisor.installing(node, _SERVICE, script),
                *own.starting(_SERVICE),
                Step(
                    templates.script("await_ray.sh", limit=int(_READY)),
                    "starting Ray",
                    _READY + 30,
                    user=account,
                ),
            ]
        )
        if node.is_master:
            cluster.meet(node)


_FINDING = f"""
for packages in {ENV}/lib/python3*/site-packages; do
    mv {ENV}/ray_environment.py "$packages/spotcluster_ray.py"
    echo 'import spotcluster_ray' >"$packages/spotcluster_ray.pth"
done
"""


def _make_token(master: Node) -> None:
    """Give it a token where it has none: in a file, since anybody may read command lines."""
    master.account.run(
        f"umask 077\nmkdir -p {RAY}\n"
        f"[ -s {_TOKEN} ] || {{ cat >{_TOKEN}.new && mv {_TOKEN}.new {_TOKEN}; }}\n",
        what="making a token",
        timeout=30,
        input=secrets.token_hex(32).encode(),
    )


def _given_by_master(cluster: Cluster, node: Node) -> tuple[str, str]:
    """Return the head's address and the token, asked once for all nodes that ask at once."""
    master = cluster.master

    def read(_: Sequence[Node]) -> tuple[str, str]:
        try:
            return master.account.get(_ADDRESS).decode(), master.account.get(_TOKEN).decode()
        except FileNotFoundError as error:
            why = f"it has no Ray for {node.alias} to join; {error} is missing there."
            hint = "Run the plugin on the whole cluster with `spotcluster runplugin`."
            raise NodeError(master.alias, why, hint) from error

    return cluster.together((_ADDRESS, master), node, read)
