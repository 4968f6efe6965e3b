"""An ipyparallel controller on the master and engines on every node."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from packaging.requirements import Requirement
from pydantic import Field

from spotcluster import files, templates, threads, wording
from spotcluster.errors import (
    ConnectionFailed,
    NodeError,
    RemoteCommandFailed,
    SpotclusterError,
)
from spotcluster.node_layout import (
    CLIENT_FILE,
    DRAIN,
    ENGINE_FILE,
    ENGINES,
    PYTHON,
    SECURITY,
    SERVICES,
    engines_of,
)
from spotcluster.plugins import environment, supervisor
from spotcluster.plugins.base import Cluster, Node, Plugin
from spotcluster.steps import Step, writing

_REGISTERING = 90.0  # seconds that a node's engines may take to be there
_LEAVING = 10.0  # seconds that an engine with nothing to do may take to end
_CONTROLLER, _ENGINES = "controller", "engines"
_FORMER = "engine"  # of which earlier versions have started as many as there were to be
_GIVING = "writing the engines' connection file"
_ANOTHER = 45  # a status of ours, for a node whose engines are those of another controller
_THERE = 46  # and one for a node whose engines an earlier version has started


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

    after_master: ClassVar[bool] = False

    engines_per_node: int | None = Field(default=None, ge=1)
    engines_on_master: int | None = Field(default=None, ge=0)
    drain_timeout: float | None = Field(default=None, ge=0)

    def setup(self, cluster: Cluster, node: Node) -> None:
        """Start what is missing on the node, and wait until its engines answer."""
        if node.is_master:
            if not environment.has(node, "ipyparallel"):
                environment.install(node)
            _bring_back(cluster, node)
        self._start(cluster, node)

    def restart(self, cluster: Cluster, node: Node) -> None:
        """Start them again: a stopped node has kept its files, not its processes."""
        self._start(cluster, node)

    def _start(self, cluster: Cluster, node: Node) -> None:
        if node.is_master:
            self._start_controller(cluster, node)
            cluster.meet(node)
            self._start_engines(cluster, node)
            return
        (printed,) = environment.run_with(node, "ipyparallel", [environment.listing(node)])
        cluster.meet(node)
        given = _given_by_master(cluster, node)
        _follow(cluster, node, environment.Installed.read(printed), given.packages)
        self._start_engines(cluster, node, given.info)

    def remove(self, cluster: Cluster, node: Node) -> None:
        """Let the node's engines finish what they run, and take nothing new."""
        node.account.run(f"touch {DRAIN}", what="draining", timeout=30)
        limit = cluster.drain_timeout if self.drain_timeout is None else self.drain_timeout
        _release(cluster, [node.alias], limit)
        killed = _stop(node, patience=_LEAVING)
        if killed:
            cluster.note(
                f"{node.alias}: {killed} evaluation(s) did not end within"
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
            _release(cluster, names, limit)
        finally:
            _on_each(cluster, reached, lambda node: _stop(node, patience=_LEAVING))

    def engines(self, node: Node) -> int:
        """Return how many engines the node is to have."""
        usual = self.engines_per_node or node.facts.cores
        if node.is_master and self.engines_on_master is not None:
            return self.engines_on_master
        return usual

    def _start_controller(self, cluster: Cluster, node: Node) -> None:
        program, account = templates.read("controller.py"), node.account.name
        script = templates.script("controller.sh", ip=node.private_ip)
        wait = templates.script("await_controller.sh", ip=node.private_ip)
        node.run_each(
            [
                writing(f"{SERVICES}/controller.py", program, user=account),
                supervisor.installing(node, _CONTROLLER, script),
                *supervisor.of(node).starting(_CONTROLLER),
                Step(wait, "starting the controller", user=account),
            ]
        )
        info = node.account.get(CLIENT_FILE)
        try:
            files.write_private(files.connection_file(cluster.region, cluster.name), info)
        except OSError as error:  # `connect` asks the master; a full disk here is not its fault
            why = error.strerror or error
            cluster.note(f"the connection file cannot be written on this computer: {why}")

    def _start_engines(self, cluster: Cluster, node: Node, info: str = "") -> None:
        """Start them and wait until they answer; workers' by the master's connection file."""
        number = self.engines(node)
        if not number:
            return
        steps = _starting(node, number)
        if node.is_master:
            _run_each(node, steps)
        else:
            try:
                _run_each(node, [_giving(node, info), *steps])
            except RemoteCommandFailed as error:
                if (error.what, error.status) != (_GIVING, _ANOTHER):
                    raise
                _stop(node)  # those of another controller
                node.run_each([_giving(node, info, anyway=True), *steps])
        _await_engines(cluster, node, self.engines)


class IPClusterStop(Plugin):
    """Stop the engines, and on the master the controller; what runs there is lost."""

    def setup(self, cluster: Cluster, node: Node) -> None:  # noqa: ARG002 - the hook's signature
        """Stop them on this node; they do not come back with a reboot."""
        _stop(node)
        if node.is_master:
            supervisor.of(node).stop(_CONTROLLER)


class IPClusterRestartEngines(IPCluster):
    """Stop the engines of every node and start them again; the controller stays."""

    after_master: ClassVar[bool] = True

    def setup(self, cluster: Cluster, node: Node) -> None:
        """Restart them on this node."""
        _stop(node)
        if node.is_master:
            self._start_engines(cluster, node)
            return
        if not environment.has(node, "ipyparallel"):
            environment.install(node)
        self._start_engines(cluster, node, _given_by_master(cluster, node).info)


def _starting(node: Node, number: int) -> list[Step]:
    """Return the steps that start the engines of a node that are missing."""
    own, account = supervisor.of(node), node.account.name
    return [
        Step(f"rm -f {DRAIN}", "starting engines", user=account),
        own.retiring(_FORMER, _THERE),
        writing(f"{SERVICES}/engines.py", templates.read("engines.py"), user=account),
        writing(f"{ENGINES}/number", str(number), user=account),
        supervisor.installing(node, _ENGINES, templates.script("engines.sh", alias=node.alias)),
        *own.starting(_ENGINES, is_parent=True),
    ]


def _run_each(node: Node, steps: Sequence[Step]) -> None:
    """Run steps of which the last ones are `_starting`'s; engines that are there go on as they are.

    Those that an earlier version has started are as good, until they are restarted.
    """
    try:
        node.run_each(steps)
    except RemoteCommandFailed as error:
        if (error.what, error.status) != (f"retire of {_FORMER}", _THERE):
            raise


def _stop(node: Node, *, patience: float = 0.0) -> int:
    """Stop the engines of a node, of earlier versions too; return how many had to be told."""
    own = supervisor.of(node)
    told = f"cat {ENGINES}/running 2>/dev/null || true"
    former, engines, running = node.run_each(
        [
            own.stopping(_FORMER, patience=patience),
            own.stopping(_ENGINES, patience=patience),
            Step(told, "counting engines", user=node.account.name),
        ]
    )
    return len(former.split()) + (len(running.splitlines()) if engines.strip() else 0)


def _bring_back(cluster: Cluster, master: Node) -> None:
    """Give a new master what was installed on the former one; without it it is of use too."""
    try:
        environment.bring_back(master, cluster.installed_later)
    except RemoteCommandFailed as error:
        cluster.note(str(error))


@dataclass(frozen=True)
class _Given:
    """What workers get of the master: the engines' connection file, and which packages it has.

    `packages` is an error where it could not say; without them its workers are of use too.
    """

    info: str = field(repr=False)  # with the keys of the cluster
    packages: Mapping[str, str] | RemoteCommandFailed


def _given_by_master(cluster: Cluster, node: Node) -> _Given:
    """Return what the master gives, asked once for all nodes that ask for it at once."""
    master = cluster.master

    def read(_: Sequence[Node]) -> _Given:
        packages: Mapping[str, str] | RemoteCommandFailed
        try:
            packages = environment.installed(master).versions
        except RemoteCommandFailed as error:
            packages = error
        return _Given(master.account.get(ENGINE_FILE).decode(), packages)

    return cluster.together((ENGINE_FILE, master), node, read)


def _follow(
    cluster: Cluster,
    node: Node,
    own: environment.Installed,
    masters: Mapping[str, str] | RemoteCommandFailed,
) -> None:
    """Give a node the packages that the master has by now; without them it is of use all the same.

    How it then differs is said when it is ready. The master is asked once for many nodes.
    """
    master = cluster.master

    def requirements() -> Sequence[Requirement]:
        return cluster.together(
            ("requirements", master), node, lambda _: environment.frozen(master)
        )

    if isinstance(masters, RemoteCommandFailed):
        cluster.note(str(masters))
        return
    try:
        environment.follow(node, own.versions, masters, requirements)
    except RemoteCommandFailed as error:
        cluster.note(str(error))


def _giving(node: Node, info: str, *, anyway: bool = False) -> Step:
    """Return the step that gives a node the engines' connection file.

    Where it has another one it ends with `_ANOTHER`, unless that is to go `anyway`.
    """
    is_same = f'[ ! -s {ENGINE_FILE} ] || printf %s "$info" | cmp -s - {ENGINE_FILE}'
    script = (
        "umask 077\n"
        f"info={shlex.quote(info)}\n"
        + ("" if anyway else f"{is_same} || exit {_ANOTHER}\n")
        + f"mkdir -p {SECURITY}\n"
        f'printf %s "$info" >{ENGINE_FILE}.new\n'
        f"mv {ENGINE_FILE}.new {ENGINE_FILE}\n"
    )
    return Step(script, _GIVING, user=node.account.name)


def _await_engines(cluster: Cluster, node: Node, number: Callable[[Node], int]) -> None:
    """Wait until a node's engines answer; the master is asked for many nodes at once.

    Raises
    ------
    NodeError
        They do not, or the master cannot be asked.
    """
    end = time.monotonic() + _REGISTERING

    def ask(nodes: Sequence[Node]) -> dict[str, str]:
        """Return what is still missing, by node."""
        words = [f"{max(1.0, end - time.monotonic()):.0f}"]
        for one in nodes:
            words += [one.alias, ",".join(engines_of(one.alias)), str(number(one))]
        said = _on_master(cluster, "await_engines.py", [one.alias for one in nodes], *words)
        pairs = (line.partition(" ") for line in said.splitlines())
        return {alias: missing for alias, _, missing in pairs}

    while missing := cluster.together(("engines", cluster.master), node, ask).get(node.alias):
        # Others' are there: it was asked no longer for their sake.
        if time.monotonic() > end:
            raise NodeError(
                node.alias,
                f"its engines were not ready within {_REGISTERING:.0f} s: {missing}.",
                f"Their logs are in ~/.spotcluster/logs of {node.account.name} there.",
            )


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
) -> str:
    """Run one of our Python programs on the master, for the engines of nodes; return what it says.

    It is given the client's connection file, then the arguments.
    """
    names = wording.some(nodes)
    words = [shlex.quote(one) for one in (templates.read(program), *arguments)]
    words.insert(1, CLIENT_FILE)
    try:
        return cluster.master.account.run(
            f"{PYTHON} -c {' '.join(words)}", what=f"engines of {names}", timeout=timeout
        )
    except ConnectionFailed as error:
        why = f"it cannot be asked for the engines of {names}: {error}"
        raise NodeError(cluster.master.alias, why) from error


def _release(cluster: Cluster, nodes: Sequence[str], limit: float) -> None:
    """Let the engines of nodes finish what they run, for some seconds at most, and end them."""
    marks = ",".join(mark for node in nodes for mark in engines_of(node))
    arguments = (",".join(nodes), marks, str(limit))
    _on_master(cluster, "release_engines.py", nodes, *arguments, timeout=limit + 60)
