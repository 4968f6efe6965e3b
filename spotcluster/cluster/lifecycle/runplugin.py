"""Running one plugin on a cluster that is there."""

from __future__ import annotations

from spotcluster import threads, wording
from spotcluster.cluster import hooks
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.config import Config
from spotcluster.errors import ClusterError, SpotclusterError, UsageError
from spotcluster.plugins import loader
from spotcluster.plugins.base import Plugin


def choose(config: Config, cluster: Cluster, name: str) -> Plugin:
    """Return the plugin `name` as the config has it now, or as the cluster was started with it.

    Raises
    ------
    UsageError
        Neither has it.
    """
    if name in config.plugins:
        section = config.plugins[name]
        return loader.make(name, section.setup_class, dict(section.settings))
    own = [one.name for one in cluster.record.template.plugins]
    if name in own:
        return dict(cluster.plugins())[name]
    names = wording.listed(sorted({*config.plugins, *own}))
    raise UsageError(
        f"Neither the config nor the cluster '{cluster.name}' has a plugin '{name}'.",
        f"There are: {names}.",
    )


def run(cluster: Cluster, name: str, plugin: Plugin) -> None:
    """Run the plugin's `setup` on the master, then on all other nodes at the same time.

    Raises
    ------
    ClusterError
        It failed on some node; the others are done.
    """
    failed: set[str] = set()

    def on(node: Node) -> None:
        cluster.reporter.stage(node.alias, name)
        try:
            hooks.call(name, plugin.setup, cluster, node)
        except SpotclusterError as error:
            failed.add(node.alias)
            cluster.reporter.failed(node.alias, str(error))
        else:
            cluster.reporter.stage(node.alias, "ready")

    on(cluster.master)
    if not failed:
        workers = [node for node in cluster.nodes if not node.is_master]
        threads.on_each(workers, on, lambda node: node.alias)
    if failed:
        raise ClusterError(
            f"The plugin '{name}' failed on {', '.join(sorted(failed))}.",
            "Correct it and run it again: a plugin may be run as often as you like.",
        )
