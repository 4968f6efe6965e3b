"""What ends a node by itself: a service on it, and what that goes by; see templates/autostop.py."""

from __future__ import annotations

import json
import secrets
import time

from spotcluster import templates, threads
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.errors import SpotclusterError
from spotcluster.plugins import supervisor
from spotcluster.steps import Step, writing

_SERVICE = "autostop"


def starting(cluster: Cluster, node: Node) -> list[Step]:
    """Return the steps that start it; none for a cluster that was made before there was one."""
    if cluster.record.template.autostop is None or not node.facts.python:
        return []
    own = {
        "autostop.py": templates.read("autostop.py"),
        "autostop_work.py": templates.read("autostop_work.py"),
        "autostop.json": _settings(cluster, node),
    }
    return supervisor.starting_for_machine(node, _SERVICE, own)


def following(cluster: Cluster, node: Node, master: Node) -> list[Step]:
    """Return the step by which a worker knows the master that it ends after."""
    if cluster.record.template.autostop is None or not node.facts.python:
        return []
    where = {"address": master.private_ip, "port": master.target.port}
    return [_write(node, "master.json", json.dumps(where))]


def tell(cluster: Cluster, *, postpones: bool = True) -> dict[str, SpotclusterError]:
    """Tell all nodes what the record and the ceiling are now.

    Parameters
    ----------
    postpones : bool
        Whether they are to count idle time anew.

    Returns
    -------
    dict of str to SpotclusterError
        Why some could not be told, by their aliases.
    """
    mark = secrets.token_hex(4) if postpones else None
    failed: dict[str, SpotclusterError] = {}

    def one(node: Node) -> None:
        try:
            node.run_each([_write(node, "autostop.json", _settings(cluster, node, mark))])
        except SpotclusterError as error:
            failed[node.alias] = error

    threads.on_each(cluster.nodes, one, lambda node: node.alias)
    return failed


def _settings(cluster: Cluster, node: Node, mark: str | None = "") -> str:
    template = cluster.record.template
    left = {}
    if cluster.deadline is not None:
        left = {"ceiling": max(0.0, cluster.deadline - time.monotonic()), "set": time.time()}
    return json.dumps(
        {
            **left,
            "cluster": cluster.name,
            "idle": template.idle_limit,
            "is_master": node.is_master,
            "address": node.private_ip,
            "account": template.cluster_user if node.facts.sudo else node.account.name,
            "login": node.target.user,
            "root": node.facts.sudo,
            **({} if mark is None else {"postponed": mark}),
        }
    )


def _write(node: Node, name: str, content: str) -> Step:
    folder, user = supervisor.of_machine(node)
    return writing(f"{folder}/{name}", content, user=user, mode=0o644)
