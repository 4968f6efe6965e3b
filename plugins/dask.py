"""dask's scheduler on the master and its workers on every node, for those who want to use dask."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import Field

from spotcluster import templates
from spotcluster.errors import NodeError
from spotcluster.node_layout import DASK, DRAIN, SERVICES
from spotcluster.plugins import environment, self_signed, supervisor
from spotcluster.plugins.base import Cluster, Node, Plugin
from spotcluster.steps import Step, writing

INFO = f"{DASK}/scheduler.json"
"""Where its scheduler listens and in which versions; see templates/dask_scheduler.py."""
KEYS = f"{DASK}/tls.pem"
"""The key and the certificate of all that belong to the cluster: scheduler, workers and clients."""
TOKEN = f"{DASK}/token"
"""What a browser must know to see the dashboard."""

_READY = 90.0  # seconds that scheduler and workers may take to be there
_SCHEDULER, _WORKER = "dask-scheduler", "dask-worker"
_GIVEN = f"{DASK}/given"
_HINT = "Run the plugin on the whole cluster with `spotcluster runplugin`."
_NEEDED = {"distributed": "distributed"}
_NEEDED_ON_MASTER = {**_NEEDED, "bokeh": "bokeh"}  # for the dashboard


class Dask(Plugin):
    """Run dask's scheduler on the master and dask's workers on every node, each below a nanny.

    Parameters
    ----------
    workers_per_node : int, optional
        Worker processes on each node, which share its cores: by default one per core, with one
        thread each; 1 for a single process with a thread per core.
    workers_on_master : int, optional
        Worker processes on the master; by default as on the other nodes, 0 for none.
    drain_timeout : float, optional
        Seconds that a task may still take when its node is removed; then it is stopped, and dask
        runs it again elsewhere. By default what the cluster's template says.
    """

    after_master: ClassVar[bool] = False
    lasts: ClassVar[bool] = True

    workers_per_node: int | None = Field(default=None, ge=1)
    workers_on_master: int | None = Field(default=None, ge=0)
    drain_timeout: float | None = Field(default=None, ge=0)

    def setup(self, cluster: Cluster, node: Node) -> None:
        """Start what is missing on the node, and wait until the scheduler knows its workers."""
        environment.complete(node, _NEEDED_ON_MASTER if node.is_master else _NEEDED)
        self._start(cluster, node)

    def restart(self, cluster: Cluster, node: Node) -> None:
        """Start them again: a stopped node has kept its files, not its processes."""
        self._start(cluster, node)

    def _start(self, cluster: Cluster, node: Node) -> None:
        if node.is_master:
            _start_scheduler(node)
        cluster.meet(node)
        self._start_workers(cluster, node, _given(cluster, node))

    def remove(self, cluster: Cluster, node: Node) -> None:
        """Let the node's workers end what they run, and move their results to other nodes."""
        node.account.run(f"touch {DRAIN}", what="draining", timeout=30)
        self._await_end(cluster, node)

    def workers(self, node: Node) -> int:
        """Return how many workers the node is to have."""
        if node.is_master and self.workers_on_master is not None:
            return self.workers_on_master
        return self.workers_per_node or node.facts.cores

    def _await_end(self, cluster: Cluster, node: Node) -> None:
        limit = cluster.drain_timeout if self.drain_timeout is None else self.drain_timeout
        if supervisor.of(node).stop(_WORKER, patience=limit):
            cluster.note(
                f"{node.alias}: dask's workers did not end within {limit:.0f} s; what they ran is"
                " run again elsewhere, and so is what gives results that could not be moved"
            )

    def _start_workers(self, cluster: Cluster, node: Node, given: _Given) -> None:
        number = self.workers(node)
        wanted: dict[str, str | int] = {
            "scheduler": given.address,
            "workers": number,
            "threads": max(1, node.facts.cores // max(1, number)),
        }
        settings = json.dumps([*wanted.items(), given.keys])
        digest = hashlib.sha256(settings.encode()).hexdigest()
        own, account = supervisor.of(node), node.account.name
        had = node.account.run(f"cat {_GIVEN} 2>/dev/null || true", what="looking for workers")
        if had not in ("", digest):  # those of another scheduler, or with other settings
            node.account.run(f"touch {DASK}/leave", what="ending workers", timeout=30)
            self._await_end(cluster, node)
        if not number:
            return
        script = templates.script("dask_worker.sh", alias=node.alias, ip=node.private_ip, **wanted)
        node.run_each(
            [
                Step(f"rm -f {DRAIN} {DASK}/leave", "starting workers", user=account),
                writing(KEYS, given.keys, user=account),
                writing(_GIVEN, digest, user=account),
                writing(
                    f"{SERVICES}/dask_worker.py", templates.read("dask_worker.py"), user=account
                ),
                supervisor.installing(node, _WORKER, script),
                *own.starting(_WORKER),
                _awaiting(_WORKER, account, number),
            ]
        )


@dataclass(frozen=True)
class _Given:
    """What workers get of the master."""

    address: str
    keys: str = field(repr=False)


def _start_scheduler(node: Node) -> None:
    account = node.account
    made: dict[str, Callable[[], str]] = {
        KEYS: lambda: self_signed.pem("spotcluster dask"),
        TOKEN: lambda: secrets.token_urlsafe(32),
    }
    for path, make in made.items():
        # Where it is there already it stays: workers and clients have it. Its name is no secret.
        account.run(
            f"umask 077\nmkdir -p {DASK}\n"
            f"[ -s {path} ] || {{ cat >{path}.new && mv {path}.new {path}; }}\n",
            what=f"making {path}",
            timeout=30,
            input=make().encode(),
        )
    free_port = templates.read("free_port.py")
    script = templates.script("dask_scheduler.sh", ip=node.private_ip, free_port=free_port)
    program = templates.read("dask_scheduler.py")
    node.run_each(
        [
            writing(f"{SERVICES}/dask_scheduler.py", program, user=account.name),
            supervisor.installing(node, _SCHEDULER, script),
            *supervisor.of(node).starting(_SCHEDULER),
            _awaiting(_SCHEDULER, account.name),
        ]
    )


def _awaiting(service: str, account: str, number: int = 0) -> Step:
    script = templates.script("await_dask.sh", service=service, number=number, limit=int(_READY))
    return Step(script, f"starting {service}", _READY + 30, user=account)


def _given(cluster: Cluster, node: Node) -> _Given:
    """Return what the master gives a node, asked once for all nodes that ask for it at once."""
    master = cluster.master

    def read(_: Sequence[Node]) -> _Given:
        try:
            address = json.loads(master.account.get(INFO))["address"]
            return _Given(address, master.account.get(KEYS).decode())
        except FileNotFoundError as error:
            why = f"it has no dask scheduler for {node.alias} to join; {error} is missing there."
            raise NodeError(master.alias, why, _HINT) from error

    return read([node]) if node.is_master else cluster.together((INFO, master), node, read)
