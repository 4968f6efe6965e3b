"""start, addnode, removenode, stop, restart, terminate, listclusters."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from spotcluster import files
from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.errors import CloudError, ClusterError, SpotclusterError

if TYPE_CHECKING:
    from spotcluster.aws.session import Session
    from spotcluster.cluster.bringup import Result
    from spotcluster.cluster.plan import Plan
    from spotcluster.cluster.vitals import RunningJob
    from spotcluster.config import Template

bid_option = click.option(
    "-b",
    "--bid",
    type=float,
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
yes_option = click.option("-y", "--yes", "-c", "--confirm", is_flag=True, help="Do not ask.")


@click.command(
    epilog="""\b
Examples:
  spotcluster start -c iptemplate -s 3 -b 0.5 mycluster
  spotcluster start --dry-run mycluster
  spotcluster -r local start -s 3 mycluster
  spotcluster start mycluster                   after `spotcluster stop mycluster`
"""
)
@click.argument("name")
@click.option(
    "-c", "--cluster-template", "template", metavar="TEMPLATE", help="[cluster TEMPLATE]."
)
@click.option("-s", "--cluster-size", "size", type=int, help="Nodes, the master included.")
@bid_option
@click.option(
    "--force-spot-master/--no-spot-master",
    default=None,
    help="Make the master a spot instance too.",
)
@click.option("-k", "--keyname", metavar="KEY", help="Key pair, a [key KEY] section.")
@click.option("-n", "--node-image-id", "image", metavar="AMI", help="Image of all nodes.")
@click.option(
    "-i", "--node-instance-type", "node_type", metavar="TYPE", help="Type of the workers."
)
@click.option(
    "-I", "--master-instance-type", "master_type", metavar="TYPE", help="Type of the master."
)
@click.option("-a", "--availability-zone", "zone", metavar="ZONE", help="Zone of all nodes.")
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
    on_failure: str,
    allow: tuple[str, ...],
    format_new: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Start a cluster, bring back one that is stopped, or go on with a start that was cut off.

    A cluster that exists keeps what it was started with and needs no template. One that is stopped
    comes back with the size that it had, or with -s SIZE; -b BID holds for the workers made now.
    """
    from spotcluster.cluster import plan, wanted
    from spotcluster.cluster import start as starting
    from spotcluster.cluster.failures import OnFailure

    plan.check_name(name)
    blocks = plan.check_blocks(allow)
    config = context.config()
    with nothing_done_yet(name):
        what = wanted.choose(
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
            },
        )
    session = what.session
    if dry_run:
        found = starting.plan(session, name, what.template, size=size, bid=bid)
        show_plan(found, as_json=as_json)
        return 0
    try:
        format_new = format_new or _may_format(session, name, what.template)
        with output.progress() as reporter:
            result = starting.start(
                session,
                name,
                what.template,
                reporter,
                on_failure=OnFailure(on_failure),
                allow=blocks,
                size=size,
                bid=bid,
                plugins=config.plugins,
                format_new=format_new,
            )
        _offer_format(result)
        return show_result(session, result, as_json=as_json)
    except (KeyboardInterrupt, CloudError):
        say_what_exists(session, name)
        raise


@click.command(epilog="Example: spotcluster addnode -s 3 -b 0.5 mycluster")
@click.argument("name")
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
@on_failure_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_context
def addnode(
    context: Context, name: str, *, number: int, bid: float | None, on_failure: str, as_json: bool
) -> int:
    """Add nodes to a running cluster; what runs there goes on."""
    from spotcluster.cluster import add
    from spotcluster.cluster.failures import OnFailure

    with nothing_done_yet(name):
        cluster = context.cluster(name)
    try:
        with output.progress() as reporter:
            result = add.add_nodes(
                cluster, number, bid=bid, reporter=reporter, on_failure=OnFailure(on_failure)
            )
        return show_result(cluster.session, result, as_json=as_json)
    except (KeyboardInterrupt, CloudError):
        say_what_exists(cluster.session, name)
        raise


@click.command(epilog="Example: spotcluster removenode mycluster node002 node003")
@click.argument("name")
@click.argument("aliases", nargs=-1, required=True, metavar="ALIAS...")
@yes_option
@pass_context
def removenode(context: Context, name: str, *, aliases: tuple[str, ...], yes: bool) -> int:
    """Remove nodes: what they compute is finished first, then they are terminated."""
    from spotcluster.cluster import remove

    with nothing_done_yet(name):
        cluster = context.cluster(name)
        for alias in aliases:
            cluster.node(alias)
        output.confirm(f"Remove {', '.join(aliases)} from '{name}'?", yes=yes)
    try:
        with output.progress() as reporter:
            cluster.reporter = reporter
            gone = remove.remove_nodes(cluster, aliases)
    except (KeyboardInterrupt, CloudError):
        say_what_exists(cluster.session, name, f"removenode {name} {' '.join(aliases)}")
        raise
    output.out.print(f"Removed {', '.join(gone)}; '{name}' has {len(cluster.nodes)} node(s) left.")
    return 0


@click.command(
    epilog="""\b
Examples:
  spotcluster stop mycluster
  spotcluster start mycluster     brings it back
"""
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@yes_option
@pass_context
def stop(context: Context, names: tuple[str, ...], *, yes: bool) -> int:
    """Stop clusters: the master and workers on demand keep their disks, spot workers are ended.

    Nothing runs then, and only the disks cost money, until `start NAME` brings it back.
    """
    for name in names:
        _stop(context, name, yes=yes)
    return 0


def _say_what_runs(jobs: Sequence[RunningJob]) -> None:
    """Tell who is about to be asked which jobs would be cut off."""
    for job in jobs:
        output.err.print(
            f"Job {job.id} still runs on the master, and is cut off: {shlex.join(job.command)}",
            markup=False,
        )


def _stop(context: Context, name: str, *, yes: bool) -> None:
    from spotcluster.cluster import at_once
    from spotcluster.cluster import stop as stopping

    with nothing_done_yet(name):
        # A plugin of the config that is broken must not keep a cluster running.
        cluster = context.cluster(name, check_plugins=False)
        region = cluster.region
        parts = stopping.parts(cluster)
        if parts.done and cluster.record.stopped:
            output.out.print(f"'{name}' is stopped already.")
            return
        kept = ", ".join(one.alias for one in parts.kept)
        output.err.print(f"These stop and keep their disks: {kept}.")
        if parts.ended:
            ended = ", ".join(one.alias for one in parts.ended)
            output.err.print(
                "These are spot instances, which cannot stop; they are terminated with their disks,"
                f" and `start {name}` makes new ones: {ended}."
            )
        if not yes and output.can_ask():
            _say_what_runs(at_once.jobs_of(cluster))
        output.confirm(f"Stop '{name}' in {region}?", yes=yes)
    try:
        with output.progress() as reporter:
            cluster.reporter = reporter
            done = stopping.stop(cluster)
    except (KeyboardInterrupt, CloudError):
        say_what_exists(cluster.session, name, f"stop {name}     ")
        raise
    output.out.print(
        f"Stopped '{name}'; only disks cost money now. Kept with its disk: {kept}. Terminated:"
        f" {', '.join(one.alias for one in done.ended) or 'nothing'}.\n"
        f"  spotcluster -r {region} start {name}       bring it back\n"
        f"  spotcluster -r {region} terminate {name}   end it and delete its disks"
    )


@click.command(epilog="Example: spotcluster restart mycluster")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_context
def restart(context: Context, name: str, *, as_json: bool) -> int:
    """Reboot all nodes of a cluster, and wait until its engines are back.

    What runs on the nodes is cut off; their disks stay as they are.
    """
    from spotcluster.cluster import restart as restarting

    with nothing_done_yet(name):
        cluster = context.cluster(name)
    try:
        with output.progress() as reporter:
            cluster.reporter = reporter
            result = restarting.restart(cluster)
        return show_result(cluster.session, result, as_json=as_json)
    except (KeyboardInterrupt, CloudError):
        say_what_exists(cluster.session, name)
        raise


@click.command(epilog="Example: spotcluster terminate mycluster")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@yes_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    help="Seconds to wait for the end; TERMINATE_TIMEOUT of its template by default.",
)
@pass_context
def terminate(context: Context, names: tuple[str, ...], *, yes: bool, timeout: float | None) -> int:
    """End clusters: every node, and everything that was made for them; volumes are kept."""
    from spotcluster.cluster import at_once, end, lookup, volumes

    config = context.config(check_plugins=False)
    keys = lookup.keys_of(config)
    for name in names:
        with nothing_done_yet(name):
            session = _session_with(context, name)
            kept = ", ".join(f"{one}, {one.size} GiB" for one in volumes.kept(session, name))
            besides = f"; volumes that are kept: {kept}" if kept else ""
            if not yes and output.can_ask():
                _say_what_runs(at_once.running_jobs(session, name, keys))
            output.confirm(
                f"Terminate '{name}' in {session.region}? Its nodes' disks are deleted{besides}.",
                yes=yes,
            )
        try:
            with output.progress() as reporter:
                number = end.terminate(
                    session, name, reporter, timeout=timeout, keys=keys, plugins=config.plugins
                )
        except KeyboardInterrupt:
            say_what_exists(session, name, "")
            raise
        output.out.print(
            f"Terminated '{name}': {number} node(s) ended; EC2 has nothing of it any more."
        )
        if kept:
            output.out.print(
                f"Volumes that are kept: {kept}; `spotcluster removevolume` deletes those you name."
            )
    return 0


@click.command(epilog="Example: spotcluster listclusters --json")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@pass_context
def listclusters(context: Context, names: tuple[str, ...], *, as_json: bool) -> int:
    """List clusters: state, nodes, uptime, price per hour, and cost so far.

    The cost is about what EC2 charges for the instances, those that have ended too; disks and
    traffic are not in it.
    """
    from spotcluster.cluster import listing

    sessions = context.sessions(*names)
    found, refused = listing.everywhere(sessions)
    if len(refused) == len(sessions):
        raise next(iter(refused.values()))
    looked_in = [one.region for one in sessions if one.region not in refused]
    places = ", ".join(looked_in)
    missing = set(names) - {one.name for one in found}
    if missing and not refused:
        raise ClusterError(
            f"There is no cluster {', '.join(sorted(missing))} in {places}.",
            "`spotcluster listclusters` shows those there are; -r looks in another region.",
        )
    found = [one for one in found if not names or one.name in names]
    for region, error in refused.items():
        output.error(f"{region} could not be looked in: {error.message}")
    for region, name in [] if names or context.region else files.reached():
        if region not in (*looked_in, *refused):
            output.err.print(
                f"Not looked in: {region}, where this computer has reached '{name}';"
                f" `spotcluster -r {region} listclusters` does."
            )
    status = 1 if refused else 0
    if as_json:
        output.document([one.as_json() for one in found])
        return status
    if not found:
        output.out.print(f"There are no clusters in {places}.")
    for one in found:
        up = f", up {listing.uptime(one.up_since)}" if one.up_since else ""
        output.table(
            f"{one.name}: {one.state}, {len(one.nodes)} of {one.size} nodes in {one.region}"
            f"{up}, {output.dollars(one.price)}, {output.spent(one.cost)}",
            ("node", "state", "type", "market", "zone", "address", "instance"),
            [
                (
                    node.alias,
                    node.state if node.ready or node.state != "running" else "not set up",
                    node.type,
                    "spot" if node.spot else "on demand",
                    node.zone,
                    node.address,
                    node.id,
                )
                for node in one.nodes
            ],
        )
    return status


def _may_format(session: Session, name: str, template: Template) -> bool:
    """Ask, on a terminal, whether volumes that are new are to be formatted."""
    from spotcluster.cluster import volumes

    if not output.can_ask():
        return False
    new = volumes.new_ones(session, name, template)
    return bool(new) and output.ask(
        f"Nothing has been put on the volume {', '.join(new)} yet. Make an ext4 file system on it?"
    )


def _offer_format(result: Result) -> None:
    """Ask, on a terminal, whether volumes that turned out to be new are to be formatted."""
    from spotcluster.cluster import volumes

    for node in result.cluster.nodes:
        if node.unformatted and output.can_ask():
            paths = ", ".join(node.unformatted)
            if output.ask(f"The volume for {paths} is empty. Make an ext4 file system on it?"):
                volumes.format_and_mount(result.cluster, node)


def show_plan(plan: Plan, *, as_json: bool) -> None:
    """Print what would be launched."""
    if as_json:
        output.document(
            {
                "cluster": plan.cluster,
                "region": plan.region,
                "zone": plan.subnet.zone,
                "usd_per_hour": plan.price,
                "volumes": [
                    {
                        "name": one.settings.name,
                        "id": one.found.id,
                        "size_gb": one.found.size,
                        "mount": one.settings.mount_path,
                    }
                    for one in plan.volumes
                ],
                "returning": [one.alias for one in plan.returning],
                "nodes": [
                    {
                        "alias": one.alias,
                        "type": one.type.name,
                        "vcpus": one.type.vcpus,
                        "memory_mb": one.type.memory_mb,
                        "image": one.image.id,
                        "spot": one.spot,
                        "bid": one.bid,
                        "usd_per_hour": one.price,
                    }
                    for one in plan.nodes
                ],
            }
        )
        return
    output.table(
        f"'{plan.cluster}' in {plan.region}, zone {plan.subnet.zone}; nothing has been made.",
        ("node", "type", "vCPUs", "memory", "market", "price now"),
        [
            (
                one.alias,
                one.type.name,
                str(one.type.vcpus),
                f"{one.type.memory_mb / 1024:g} GiB",
                one.market,
                output.dollars(one.price),
            )
            for one in plan.nodes
        ],
    )
    for image in dict.fromkeys(one.image for one in plan.nodes):
        output.out.print(f"Image: {image.id} {image.name}, login {image.login}")
    output.out.print(
        f"Also: a security group spotcluster-{plan.cluster} that lets this computer reach SSH."
    )
    for volume in plan.volumes:
        new = ", new: say --format" if volume.found.known_empty else ""
        output.out.print(f"The volume {volume} on the master: {volume.settings.mount_path}{new}")
    for one in plan.returning:
        output.out.print(f"Comes back with its disk: {one.alias}, {one.type}, {one.id}")
    together = "Together, without what comes back" if plan.returning else "Together"
    output.out.print(f"{together}: {output.dollars(plan.price)}")


def show_result(session: Session, result: Result, *, as_json: bool) -> int:
    """Print what came of start or addnode, and conclude it; return the exit status."""
    try:
        return _show_result(session, result, as_json=as_json)
    finally:
        result.conclude()


def _show_result(session: Session, result: Result, *, as_json: bool) -> int:
    from spotcluster.cluster import listing

    cluster = result.cluster
    region = f"-r {session.region} "
    price = listing.hourly(session, tuple(node.instance for node in cluster.nodes))
    if as_json:
        output.document(
            {
                "cluster": cluster.name,
                "region": session.region,
                "elapsed": round(result.elapsed, 2),
                "phases": {name: round(took, 2) for name, took in result.phases.items()},
                "ready": [node.alias for node in result.nodes],
                "engines": result.engines,
                "usd_per_hour": price,
                "nodes": [node.alias for node in cluster.nodes],
                "failed": {member.alias: str(member.error) for member in result.failed},
                "troubles": result.troubles,
                "log_files": {
                    one.alias: str(one.log_file)
                    for member in result.members
                    for one in member.failures
                    if one.log_file
                },
            }
        )
        return 1 if result.failed or result.troubles else 0
    for steps, nodes in result.left_out.items():
        output.out.print(f"Left out on {', '.join(nodes)}, where it cannot be done: {steps}.")
    phases = ", ".join(
        f"{name} {took:.1f} s" for name, took in result.phases.items() if took >= 0.05
    )
    if result.nodes:
        output.out.print(
            f"{len(result.nodes)} node(s) with {result.engines} engine(s) are ready after"
            f" {result.elapsed:.1f} s ({phases}).\n"
            f"'{cluster.name}' has {len(cluster.nodes)} node(s): {output.dollars(price)}."
        )
    if result.failed:
        raise SpotclusterError(
            f"{len(result.failed)} of {len(result.members)} nodes did not get ready:"
            f" {', '.join(member.alias for member in result.failed)}.",
            f"`spotcluster {region}start {cluster.name}` tries again with the template it has;"
            f" to correct the config first, `spotcluster {region}terminate {cluster.name}`.",
        )
    if result.troubles:
        raise SpotclusterError(
            "\n".join(result.troubles),
            f"The cluster can be used without; `spotcluster {region}start {cluster.name}` tries"
            " again to mount what is not mounted.",
        )
    output.out.print(
        f"  spotcluster {region}sshmaster {cluster.name}      log in\n"
        f"  spotcluster {region}addnode -s 1 {cluster.name}   make it larger\n"
        f"  spotcluster {region}terminate {cluster.name}      end the bill"
    )
    return 0


@contextmanager
def nothing_done_yet(name: str) -> Iterator[None]:
    """Say so to whoever interrupts while a cluster is still looked for, or answers with no."""
    try:
        yield
    except (KeyboardInterrupt, click.Abort, click.exceptions.Exit):
        output.err.print(f"Nothing of '{name}' was changed.")
        raise


def say_what_exists(session: Session, name: str, going_on: str | None = None) -> None:
    """After an interrupt: what is there now, and the commands that end it and go on with it.

    Parameters
    ----------
    going_on : str, optional
        The command that goes on, `start` by default; empty where it is the one that ends it.
    """
    from spotcluster.cluster import end

    try:
        left = end.remains(session, name)
        there = f"Of '{name}' there is now {left}." if left else ""
    except SpotclusterError as error:
        there = f"EC2 does not tell what there is of '{name}' now: {error.message}"
    if not there:
        output.err.print(f"Nothing of '{name}' exists.")
        return
    output.err.print(f"{there}\n  spotcluster -r {session.region} terminate {name}   ends it")
    if going_on is None:
        going_on = f"start {name}    "
    if going_on:
        output.err.print(f"  spotcluster -r {session.region} {going_on}   goes on with it")


def _session_with(context: Context, name: str) -> Session:
    """Return the session of the region that has something of the cluster `name`."""
    from spotcluster.cluster import end

    sessions = context.sessions(
        name, check_plugins=False
    )  # a broken plugin must not keep a cluster
    refused: SpotclusterError | None = None
    for session in sessions:
        try:
            if end.remains(session, name):
                return session
        except SpotclusterError as error:
            refused = error
    if refused:
        raise refused
    places = ", ".join(session.region for session in sessions)
    raise ClusterError(
        f"There is no cluster '{name}' in {places}.",
        "`spotcluster listclusters` shows those there are; -r looks in another region.",
    )
