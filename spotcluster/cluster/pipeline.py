"""Nodes as pipelines: launch, address, SSH, set-up, plugins, ready, each at its own pace."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from spotcluster import ssh
from spotcluster.aws.instances import Instance
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node, introduce
from spotcluster.cluster.progress import Reporter
from spotcluster.cluster.watcher import Watcher
from spotcluster.errors import NodeError, RemoteCommandFailed, SpotclusterError
from spotcluster.plugins.base import Plugin

log = logging.getLogger("spotcluster.pipeline")

_LAST_LAUNCH = 15.0  # seconds that an interrupt waits for a launch under way

LAUNCH, ADDRESS, SSH, SET_UP, READY = "launch", "address", "ssh", "set-up", "ready"


@dataclass
class Member:
    """A node on its way into the cluster.

    Attributes
    ----------
    launch : callable
        Makes the instance and returns it, or returns the one that is there already.
    stages : dict
        How long each stage took, in seconds, in order.
    error : SpotclusterError or None
        Why it did not get ready.
    """

    alias: str
    launch: Callable[[], Instance]
    make_node: Callable[[Instance], Node]
    instance: Instance | None = None
    node: Node | None = None
    stages: dict[str, float] = field(default_factory=dict)
    error: SpotclusterError | None = None
    launching: bool = False

    @property
    def ready(self) -> bool:
        """Whether it has gone through every stage."""
        return READY in self.stages


class Gate:
    """Opens when the master has done something; the others wait at it."""

    def __init__(self, *, is_open: bool) -> None:
        self._event = threading.Event()
        self._error: SpotclusterError | None = None
        if is_open:
            self._event.set()

    def open(self) -> None:
        """Let everybody through."""
        self._event.set()

    def fail(self, error: SpotclusterError) -> None:
        """Tell everybody that it will not open."""
        if not self._event.is_set():
            self._error = error
            self._event.set()

    def wait(self, alias: str, what: str, timeout: float) -> None:
        """Wait until the master has done it.

        Raises
        ------
        NodeError
            The master failed, or took longer than `timeout` seconds.
        """
        if not self._event.wait(timeout):
            raise NodeError(alias, f"the master had not finished {what} after {timeout:.0f} s.")
        if self._error:
            raise NodeError(alias, f"given up, since the master failed in {what}.")


class Pipeline:
    """Brings nodes up, all at the same time.

    Parameters
    ----------
    plugins : sequence of (str, Plugin)
        Name and plugin, in the order in which they run.
    """

    def __init__(
        self,
        cluster: Cluster,
        plugins: Sequence[tuple[str, Plugin]],
        watcher: Watcher,
        reporter: Reporter,
        *,
        launch_timeout: float,
        ssh_timeout: float,
        setup_timeout: float,
    ) -> None:
        self.cluster = cluster
        self.plugins = plugins
        self.watcher = watcher
        self.reporter = reporter
        self.launch_timeout = launch_timeout
        self.ssh_timeout = ssh_timeout
        self.setup_timeout = setup_timeout
        self._interrupted = threading.Event()

    def run(self, members: Sequence[Member]) -> None:
        """Bring the members up; returns when each is ready or has its `error`.

        An interrupt leaves as soon as no call that makes an instance is under way, so that whoever
        asks EC2 then sees everything; the threads are daemons and die with the process.
        """
        with_master = any(member.alias == "master" for member in members)
        gates = {
            name: Gate(is_open=not with_master)
            for name in (SET_UP, *(name for name, _ in self.plugins))
        }
        threads = [
            threading.Thread(
                target=self._run_member, args=(member, gates), name=member.alias, daemon=True
            )
            for member in members
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # short, so that Ctrl-C is seen
        except KeyboardInterrupt:
            self._interrupted.set()
            end = time.monotonic() + _LAST_LAUNCH
            while any(one.launching for one in members) and time.monotonic() < end:
                time.sleep(0.05)
            raise

    def _run_member(self, member: Member, gates: dict[str, Gate]) -> None:
        is_master = member.alias == "master"
        try:
            self._stages(member, gates, is_master=is_master)
        except SpotclusterError as error:
            member.error = error
        except Exception as error:
            log.exception("%s: not foreseen", member.alias)
            member.error = NodeError(member.alias, f"{type(error).__name__}: {error}")
        if member.error:
            log.error("%s failed: %s", member.alias, member.error)
            if is_master:
                for gate in gates.values():
                    gate.fail(member.error)
            self.reporter.failed(member.alias, str(member.error))

    @contextlib.contextmanager
    def _stage(self, member: Member, name: str) -> Iterator[None]:
        self.reporter.stage(member.alias, name)
        start = time.monotonic()
        yield
        member.stages[name] = time.monotonic() - start

    def _stages(self, member: Member, gates: dict[str, Gate], *, is_master: bool) -> None:
        with self._stage(member, LAUNCH):
            member.launching = True
            try:
                if self._interrupted.is_set():
                    raise NodeError(member.alias, "not launched, since you interrupted.")
                member.instance = member.launch()
            finally:
                member.launching = False
        instance = member.instance
        with self._stage(member, ADDRESS):
            instance = self.watcher.wait_running(
                member.alias, instance.id, timeout=self.launch_timeout
            )
            member.instance = instance
        node = member.node = member.make_node(instance)
        with self._stage(member, SSH):
            node.wait_for_ssh(
                timeout=self.ssh_timeout, should_stop=lambda: self.watcher.lost(instance.id)
            )
        with self._stage(member, SET_UP):
            self._set_up(node, gates[SET_UP], is_master=is_master)
        for name, plugin in self.plugins:
            with self._stage(member, name):
                if not is_master and plugin.after_master:
                    gates[name].wait(member.alias, f"plugin {name}", self.setup_timeout)
                with naming(name):
                    plugin.setup(self.cluster, node)
                if is_master:
                    gates[name].open()
        self.cluster.mark_ready(node)
        with self._stage(member, READY):
            pass

    def _set_up(self, node: Node, gate: Gate, *, is_master: bool) -> None:
        facts = node.prepare()
        if is_master:
            if not facts.cluster_key:
                give_cluster_key(node)
            self.cluster.joined(node)
            gate.open()
            return
        self.cluster.joined(node)
        gate.wait(node.alias, "its set-up", self.setup_timeout)
        introduce(self.cluster.master, node)


@contextlib.contextmanager
def naming(plugin: str) -> Iterator[None]:
    """Name the plugin in the error of a script that failed in it."""
    try:
        yield
    except RemoteCommandFailed as error:
        raise RemoteCommandFailed(
            error.alias, f"plugin {plugin}, {error.what}", error.command, error.status, error.output
        ) from error


def give_cluster_key(master: Node) -> None:
    """Give the master the key by which it reaches the other nodes, and ask its facts again."""
    pair = ssh.keys.generate()
    master.put(pair.private.encode(), "~/.ssh/id_ed25519")
    master.put(f"{pair.public}\n".encode(), "~/.ssh/id_ed25519.pub")
    master.prepare()
