"""Running one plugin on a cluster that is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spotcluster import threads, wording
from spotcluster.cluster import hooks, records
from spotcluster.cluster.bringup import packages
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.cluster.secrets import without_secrets
from spotcluster.config import Config, Template
from spotcluster.config.settings import PluginSection
from spotcluster.errors import ClusterError, NodeError, SpotclusterError, UsageError
from spotcluster.plugins import loader, pypackages
from spotcluster.plugins.base import Plugin
from spotcluster.plugins.loader import PluginError


def choose(
    config: Config, cluster: Cluster, name: str, note: Callable[[str], None]
) -> tuple[PluginSection, Plugin]:
    """Return the plugin `name` as the config has it now, or as the cluster was started with it.

    Parameters
    ----------
    note : callable
        Tells the user what is waited for.

    Raises
    ------
    UsageError
        Neither has it, or its settings are wrong.
    """
    own = {one.name: one for one in cluster.record.template.plugins}
    if name in config.plugins:
        given = config.plugins[name]
        settled = loader.settle(
            name, given.setup_class, given.settings, config.folder_of(f"plugin {name}")
        )
        former = own[name].settings if name in own else {}
        settled = loader.resolve(name, given.setup_class, settled, note, former)
        section = given.model_copy(update={"settings": settled})
        pypackages.check_together(_with(cluster.record.template, section).plugins)
        return section, loader.make(name, section.setup_class, settled)
    if name in own:
        return own[name], dict(cluster.plugins())[name]
    names = wording.listed(sorted({*config.plugins, *own}))
    raise UsageError(
        f"Neither the config nor the cluster '{cluster.name}' has a plugin '{name}'.",
        f"There are: {names}.",
    )


def run(cluster: Cluster, section: PluginSection, plugin: Plugin) -> None:
    """Run the plugin's `setup` on the master, then on all other nodes at the same time.

    One that sets all nodes up at once is called once.

    What it was run with becomes part of the cluster's record, so that nodes which join later are
    as those that are there.

    Raises
    ------
    UsageError
        This computer could not set nodes up with it; nothing has been done.
    ClusterError
        It failed on some node; the others are done.
    """
    loader.check(section.name, plugin, cluster.record.template.cluster_user)
    records.check_size(_with(cluster.record.template, section))
    failed = _on_all(cluster, section.name, plugin)
    if cluster.master.alias not in failed:
        _write_down(cluster, section)
    packages.note_differences(cluster, cluster.nodes)
    if failed:
        raise ClusterError(
            f"The plugin '{section.name}' failed on {', '.join(sorted(failed))}.",
            "Correct it and run it again: a plugin may be run as often as you like.",
        )


def _on_all(cluster: Cluster, name: str, plugin: Plugin) -> set[str]:
    """Run it on all nodes; return those on which it failed, which has been told."""
    nodes = cluster.nodes
    failed: set[str] = set()

    def report(concerned: Sequence[Node], do: Callable[[], None]) -> None:
        for node in concerned:
            cluster.reporter.stage(node.alias, name)
        try:
            do()
        except SpotclusterError as error:
            alias = error.alias if isinstance(error, NodeError) else concerned[0].alias
            failed.add(alias)
            cluster.reporter.failed(alias, str(error))
            return  # of others that were set up at once nothing is known
        for node in concerned:
            cluster.reporter.stage(node.alias, "ready")

    def on(node: Node) -> None:
        report([node], lambda: hooks.call(name, plugin.setup, cluster, node))

    def on_all() -> None:
        limit = cluster.record.template.setup_timeout
        hooks.call_within(
            limit, "SETUP_TIMEOUT", name, lambda cluster: plugin.assemble(cluster, nodes), cluster
        )

    if plugin.assembles:
        report(nodes, on_all)
        return failed
    on(cluster.master)
    if not failed:
        workers = [node for node in nodes if not node.is_master]
        threads.on_each(workers, on, lambda node: node.alias)
    return failed


def _write_down(cluster: Cluster, section: PluginSection) -> None:
    """Have nodes that join later get the plugin as it is now, where they are to have it at all."""
    record = cluster.record
    template = _with(record.template, section)
    if without_secrets(template) != without_secrets(record.template):
        cluster.record = records.amend(cluster.session, record, template)


def _with(template: Template, section: PluginSection) -> Template:
    """Return a cluster's template with the plugin as it is now."""
    plugins = list(template.plugins)
    names = [one.name for one in plugins]
    if section.name in names:
        plugins[names.index(section.name)] = section
    elif _lasts(section):
        # Before what uses it: engines are not to begin work without a package.
        lasting = [_lasts(one) for one in plugins]
        plugins.insert(lasting.index(False) if False in lasting else len(plugins), section)
    return template.model_copy(update={"plugins": tuple(plugins)})


def _lasts(section: PluginSection) -> bool:
    try:
        return loader.load_class(section.setup_class).lasts
    except PluginError:  # somebody else's, which this computer does not have
        return False
