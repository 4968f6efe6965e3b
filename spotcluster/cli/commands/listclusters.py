"""listclusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spotcluster import files, wording
from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import json_option
from spotcluster.errors import ClusterError

if TYPE_CHECKING:
    from spotcluster.cluster.status.listing import Listed


@click.command(epilog="Example: spotcluster listclusters --json")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@json_option
@pass_context
def listclusters(context: Context, names: tuple[str, ...], *, as_json: bool) -> int:
    """List clusters: state, nodes, uptime, price per hour, and cost so far.

    The cost is about what EC2 charges for the instances, those that have ended too; disks and
    traffic are not in it.
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
        _show(one)
    return status


def _left(one: Listed) -> str:
    """Return what there still is of a cluster that has ended by itself, and what it costs."""
    kept = [node.alias for node in one.nodes if node.state in ("stopping", "stopped")]
    what = f"the disk of {', '.join(kept)} costs money" if kept else "nothing of it costs money"
    when = f" on {one.ended.ended:%Y-%m-%d at %H:%M} UTC" if one.ended and one.ended.ended else ""
    then = "brings it back" if kept else "starts it anew"
    return (
        f"'{one.name}' was idle and ended by itself{when}; {what}."
        f" `spotcluster start {one.name}` {then}, `spotcluster terminate {one.name}` takes away"
        " what is left."
    )


def _show(one: Listed) -> None:
    from spotcluster.cluster.status import listing

    idle = f", ends after {wording.time_left(one.idle_limit)} idle" if one.idle_limit else ""
    up = f", up {listing.uptime(one.up_since)}" if one.up_since else ""
    output.table(
        f"{one.name}: {one.state}, {listing.counted(one.nodes, one.size)} in {one.region}"
        f"{up}, {output.dollars(one.price)}, {output.spent(one.cost)}{idle if up else ''}",
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
    if one.ended:
        output.out.print(_left(one))
