"""A StarCluster setup class as a plugin of ours: which of its hooks is called when, with what."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict, PrivateAttr, create_model

from spotcluster import threads
from spotcluster.errors import NodeError, SpotclusterError
from spotcluster.plugins.base import Cluster, Node, Plugin
from spotcluster.plugins.starcluster import telling
from spotcluster.plugins.starcluster.loading import converted
from spotcluster.plugins.starcluster.nodes import Node as TheirNode
from spotcluster.plugins.starcluster.setups import ClusterSetup

_LEAST = 30.0  # seconds for a node's leaving, where DRAIN_TIMEOUT is 0: it waits for no work


@dataclass(frozen=True)
class _Given:
    """What hooks are called with."""

    nodes: list[TheirNode]
    master: TheirNode
    user: str
    shell: str
    volumes: dict[str, Any]

    @classmethod
    def of(cls, cluster: Cluster, nodes: Sequence[Node]) -> _Given:
        """Return what hooks get of a cluster that has these nodes."""
        ordered = sorted(nodes, key=lambda one: (not one.is_master, len(one.alias), one.alias))
        theirs = {node.alias: TheirNode(cluster, node) for node in ordered}
        master = theirs.get(cluster.master.alias) or TheirNode(cluster, cluster.master)
        volumes = {one.name: _Volume(one) for one in cluster.volumes}
        return cls(
            list(theirs.values()), master, cluster.master.account.name, cluster.shell, volumes
        )

    @property
    def words(self) -> tuple[Any, ...]:
        """The arguments that all hooks have."""
        return self.nodes, self.master, self.user, self.shell, self.volumes


class _Volume(dict[str, Any]):
    """A volume, by keys and by attributes, as StarCluster gave it."""

    def __init__(self, volume: Any) -> None:
        names = ("volume_id", "mount_path", "device", "partition")
        super().__init__({name: getattr(volume, name) for name in names})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Adapted(Plugin):
    """Base of the plugins that are made of setup classes; its fields are their settings.

    Attributes
    ----------
    converted : bool
        Whether the class's module is Python 2.
    """

    setup_class: ClassVar[type[ClusterSetup]]
    converted: ClassVar[bool] = False
    _setup: ClusterSetup = PrivateAttr()
    # Ours calls hooks of several nodes at once; these were written for one after the other.
    _one_at_a_time: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic's signature
        """Make the setup class's object, so that what it refuses is known from the start."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        self._setup = self.setup_class(**given)

    def assemble(self, cluster: Cluster, nodes: Sequence[Node]) -> None:
        """Call `run` where the master is among those that come, else `on_add_node` for each."""
        if self.converted:
            cluster.note(f"{self.setup_class.__name__} is Python 2, and was converted to Python 3")
        if lacking := [node.alias for node in nodes if not node.facts.sudo]:
            cluster.note(
                f"{self.setup_class.__name__} is not root on {', '.join(lacking)}: there is no"
                " sudo, so what needs root fails there"
            )
        there = {node.alias: node for node in (*cluster.ready_nodes, *nodes)}
        given = _Given.of(cluster, list(there.values()))
        if any(node.is_master for node in nodes):
            self._call(cluster, "run", given)
            return
        coming = {node.alias for node in nodes}
        for node in given.nodes:
            if node.alias in coming:
                self._call(cluster, "on_add_node", given, node)

    def remove(self, cluster: Cluster, node: Node) -> None:
        """Call `on_remove_node`, within ``DRAIN_TIMEOUT``."""
        given = _Given.of(cluster, cluster.nodes)
        (leaving,) = [one for one in given.nodes if one.alias == node.alias]
        seconds = max(_LEAST, cluster.drain_timeout)
        failed: list[BaseException] = []

        def call() -> None:
            try:
                self._call(cluster, "on_remove_node", given, leaving)
            except BaseException as error:  # noqa: BLE001 - raised below, where it is heard
                failed.append(error)

        if not threads.wait_for(threads.begin(call, node.alias), seconds):
            why = f"on_remove_node had not ended after {seconds:.0f} s (DRAIN_TIMEOUT)."
            raise NodeError(node.alias, why)
        if failed:
            raise failed[0]

    def reboot(self, cluster: Cluster) -> None:
        """Call `on_restart`."""
        given = _Given.of(cluster, cluster.nodes)
        self._call(cluster, "on_restart", given)

    def shutdown(self, cluster: Cluster) -> None:
        """Call `on_shutdown`, and `clean_cluster`, which some have in its place."""
        given = _Given.of(cluster, cluster.nodes)
        self._call(cluster, "on_shutdown", given)
        self._call(cluster, "clean_cluster", given)

    def _call(
        self,
        cluster: Cluster,
        hook: str,
        given: _Given,
        *first: TheirNode,
    ) -> None:
        """Call a hook; one that is not overridden does nothing."""
        name = self.setup_class.__name__
        with self._one_at_a_time, telling.to(lambda line: cluster.note(f"{name}: {line}")):
            try:
                getattr(self._setup, hook)(*first, *given.words)
            except NotImplementedError:  # as the base class has it, and as many of them say it
                telling.log.debug("%s has no %s", name, hook)


class _TakesAny(Adapted):
    """Base of those whose `__init__` takes any settings."""

    model_config = ConfigDict(extra="allow")


_TAKEN = ("setup_class",)
_made: dict[type[ClusterSetup], type[Adapted]] = {}


def plugin_of(setup_class: type[ClusterSetup]) -> type[Adapted]:
    """Return the plugin class of a setup class; its settings are what `__init__` takes.

    Raises
    ------
    SpotclusterError
        A setting has a name that cannot be one here.
    """
    if made := _made.get(setup_class):
        return made
    fields: dict[str, Any] = {}
    base: type[Adapted] = Adapted
    for one in inspect.signature(setup_class).parameters.values():
        if one.kind is one.VAR_KEYWORD:
            # A class without one of its own takes none.
            base = _TakesAny if setup_class.__init__ is not ClusterSetup.__init__ else Adapted
        elif one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
            if hasattr(Adapted, one.name) or one.name.startswith("_") or one.name in _TAKEN:
                raise SpotclusterError(f"'{one.name}' cannot be the name of a setting.")
            fields[one.name] = (str, ...) if one.default is one.empty else (Any, one.default)
    made = create_model(setup_class.__name__, __base__=base, **fields)
    made.setup_class = setup_class
    made.converted = getattr(sys.modules[setup_class.__module__], "__file__", "") in converted
    made.__doc__ = setup_class.__doc__
    _made[setup_class] = made
    return made
