"""The base classes of StarCluster's setup classes: hooks that are there to be overridden."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from spotcluster.plugins.starcluster import telling
from spotcluster.plugins.starcluster.pool import ThreadPool


class ClusterSetup:
    """Base of all setup classes; a hook that is not overridden does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take any settings, as StarCluster's does."""

    @property
    def log(self) -> logging.Logger:
        """What the plugin tells who runs the command."""
        return telling.log

    def run(
        self,
        nodes: Sequence[Any],
        master: Any,
        user: str,
        user_shell: str,
        volumes: Mapping[str, Any],
    ) -> None:
        """Set up a whole cluster."""
        raise NotImplementedError("run")

    def on_add_node(
        self,
        node: Any,
        nodes: Sequence[Any],
        master: Any,
        user: str,
        user_shell: str,
        volumes: Mapping[str, Any],
    ) -> None:
        """Set up a node that has joined."""
        raise NotImplementedError("on_add_node")

    def on_remove_node(
        self,
        node: Any,
        nodes: Sequence[Any],
        master: Any,
        user: str,
        user_shell: str,
        volumes: Mapping[str, Any],
    ) -> None:
        """Prepare a node to leave."""
        raise NotImplementedError("on_remove_node")

    def on_restart(
        self,
        nodes: Sequence[Any],
        master: Any,
        user: str,
        user_shell: str,
        volumes: Mapping[str, Any],
    ) -> None:
        """Prepare the cluster to reboot."""
        raise NotImplementedError("on_restart")

    def on_shutdown(
        self,
        nodes: Sequence[Any],
        master: Any,
        user: str,
        user_shell: str,
        volumes: Mapping[str, Any],
    ) -> None:
        """Prepare the cluster to stop or terminate."""
        raise NotImplementedError("on_shutdown")

    def clean_cluster(
        self,
        nodes: Sequence[Any],
        master: Any,
        user: str,
        user_shell: str,
        volumes: Mapping[str, Any],
    ) -> None:
        """Do what `on_shutdown` does, in plugins of some that forked StarCluster."""
        raise NotImplementedError("clean_cluster")


class DefaultClusterSetup(ClusterSetup):
    """Base of most: with a pool, and without StarCluster's own set-up, as nodes have had ours.

    So a hook that falls through to it has nothing to do, where StarCluster's did all set-up again.
    """

    def __init__(self, disable_threads: bool = False, num_threads: int = 20) -> None:  # noqa: FBT001, FBT002 - as StarCluster's
        super().__init__()
        self._disable_threads = disable_threads
        self._num_threads = num_threads
        self._nodes: Sequence[Any] | None = None

    @functools.cached_property
    def pool(self) -> ThreadPool:
        """Threads for what is done on many nodes at once."""
        # Some subclasses do not call our __init__, and need a pool all the same.
        given = vars(self)
        disabled = bool(given.get("_disable_threads"))
        return ThreadPool(given.get("_num_threads", 20), disable_threads=disabled)

    @property
    def nodes(self) -> list[Any]:
        """The workers among the nodes that the plugin has kept."""
        return [node for node in self._nodes or () if not node.is_master()]

    @property
    def running_nodes(self) -> list[Any]:
        """The nodes that the plugin has kept; all that hooks are given run."""
        return list(self._nodes or ())

    def run(self, *_: Any, **__: Any) -> None:
        """Do nothing more."""

    def on_add_node(self, *_: Any, **__: Any) -> None:
        """Do nothing more."""

    def on_remove_node(self, *_: Any, **__: Any) -> None:
        """Do nothing more."""
