"""notebook: JupyterLab on the master, in this computer's browser."""

from __future__ import annotations

import contextlib

import click

from spotcluster.cli import browser, output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.interrupts import to_go_on
from spotcluster.cli.options import cluster_argument


@click.command(
    epilog="""\b
Examples:
  spotcluster notebook mycluster                 open it in the browser
  spotcluster notebook --no-browser mycluster    print its address
  spotcluster notebook --stop mycluster          end the server and its kernels
\b
It runs as the cluster user, listens on the master itself only, and is reached through an SSH tunnel
that Ctrl-C closes; notebooks are in ~/notebooks on the master. Anybody who has the address that is
printed can run programs on the cluster as long as the tunnel is open.
"""
)
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="The port on this computer; any that is free by default.",
)
@click.option("--stop", is_flag=True, help="End the server that runs, and its kernels.")
@cluster_argument()
@pass_context
def notebook(
    context: Context, name: str, *, no_browser: bool, port: int | None, stop: bool
) -> int | None:
    """Open JupyterLab on the master, where %px reaches every engine.

    It is installed there when it is first asked for. The server goes on when the tunnel is closed,
    and kernels with it.
    """
    from spotcluster.cluster.on_master import notebook as notebooks

    region = f"-r {context.region} " if context.region else ""
    cluster = context.cluster(name, output.Notes())
    if stop:
        ran = notebooks.stop(cluster)
        output.out.print("JupyterLab has ended." if ran else "No JupyterLab was running.")
        return None
    with to_go_on(f"`spotcluster -r {cluster.region} notebook {name}` goes on with it."):
        opened = notebooks.start(cluster, port=port or 0)
    with contextlib.closing(opened.tunnel), contextlib.ExitStack() as stack:
        output.out.print(output.Text(opened.url))
        output.err.print("Ctrl-C closes the tunnel; the server goes on.")
        if not no_browser:
            page = stack.enter_context(browser.page("notebooks", cluster.region, name, opened.url))
            browser.show(page)
        with contextlib.suppress(KeyboardInterrupt):
            notebooks.keep_open(cluster, opened)
    output.err.print(
        output.Text(
            f"\nThe tunnel is closed, JupyterLab goes on. `spotcluster {region}notebook {name}`"
            f" comes back to it, `spotcluster {region}notebook --stop {name}` ends it."
        )
    )
    return 130
