"""runplugin."""

from __future__ import annotations

import click

from spotcluster.cli import output
from spotcluster.cli.completion import names
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import cluster_argument


@click.command(epilog="Example: spotcluster runplugin ipclusterrestart mycluster")
@click.argument("plugin", shell_complete=names.plugins)
@cluster_argument()
@pass_context
def runplugin(context: Context, plugin: str, name: str) -> int:
    """Run a plugin of the config, or of the cluster's own template, on every node.

    Nodes that join later get it with these settings too, if it is one of the cluster's own or one
    that installs packages.
    """
    from spotcluster.cluster.lifecycle import runplugin as running

    cluster = context.cluster(name)
    section, chosen = running.choose(context.config(), cluster, plugin)
    with output.progress() as reporter:
        cluster.reporter = reporter
        running.run(cluster, section, chosen)
    output.out.print(f"Ran {plugin} on {len(cluster.nodes)} node(s) of '{name}'.")
    return 0
