"""keep."""

from __future__ import annotations

import time

import click

from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.interrupts import nothing_done_yet, say_what_exists
from spotcluster.cli.options import cluster_argument


@click.command(
    epilog="""\b
Examples:
  spotcluster keep mycluster                     what is lost is replaced
  spotcluster keep --max 20 mycluster            and the queue says how many nodes there are
  spotcluster keep --on-master mycluster         the master does it, by its INSTANCE_PROFILE
  spotcluster keep --log mycluster               what it has done, and why
  spotcluster loadbalance -n 3 -m 20 mycluster   the same, as StarCluster calls it
"""
)
@cluster_argument()
@click.option(
    "--min",
    "-n",
    "--min_nodes",
    "least",
    type=click.IntRange(min=1),
    metavar="A",
    help="Nodes at least, the master included.",
)
@click.option(
    "--max",
    "-m",
    "--max_nodes",
    "most",
    type=click.IntRange(min=1),
    metavar="B",
    help="Nodes at most; how many there are is then by what waits to be computed.",
)
@click.option(
    "--target",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    help="With --max: enough nodes to do what waits in that time (TARGET of the template: 15).",
)
@click.option(
    "--idle",
    "-k",
    "--kill_after",
    "idle",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="MINUTES",
    help="With --max: nodes that have had nothing to do for so long leave.",
)
@click.option(
    "-s",
    "--stabilization_time",
    "pause",
    type=click.FloatRange(min=0),
    default=180.0,
    show_default=True,
    metavar="SECONDS",
    help="With --max: between two changes of size.",
)
@click.option(
    "-a",
    "--add_nodes_per_iter",
    "step",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --max: nodes added at once at most.",
)
@click.option(
    "--on-master",
    is_flag=True,
    help="Let the master do it, by its INSTANCE_PROFILE: no other computer need be on.",
)
@click.option("--off", is_flag=True, help="Let the master not do it any more.")
@click.option("--log", is_flag=True, help="Print what the master has done, and why.")
@click.option("--once", is_flag=True, help="Do what is to be done now, and end.")
@pass_context
def keep(
    context: Context,
    name: str,
    *,
    least: int | None,
    most: int | None,
    target: float | None,
    idle: float,
    pause: float,
    step: int | None,
    once: bool,
    on_master: bool,
    off: bool,
    log: bool,
) -> int:
    """Keep a cluster's size: a node that is lost is replaced, until Ctrl-C or the cluster's end.

    A node that EC2 takes back is replaced as soon as EC2 says so, from another pool where there is
    one. With --max nodes are added as long as more waits than is done in the target, and idle ones
    leave; what runs is never cut off. It says what it does, and why, in a line each.
    """
    from spotcluster.api import keeping as keepers
    from spotcluster.cluster.lifecycle.keeping import on_master as service
    from spotcluster.config.names import MOST_NODES

    for flag, number in (("--min", least), ("--max", most)):
        if number is not None and number > MOST_NODES:
            raise click.UsageError(
                f"{flag} {number} is more than any account may have ({MOST_NODES})."
            )
    if least is not None and most is not None and least > most:
        raise click.UsageError(f"--min {least} is more than --max {most}.")
    if sum((once, on_master, off, log)) > 1:
        raise click.UsageError("--once, --on-master, --off and --log do not go together.")
    with nothing_done_yet(name):
        cluster = context.cluster(name)
    if log:
        output.out.print(output.Text(service.log(cluster).rstrip()))
        return 0
    if off:
        service.end(cluster)
        output.out.print(f"The master of '{name}' does not keep its size any more.")
        return 0
    rules = keepers.rules_of(cluster, least, most, target, idle, pause, step)
    if on_master:
        service.set_rules(cluster, rules)
        output.out.print(
            f"The master of '{name}' keeps its size; `spotcluster keep --log {name}` says how."
        )
        return 0
    try:
        over = keepers.keep(context, cluster, rules, _say, once=once)
    except KeyboardInterrupt:
        say_what_exists(cluster.session, name, f"keep {name}    ")
        raise
    return 0 if over.by_will else 1


def _say(line: str) -> None:
    """Print a line of the keeper's log, at once: it may go to a file that somebody follows."""
    when = time.strftime("%Y-%m-%d %H:%M:%S")
    output.out.print(output.Text(f"{when}  {line}"))
    output.out.file.flush()
