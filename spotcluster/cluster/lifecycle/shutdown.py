"""The plugins' `shutdown`, before a cluster stops or ends; nothing that fails there holds it up."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence

from spotcluster import threads
from spotcluster.cluster import hooks, limits
from spotcluster.cluster.cluster import Cluster
from spotcluster.plugins.base import Plugin


def run(
    cluster: Cluster, plugins: Sequence[tuple[str, Plugin]], seconds: float, setting: str = ""
) -> None:
    """Run that of `plugins`, as `wanted` gives them, within a limit for all of them.

    Parameters
    ----------
    setting : str
        What the limit is called in a template, where it has one of its own.
    """
    end = time.monotonic() + seconds
    anyway = f"the nodes {'end' if cluster.ending else 'stop'} all the same"
    limit = f"{seconds:.0f} s{f' ({setting})' if setting else ''}"

    def shut_down(name: str, plugin: Plugin, seconds: float) -> None:
        with limits.limit(seconds, setting or "the limit"):
            hooks.call_anyway(name, plugin.shutdown, cluster, anyway=anyway)

    for name, plugin in plugins:
        for node in cluster.nodes:
            cluster.reporter.stage(node.alias, f"{name} shuts down")
        left = max(0.0, end - time.monotonic())
        thread = threads.begin(functools.partial(shut_down, name, plugin, left), name)
        if not threads.wait_for(thread, left):
            cluster.note(f"plugin {name} had not shut down after {limit}; {anyway}")


def wanted(cluster: Cluster) -> list[tuple[str, Plugin]]:
    """Return the plugins that do something then, in the order in which they do."""
    return [
        (name, plugin)
        for name, plugin in cluster.usable_plugins()[::-1]
        if type(plugin).shutdown is not Plugin.shutdown
    ]
