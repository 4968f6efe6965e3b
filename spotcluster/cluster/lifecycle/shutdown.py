"""The plugins' `shutdown`, before a cluster stops or ends; nothing that fails there holds it up."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Sequence

from spotcluster.cluster import limits
from spotcluster.cluster.bringup.pipeline import naming
from spotcluster.cluster.cluster import Cluster
from spotcluster.errors import SpotclusterError
from spotcluster.plugins.base import Plugin

log = logging.getLogger("spotcluster.shutdown")


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
    for name, plugin in plugins:
        for node in cluster.nodes:
            cluster.reporter.stage(node.alias, f"{name} shuts down")
        left = max(0.0, end - time.monotonic())
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run,
            args=(_hook, cluster, name, plugin, left, setting or "the limit", anyway),
            name=name,
            daemon=True,
        )
        thread.start()
        while thread.is_alive() and time.monotonic() < end:
            thread.join(0.2)  # short, so that Ctrl-C is seen
        if thread.is_alive():
            cluster.note(f"plugin {name} had not shut down after {limit}; {anyway}")


def wanted(cluster: Cluster) -> list[tuple[str, Plugin]]:
    """Return the plugins that do something then, in the order in which they do."""
    return [
        (name, plugin)
        for name, plugin in cluster.usable_plugins()[::-1]
        if type(plugin).shutdown is not Plugin.shutdown
    ]


def _hook(
    cluster: Cluster, name: str, plugin: Plugin, seconds: float, setting: str, anyway: str
) -> None:
    try:
        with naming(name), limits.limit(seconds, setting):
            plugin.shutdown(cluster)
    except SpotclusterError as error:
        cluster.note(f"{error}; {anyway}")
    except Exception as error:
        log.exception("not foreseen in plugin %s", name)
        why = f"{type(error).__name__}: {error}"
        cluster.note(f"plugin {name} raised {why}; {anyway}")
