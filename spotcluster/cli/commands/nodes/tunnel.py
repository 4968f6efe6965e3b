"""tunnel: ports of this computer that lead to ports of nodes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import cluster_argument

if TYPE_CHECKING:
    from spotcluster.cluster.reach.forward import Way


@click.command(
    epilog="""\b
Examples:
  spotcluster tunnel mycluster 8787:node001:8787       then http://127.0.0.1:8787
  spotcluster tunnel mycluster 8787:master:8787 6006:node002:6006
\b
A port here takes connections of this computer only, and leads to what the node itself reaches at
127.0.0.1. A connection that is lost is made again when it is next needed.
"""
)
@cluster_argument()
@click.argument("ways", nargs=-1, required=True, metavar="PORT:NODE:PORT...")
@pass_context
def tunnel(context: Context, name: str, *, ways: tuple[str, ...]) -> int:
    """Lead ports of this computer to ports of nodes, until Ctrl-C."""
    from spotcluster.cluster.reach import forward

    wanted = [forward.Way.parse(one) for one in ways]
    cluster = context.cluster(name)
    with forward.opened(cluster, wanted, _say) as found:
        for way in wanted:
            output.out.print(output.Text(f"127.0.0.1:{way.local} -> {way.alias}:{way.port}"))
        output.err.print("Ctrl-C closes it.")
        with contextlib.suppress(KeyboardInterrupt):
            forward.keep_open(cluster, found)
    return 130


def _say(way: Way, why: str) -> None:
    output.err.print(
        output.Text(f"127.0.0.1:{way.local}: {way.alias}:{way.port} was not reached: {why}")
    )
