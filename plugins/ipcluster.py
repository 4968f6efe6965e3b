"""An ipyparallel controller on the master and engines on every node."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from pydantic import Field

from spotcluster import files, templates, threads
from spotcluster.errors import ConnectionFailed, NodeError, RemoteCommandFailed, SpotclusterError
from spotcluster.node_layout import (
    CLIENT_FILE,
    DRAIN,
    ENGINE_FILE,
    PYTHON,
    SECURITY,
    SERVICES,
    engines_of,
)
from spotcluster.plugins import environment, supervisor
from spotcluster.plugins.base import Cluster, Node, Plugin

_LEAVING = 10.0  # seconds that an engine with nothing to do may take to end
_CONTROLLER, _ENGINE = "controller", "engine"


class IPCluster(Plugin):
    """Run the controller on the master, and one engine per core on every node.

    Parameters
    ----------
    engines_per_node : int, optional
        Engines on each node; by default one per core.
    engines_on_master : int, optional
        Engines on the master; by default as on the other nodes, 0 for none.
    drain_timeout : float, optional
        Seconds that an evaluation may still take when its node is removed; then it is stopped,
        and the search runs it again elsewhere. By default what the cluster's template says.
    """

    engines_per_node: int | None = Field(default=None, ge=1)
    engines_on_master: int | None = Field(default=None, ge=0)
    drain_timeout: float | None = Field(default=None, ge=0)

    def setup(self, cluster: Cluster, node: Node) -> None:
        """Start what is missing on the node, and wait until its engines answer."""
        if not environment.has(node, "ipyparallel"):
            environment.install(node)
        if node.is_master:
            self._start_controller(cluster, node)
        else:
            _follow_master(cluster, node)
        self._start_engines(cluster, node)

    def restart(self, cluster: Cluster, node: Node) -> None:
        """Start them again: a stopped node has kept its files, not its processes."""
        self.setup(cluster, node)

    def remove(self, cluster: Cluster, node: Node) -> None:
        """Let the node's engines finish what they run, and take nothing new."""
        node.account.run(f"touch {DRAIN}", what="draining", timeout=30)
        limit = cluster.drain_timeout if self.drain_timeout is None else self.drain_timeout
        _on_master(cluster, "release_engines.py", [node.alias], str(limit), timeout=limit + 60)
        killed = supervisor.of(node).stop(_ENGINE, patience=_LEAVING)
        if killed:
            cluster.note(
                f"{node.alias}: {len(killed)} evaluation(s) did not end within"
                f" {limit:.0f} s; the search runs them again elsewhere"
            )

    def shutdown(self, cluster: Cluster) -> None:
        """Let all engines finish what they run, and take nothing new; not when the cluster ends."""
        if cluster.ending:  # who ends a cluster wants no more of it, and its bill to end
            return
        reached: list[Node] = []

        def drain(node: Node) -> None:
            node.account.run(f"touch {DRAIN}", what="draining", timeout=30)
            reached.append(node)

        _on_each(cluster, cluster.nodes, drain)
        if not reached:
            return
        names = [node.alias for node in reached]
        limit = cluster.drain_timeout if self.drain_timeout is None else self.drain_timeout
        try:
            _on_master(cluster, "release_engines.py", names, str(limit), timeout=limit + 60)
        finally:
            _on_each(
                cluster, reached, lambda node: supervisor.of(node).stop(_ENGINE, patience=_LEAVING)
            )

    def engines(self, node: Node) -> int:
        """Return how many engines the node is to have."""
        usual = self.engines_per_node or node.facts.cores
        if node.is_master and self.engines_on_master is not None:
            return self.engines_on_master
        return usual

    def _start_controller(self, cluster: Cluster, node: Node) -> None:
        program = templates.read("controller.py").encode()
        node.account.put(program, f"{SERVICES}/controller.py")
        script = templates.script("controller.sh", ip=node.private_ip)
        supervisor.install(node, _CONTROLLER, script)
        supervisor.of(node).start(_CONTROLLER)
        wait = templates.script("await_controller.sh", ip=node.private_ip)
        node.account.run(wait, what="starting the controller", timeout=60)
        info = node.account.get(CLIENT_FILE)
        try:
            files.write_private(files.connection_file(cluster.region, cluster.name), info)
        except OSError as error:  # `connect` asks the master; a full disk here is not its fault
            why = error.strerror or error
            cluster.note(f"the connection file cannot be written on this computer: {why}")

    def _start_engines(self, cluster: Cluster, node: Node) -> None:
        number = self.engines(node)
        if not number:
            return
        own = supervisor.of(node)
        if not node.is_master and _give_engine_file(cluster, node):
            own.stop(_ENGINE)  # those of another controller
        node.account.run(f"rm -f {DRAIN}", what="starting engines", timeout=30)
        # A host of the local cloud is no machine of EC2's, though this computer may be one.
        script = templates.script("engine.sh", alias=node.alias, imds=node.facts.has_units)
        supervisor.install(node, _ENGINE, script)
        own.start(_ENGINE, range(1, number + 1))
        _on_master(cluster, "await_engines.py", [node.alias], str(number), "90")


class IPClusterStop(Plugin):
    """Stop the engines, and on the master the controller; what runs there is lost."""

    def setup(self, cluster: Cluster, node: Node) -> None:  # noqa: ARG002 - the hook's signature
        """Stop them on this node; they do not come back with a reboot."""
        own = supervisor.of(node)
        own.stop(_ENGINE)
        if node.is_master:
            own.stop(_CONTROLLER)


class IPClusterRestartEngines(IPCluster):
    """Stop the engines of every node and start them again; the controller stays."""

    def setup(self, cluster: Cluster, node: Node) -> None:
        """Restart them on this node."""
        supervisor.of(node).stop(_ENGINE)
        self._start_engines(cluster, node)


def _follow_master(cluster: Cluster, node: Node) -> None:
    """Give a node the packages that the master has by now; without them it is of use all the same.

    How it then differs is said when it is ready.
    """
    try:
        environment.follow(node, cluster.master)
    except RemoteCommandFailed as error:
        cluster.note(str(error))


def _give_engine_file(cluster: Cluster, node: Node) -> bool:
    """Give a node the engines' connection file; return whether it had another one."""
    said = node.account.run(
        f"umask 077\nmkdir -p {SECURITY}\n"
        f"cat >{ENGINE_FILE}.new\n"
        f"if [ -s {ENGINE_FILE} ] && ! cmp -s {ENGINE_FILE} {ENGINE_FILE}.new; then\n"
        "    echo another\nfi\n"
        f"mv {ENGINE_FILE}.new {ENGINE_FILE}\n",
        what="writing the engines' connection file",
        timeout=60,
        input=cluster.master.account.get(ENGINE_FILE),
    )
    return bool(said.strip())


def _on_each(cluster: Cluster, nodes: Sequence[Node], do: Callable[[Node], object]) -> None:
    """Do something on several nodes at once; where that fails, it is noted."""

    def on(node: Node) -> None:
        try:
            do(node)
        except SpotclusterError as error:
            cluster.note(str(error))

    threads.on_each(nodes, on, lambda node: node.alias)


def _on_master(
    cluster: Cluster, program: str, nodes: Sequence[str], *arguments: str, timeout: float = 120.0
) -> None:
    """Run one of our Python programs on the master, for the engines of nodes.

    It is given the client's connection file, the nodes, and how its engines' identities begin.
    """
    names, marks = ",".join(nodes), ",".join(mark for node in nodes for mark in engines_of(node))
    command = " ".join(
        [
            PYTHON,
            "-c",
            shlex.quote(templates.read(program)),
            CLIENT_FILE,
            *(shlex.quote(argument) for argument in (names, marks, *arguments)),
        ]
    )
    try:
        cluster.master.account.run(command, what=f"engines of {names}", timeout=timeout)
    except ConnectionFailed as error:
        raise NodeError(names, f"the master cannot be asked: {error}") from error
