"""start, addnode, removenode, restart, runplugin."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from spotcluster.cli import output
from spotcluster.cli.completion import names
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.interrupts import (
    nothing_done_yet,
    say_what_exists,
    say_what_is_half_made,
    to_go_on,
)
from spotcluster.cli.options import USD, cluster_argument, key_option, node_argument, yes_option
from spotcluster.cli.results import show_plan, show_result
from spotcluster.errors import CloudError

if TYPE_CHECKING:
    from spotcluster.aws.session import Session
    from spotcluster.cluster.bringup.bringup import Result
    from spotcluster.config import Template

bid_option = click.option(
    "-b",
    "--bid",
    type=USD,
    metavar="USD",
    help="Workers are spot instances at this price per hour at most.",
)
on_failure_option = click.option(
    "--on-failure",
    type=click.Choice(["replace", "drop", "abort"]),
    default="replace",
    show_default=True,
    help="A node that does not get ready is replaced (twice, or as often as REPLACEMENTS says, then"
    " dropped), dropped, or ends all.",
)


@click.command(
    epilog="""\b
Examples:
  spotcluster start -c iptemplate -s 3 -b 0.5 mycluster
  spotcluster start --dry-run mycluster
  spotcluster -r local start -s 3 mycluster
  spotcluster start mycluster                   after `spotcluster stop mycluster`
"""
)
@cluster_argument()
@click.option(
    "-c",
    "--cluster-template",
    "template",
    metavar="TEMPLATE",
    shell_complete=names.templates,
    help="[cluster TEMPLATE].",
)
@click.option("-s", "--cluster-size", "size", type=int, help="Nodes, the master included.")
@bid_option
@click.option(
    "--force-spot-master/--no-spot-master",
    default=None,
    help="Make the master a spot instance too.",
)
@key_option
@click.option("-n", "--node-image-id", "image", metavar="AMI", help="Image of all nodes.")
@click.option(
    "-i", "--node-instance-type", "node_type", metavar="TYPE", help="Type of the workers."
)
@click.option(
    "-I", "--master-instance-type", "master_type", metavar="TYPE", help="Type of the master."
)
@click.option("-a", "--availability-zone", "zone", metavar="ZONE", help="Zone of all nodes.")
@click.option(
    "--autostop",
    metavar="TIME",
    help="End by itself after so long idle, as 30m or 2h; or off. [AUTOSTOP; 1h]",
)
@click.option(
    "--budget",
    type=USD,
    metavar="USD",
    help="The most that its instances may cost, whatever fails.",
)
@on_failure_option
@click.option(
    "--allow",
    multiple=True,
    metavar="CIDR",
    help="Addresses that may reach SSH too, as 203.0.113.0/24; may be given several times.",
)
@click.option(
    "--format",
    "format_new",
    is_flag=True,
    help="Format volumes that nothing was ever written to; never any other.",
)
@click.option(
    "--dry-run",
    "--validate-only",
    "-v",
    "dry_run",
    is_flag=True,
    help="Check everything and show the plan and its price; make nothing.",
)
@click.option(
    "--timeline", "with_timeline", is_flag=True, help="Show where the time went, node by node."
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan or the result as JSON.")
@pass_context
def start(
    context: Context,
    name: str,
    *,
    template: str | None,
    size: int | None,
    bid: float | None,
    force_spot_master: bool | None,
    keyname: str | None,
    image: str | None,
    node_type: str | None,
    master_type: str | None,
    zone: str | None,
    autostop: str | None,
    budget: float | None,
    on_failure: str,
    allow: tuple[str, ...],
    format_new: bool,
    dry_run: bool,
    with_timeline: bool,
    as_json: bool,
) -> int:
    """Start a cluster, bring back one that is stopped, or go on with a start that was cut off.

    A cluster that exists keeps what it was started with and needs no template. One that is stopped
    or lacks nodes gets the size that it had, or -s SIZE; -b BID holds for the workers made now.
    """
    from spotcluster.cluster.bringup import plans
    from spotcluster.cluster.bringup.failures import OnFailure
    from spotcluster.cluster.lifecycle import request
    from spotcluster.cluster.lifecycle import start as starting

    plans.check_name(name)
    blocks = plans.check_blocks(allow)
    config = context.config(check_plugins=True)
    with nothing_done_yet(name):
        what = request.choose(
            config,
            name,
            context.region,
            template=template,
            size=size,
            bid=bid,
            overrides={
                "force_spot_master": force_spot_master,
                "keyname": keyname,
                "node_image_id": image,
                "node_instance_type": node_type,
                "master_instance_type": master_type,
                "availability_zone": zone,
                "autostop": autostop,
                "budget": budget,
            },
            note=output.Notes().note,
        )
    session = what.session
    if dry_run:
        found = starting.plan(
            session,
            name,
            what.template,
            what.seen,
            size=size,
            bid=bid,
            format_new=format_new or output.can_ask(),  # `start` would ask
            plugins=config.plugins,
        )
        show_plan(session, found, as_json=as_json)
        return 0
    try:
        format_new = format_new or _may_format(session, what.template)
        with output.progress() as reporter:
            result = starting.start(
                session,
                name,
                what.template,
                reporter,
                seen=what.seen,
                on_failure=OnFailure(on_failure),
                allow=blocks,
                size=size,
                bid=bid,
                plugins=config.plugins,
                format_new=format_new,
            )
        result = _offer_format(result)
        return show_result(
            session, result, context.hook, as_json=as_json, with_timeline=with_timeline
        )
    except (KeyboardInterrupt, CloudError):
        say_what_exists(session, name)
        raise


@click.command(epilog="Example: spotcluster addnode -s 3 -b 0.5 mycluster")
@cluster_argument()
@click.option(
    "-s",
    "-n",
    "--num-nodes",
    "number",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many.",
)
@bid_option
@click.option("-z", "--availability-zone", "zone", metavar="ZONE", help="Zone of these nodes.")
@click.option("-I", "--instance-type", "kind", metavar="TYPE", help="Type of these nodes.")
@on_failure_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_context
def addnode(
    context: Context,
    name: str,
    *,
    number: int,
    bid: float | None,
    zone: str | None,
    kind: str | None,
    on_failure: str,
    as_json: bool,
) -> int:
    """Add nodes to a running cluster; what runs there goes on."""
    from spotcluster.cluster.bringup.failures import OnFailure
    from spotcluster.cluster.lifecycle import add

    with nothing_done_yet(name):
        cluster = context.cluster(name)
    try:
        with output.progress() as reporter:
            result = add.add_nodes(
                cluster,
                number,
                bid=bid,
                zone=zone,
                type=kind,
                reporter=reporter,
                on_failure=OnFailure(on_failure),
            )
        return show_result(cluster.session, result, context.hook, as_json=as_json)
    except (KeyboardInterrupt, CloudError) as error:
        given = (("-s", number), ("-b", bid), ("-z", zone), ("-I", kind))
        words = " ".join(f"{flag} {value}" for flag, value in given if value is not None)
        refused = isinstance(error, CloudError)
        say_what_is_half_made(cluster.session, name, f"addnode {words} {name}", refused=refused)
        raise


@click.command(epilog="Example: spotcluster removenode mycluster node002 node003")
@cluster_argument()
@node_argument("aliases", nargs=-1, required=True, metavar="ALIAS...")
@yes_option
@pass_context
def removenode(context: Context, name: str, *, aliases: tuple[str, ...], yes: bool) -> int:
    """Remove nodes: what they compute is finished first, then they are terminated."""
    from spotcluster.cluster.lifecycle import remove

    with nothing_done_yet(name):
        cluster = context.cluster(name)
        leaving = [node.alias for node in remove.chosen(cluster, aliases)]
        output.confirm(f"Remove {', '.join(leaving)} from '{name}'?", yes=yes)
    try:
        with output.progress() as reporter:
            cluster.reporter = reporter
            gone = remove.remove_nodes(cluster, aliases)
    except (KeyboardInterrupt, CloudError):
        say_what_exists(cluster.session, name, f"removenode {name} {' '.join(aliases)}")
        raise
    output.out.print(
        f"Removed {', '.join(gone)}; '{name}' has {len(cluster.nodes)} node(s) left.\n"
        f"  spotcluster -r {cluster.region} terminate {name}   end the bill",
    )
    return 0


@click.command(epilog="Example: spotcluster restart mycluster")
@cluster_argument()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_context
def restart(context: Context, name: str, *, as_json: bool) -> int:
    """Reboot all nodes of a cluster, and wait until its engines are back.

    What runs on the nodes is cut off; their disks stay as they are.
    """
    from spotcluster.cluster.lifecycle import restart as restarting

    with nothing_done_yet(name):
        cluster = context.cluster(name)
    try:
        with output.progress() as reporter:
            cluster.reporter = reporter
            result = restarting.restart(cluster)
        return show_result(cluster.session, result, context.hook, as_json=as_json)
    except (KeyboardInterrupt, CloudError):
        say_what_exists(cluster.session, name)
        raise


def _may_format(session: Session, template: Template) -> bool:
    """Ask, on a terminal, whether volumes that are new are to be formatted."""
    from spotcluster.cluster.volumes import mounting

    if not output.can_ask():
        return False
    new = mounting.new_ones(session, template)
    return bool(new) and output.ask(
        f"Nothing has been put on the volume {', '.join(new)} yet. Make an ext4 file system on it?"
    )


def _offer_format(result: Result) -> Result:
    """Ask, on a terminal, whether volumes that turned out to be new are to be formatted."""
    if not result.volumes.unformatted or not output.can_ask():
        return result
    from spotcluster.cluster.volumes import mounting

    paths = ", ".join(result.volumes.unformatted)
    if not output.ask(f"The volume for {paths} is empty. Make an ext4 file system on it?"):
        return result
    cluster = result.cluster
    return replace(result, volumes=mounting.bring(cluster, cluster.master, format_new=True))


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

    with nothing_done_yet(name):
        cluster = context.cluster(name)
        section, chosen = running.choose(context.config(), cluster, plugin, output.Notes().note)
    again = f"spotcluster -r {cluster.region} runplugin {plugin} {name}"
    with (
        to_go_on(f"Some nodes may have it and others not; `{again}` runs it on all."),
        output.progress() as reporter,
    ):
        cluster.reporter = reporter
        running.run(cluster, section, chosen)
    output.out.print(f"Ran {plugin} on {len(cluster.nodes)} node(s) of '{name}'.")
    return 0
