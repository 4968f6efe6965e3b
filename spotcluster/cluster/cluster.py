"""A cluster: its record, its nodes, its plugins."""

from __future__ import annotations

import contextlib
import functools
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from spotcluster import files, ssh, threads, wording
from spotcluster.aws import instances, keypairs, network, tags
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.cluster import aliases, ingress, records
from spotcluster.cluster.node import Node
from spotcluster.cluster.records import Record
from spotcluster.cluster.reporter import Quiet, Reporter
from spotcluster.errors import ClusterError, SpotclusterError, UsageError

if TYPE_CHECKING:  # a keeper that only looks goes without pydantic, see `lifecycle.keeping`
    from spotcluster.config.settings import PluginSection, Volume
    from spotcluster.plugins.base import Plugin

R = TypeVar("R")
_KEPT_FOR = 2.0  # seconds between two writes of the known_hosts file while nodes join


class Cluster:
    """A cluster that has been started.

    Parameters
    ----------
    key_path : Path
        The private key that its nodes let in.
    nodes : sequence of Node
        Those that are live, the master first.
    own : mapping of str to PluginSection
        The plugins of this computer's config: secrets are kept nowhere else.
    asleep : sequence of Instance
        Its nodes that have stopped, or are stopping.
    of_user : str, optional
        Given where we are on the cluster's master, whose key is one of its own: the public half of
        the user's, which new nodes are to let in too.
    """

    def __init__(
        self,
        session: Session,
        record: Record,
        key_path: Path,
        nodes: Sequence[Node] = (),
        reporter: Reporter | None = None,
        own: Mapping[str, PluginSection] | None = None,
        asleep: Sequence[Instance] = (),
        of_user: str | None = None,
    ) -> None:
        self._of_user = of_user
        self._own = own or {}
        self.asleep = tuple(asleep)
        self.session = session
        self.record = record
        self.key_path = key_path
        self.reporter = reporter or Quiet()
        self._nodes = {node.alias: node for node in nodes}
        self._lock = threading.Lock()
        self.deadline: float | None = None  # of its ceiling, by `time.monotonic`; None: not told
        self._cannot_keep = ""
        self._kept = -math.inf
        self._rounds = threads.Rounds()
        self._meetings: dict[str, Callable[[], None]] = {}

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    @property
    def region(self) -> str:
        """The region it is in."""
        return self.session.region

    @property
    def ending(self) -> bool:
        """Whether it is being terminated."""
        return self.record.ending

    @property
    def installed_later(self) -> tuple[str, ...]:
        """What somebody has installed on the master with pip, as requirements."""
        return self.record.installed_later

    @property
    def drain_timeout(self) -> float:
        """Seconds that what runs on a node may still take when it leaves."""
        return self.record.template.drain_timeout

    @property
    def nodes(self) -> list[Node]:
        """Its live nodes, the master first."""
        with self._lock:
            return sorted(
                self._nodes.values(),
                key=lambda node: (not node.is_master, len(node.alias), node.alias),
            )

    @property
    def ready_nodes(self) -> list[Node]:
        """Those of its live nodes that had been set up when EC2 was asked, and do not leave."""
        return [one for one in self.nodes if one.instance.ready and not one.instance.leaving]

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """The volumes of its master."""
        return self.record.template.volumes

    @property
    def shell(self) -> str:
        """The shell of its user."""
        return self.record.template.cluster_shell

    @property
    def master(self) -> Node:
        """Its master."""
        master = self.live_master
        if master:
            return master
        if self.is_stopped:
            raise is_stopped(self.name)
        raise ClusterError(
            f"The cluster '{self.name}' has no master that is running.",
            f"`spotcluster start {self.name}` makes a new one; `spotcluster terminate {self.name}`"
            " ends what is left.",
        )

    @property
    def live_master(self) -> Node | None:
        """Its master, None where none is live."""
        with self._lock:
            return next((one for one in self._nodes.values() if one.is_master), None)

    @property
    def is_stopped(self) -> bool:
        """Whether it is to be stopped, or its master has been."""
        return self.record.stopped or any(one.is_master for one in self.asleep)

    def node(self, alias: str) -> Node:
        """Return the node `alias`, also by instance id.

        Raises
        ------
        UsageError
            There is none.
        ClusterError
            It has stopped.
        """
        for node in self.nodes:
            if alias in (node.alias, node.instance.id):
                return node
        if self.is_stopped:
            raise is_stopped(self.name)
        if any(alias in (one.alias, one.id) for one in self.asleep):
            raise ClusterError(
                f"The node {alias} of '{self.name}' is stopped.",
                f"`spotcluster start {self.name}` brings it back.",
            )
        there = wording.listed(node.alias for node in self.nodes)
        raise UsageError(
            f"The cluster '{self.name}' has no node '{alias}'.", f"Its nodes are: {there}."
        )

    def plugins(self) -> list[tuple[str, Plugin]]:
        """Return its plugins by name, in the order in which they run.

        Raises
        ------
        ClusterError
            This computer lacks a secret that one of them needs.
        """
        return [(one.name, self._make(one)) for one in self.record.template.plugins]

    def check_plugins(self) -> list[tuple[str, Plugin]]:
        """Return its plugins, each of which this computer could set nodes up with.

        Raises
        ------
        SpotclusterError
            It could not: it lacks a secret, or a login.
        """
        from spotcluster.plugins import loader

        found = self.plugins()
        for name, plugin in found:
            loader.check(name, plugin, self.record.template.cluster_user)
        return found

    def usable_plugins(self) -> list[tuple[str, Plugin]]:
        """Return those that this computer can run; the others are noted."""
        found = []
        for one in self.record.template.plugins:
            try:
                found.append((one.name, self._make(one)))
            except SpotclusterError as error:
                self.note(f"plugin {one.name} is left out: {error}")
        return found

    def _make(self, section: PluginSection) -> Plugin:
        return make_plugin(section, self._own)

    def note(self, message: str) -> None:
        """Tell the user something, in one line."""
        self.reporter.note(message)

    @functools.cached_property
    def public_key(self) -> str:
        """The public half of the key that its nodes let in."""
        return ssh.keys.bare(ssh.keys.public_of(self.key_path))

    @property
    def inside(self) -> bool:
        """Whether we are on its master."""
        return self._of_user is not None

    @property
    def public_keys(self) -> str:
        """The keys that its nodes let in, a line each."""
        return "\n".join(filter(None, [self._of_user, self.public_key]))

    def make_node(self, instance: Instance) -> Node:
        """Return the node of an instance of its, as it is reached from here."""
        return Node(instance, self.key_path, inside=self.inside)

    def expect(self, coming: Callable[[], AbstractSet[str]]) -> None:
        """Let `together` wait a moment for these nodes, from now on."""
        self._rounds = threads.Rounds(coming)

    def together(self, what: object, node: Node, do: Callable[[Sequence[Node]], R]) -> R:
        """Do something for a node at once with others that want the same at about this time.

        See `spotcluster.plugins.base.Cluster.together`.
        """
        return self._rounds.join(what, node.alias, node, do)

    def meet(self, node: Node) -> None:
        """Go on as soon as the master has come to the same point.

        See `spotcluster.plugins.base.Cluster.meet`.
        """
        if what := self._meetings.get(node.alias):
            what()

    @contextlib.contextmanager
    def meeting(self, alias: str, what: Callable[[], None]) -> Iterator[None]:
        """Have a node do this in `meet`, in the block; elsewhere the master has been first."""
        self._meetings[alias] = what
        try:
            yield
        finally:
            del self._meetings[alias]

    def joined(self, node: Node) -> None:
        """Take a node in, and pin its host key; soon, where many join."""
        with self._lock:
            if node.is_master:  # the first, where each node that joins looks for it
                self._nodes = {node.alias: node, **self._nodes}
            self._nodes[node.alias] = node
            now = time.monotonic()
            # The file is written whole: not for each of a thousand.
            soon = now < self._kept + _KEPT_FOR
            if not soon:
                self._kept = now
        if not soon:
            self.keep_host_keys()

    def renew(self, node: Node) -> None:
        """Take what EC2 shows of a node now, if it is reached in another way than it was."""
        with self._lock:
            known = self._nodes.get(node.alias)
            if known is not None and known.target == node.target:
                return
            self._nodes[node.alias] = node
        if known is not None:
            known.close()

    def left(self, alias: str) -> None:
        """Let a node go."""
        with self._lock:
            node = self._nodes.pop(alias, None)
        if node:
            node.close()

    def pin_host_keys(self) -> Path:
        """Write the known_hosts file of the nodes there are, and return it."""
        path = files.known_hosts_file(self.region, self.name)
        files.write_private(path, ssh.known_hosts_text([node.target for node in self.nodes]))
        aliases.refresh(self.region, self.name, self.nodes, path)
        return path

    def keep_host_keys(self) -> None:
        """Write that file if this computer lets us: its disk may be full, and EC2 has the keys."""
        try:
            self.pin_host_keys()
        except OSError as error:
            why = error.strerror or str(error)
            if self._cannot_keep != why:
                self._cannot_keep = why
                self.note(f"the host keys cannot be written down on this computer: {why}")

    def close(self) -> None:
        """Close every connection."""
        for node in self.nodes:
            node.close()


def mark_returning(session: Session, found: Sequence[Instance]) -> list[Instance]:
    """Write down that nodes that were set up stop or reboot and are to be brought back."""
    if not found:
        return []
    network.tag(session, [one.id for one in found], {tags.STATE: tags.RETURNING})
    return [replace(one, tags={**one.tags, tags.STATE: tags.RETURNING}) for one in found]


def is_ending(name: str) -> ClusterError:
    """Return the error for a cluster that is being terminated."""
    return ClusterError(
        f"The cluster '{name}' is being terminated.",
        f"`spotcluster terminate {name}` finishes that.",
    )


def is_stopped(name: str) -> ClusterError:
    """Return the error for a cluster that has to be started before anything can be done with it."""
    return ClusterError(
        f"The cluster '{name}' is stopped.",
        f"`spotcluster start {name}` brings it back; `spotcluster terminate {name}` ends it and"
        " deletes its disks.",
    )


def make_plugin(section: PluginSection, own: Mapping[str, PluginSection]) -> Plugin:
    """Return the plugin of a section; `own` are those of this computer's config.

    Raises
    ------
    ClusterError
        This computer lacks a secret that it needs.
    """
    from spotcluster.cluster.secrets import with_secrets
    from spotcluster.plugins import loader

    return loader.make(section.name, section.setup_class, with_secrets(section, own))


def nodes_of(found: Sequence[Instance], key_path: Path, *, inside: bool = False) -> list[Node]:
    """Return the nodes of the instances that run."""
    return [
        Node(one, key_path, inside=inside)
        for one in instances.present(found)
        if one.state == "running" and tags.HOST_KEY in one.tags
    ]


def find(
    session: Session,
    name: str,
    keys: Mapping[str, Path],
    reporter: Reporter | None = None,
    own: Mapping[str, PluginSection] | None = None,
) -> Cluster | None:
    """Return the cluster `name` of a region as EC2 knows it, None where there is none.

    Whoever looks for it is about to reach its nodes, so their SSH is opened to this computer.

    Parameters
    ----------
    keys : mapping of str to Path
        Where this computer has the private keys of key pairs; where it says nothing, the key is
        the one that `createkey` writes.
    own : mapping of str to PluginSection
        The plugins of this computer's config.
    """
    record = records.find(session, name)
    if record is None:
        return None
    path = keys.get(record.template.keyname) or files.key_file(record.template.keyname)
    found = instances.describe(session, name)
    asleep = [one for one in found if one.state in instances.STOPPED]
    nodes = nodes_of(found, path)
    if nodes:
        record = ingress.let_in(session, record)
    return Cluster(session, record, path, nodes, reporter, own, asleep)


def find_from_master(session: Session, name: str, key_path: Path) -> Cluster | None:
    """Return the cluster `name` for who is on its master; None where there is none.

    Parameters
    ----------
    key_path : Path
        The master's own key, which the other nodes let in.
    """
    record = records.find(session, name)
    if record is None:
        return None
    pair = keypairs.find(session, record.template.keyname)
    found = instances.describe(session, name)
    asleep = [one for one in found if one.state in instances.STOPPED]
    nodes = nodes_of(found, key_path, inside=True)
    of_user = ssh.keys.bare(pair.public) if pair and pair.public else ""
    return Cluster(session, record, key_path, nodes, asleep=asleep, of_user=of_user)
