"""listclusters."""

from __future__ import annotations

import click

from spotcluster import files
from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import json_option
from spotcluster.errors import ClusterError


@click.command(epilog="Example: spotcluster listclusters --json")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@json_option
@pass_context
def listclusters(context: Context, names: tuple[str, ...], *, as_json: bool) -> int:
    """List clusters: state, nodes, uptime, price per hour, and cost so far.

    The cost is about what EC2 charges for the instances, those that have ended too, and their own
    disks; volumes and traffic are not in it.
    """
    from spotcluster.cluster.status import listing

    sessions = context.sessions(*names)
    found, refused = listing.everywhere(sessions)
    if len(refused) == len(sessions):
        raise next(iter(refused.values()))
    looked_in = [one.region for one in sessions if one.region not in refused]
    places = ", ".join(looked_in)
    missing = set(names) - {one.name for one in found}
    if names and not missing:
        refused = {}  # nothing is left to be found there
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
            f"{one.name}: {one.state}, {listing.counted(one.nodes, one.size)} in {one.region}"
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
