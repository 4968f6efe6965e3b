"""dashboard: a cluster as a page in this computer's browser."""

from __future__ import annotations

import contextlib
import importlib.util

import click

from spotcluster.cli import browser, output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import cluster_argument
from spotcluster.errors import UsageError


@click.command(
    epilog="""\b
Examples:
  spotcluster dashboard mycluster                 open it in the browser
  spotcluster dashboard --no-browser mycluster    print its address
\b
It is served by this computer to itself only. Whoever has the address that is printed can do with
the cluster what the page can, as long as the dashboard runs.
"""
)
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="The port on this computer; any that is free by default.",
)
@cluster_argument()
@pass_context
def dashboard(context: Context, name: str, *, no_browser: bool, port: int | None) -> int:
    """Show a cluster as a page while it works, and steer it from there, until Ctrl-C.

    Nodes, engines and what each does, searches with their scores, jobs, costs and events, live.
    Nodes are added and removed there, searches aborted, the end put off, the cluster terminated;
    each is asked again. It costs the engines nothing.
    """
    if importlib.util.find_spec("bokeh") is None:
        raise UsageError(
            "The dashboard needs Bokeh, which is not installed here.",
            'Install it with `pip install "spotcluster[dashboard]"`.',
        )
    from spotcluster.cluster.status.observer import Observer
    from spotcluster.dashboard.actions import Runner
    from spotcluster.dashboard.look import Look
    from spotcluster.dashboard.server import Served

    with (
        contextlib.closing(context.cluster(name)) as cluster,
        Observer(cluster, watching=True) as observer,
    ):
        runner = Runner(context.words(cluster.region))
        look = Look(cluster, observer, runner)
        served = Served(look, port or 0)
        look.start()
        output.out.print(output.Text(served.url))
        output.err.print("Ctrl-C ends the dashboard; the cluster goes on.")
        with browser.page("dashboards", cluster.region, name, served.url) as page:
            if not no_browser:
                browser.show(page)
            served.run_until_interrupted()
        look.close()
        served.close()
    for command in runner.close():
        output.err.print(output.Text(f"This goes on: {command}"))
    return 130
