"""listclusters, costs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from spotcluster import files, wording
from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import cluster_argument, json_option
from spotcluster.errors import NoSuchCluster, UsageError

if TYPE_CHECKING:
    from spotcluster.cluster.status.listing import Listed


@click.command(epilog="Example: spotcluster listclusters --json")
@cluster_argument("names", nargs=-1, metavar="[NAME...]")
@json_option
@pass_context
def listclusters(context: Context, names: tuple[str, ...], *, as_json: bool) -> int:
    """List clusters: state, nodes, uptime, price per hour, and cost so far.

    The cost is about what EC2 charges for the instances, those that have ended too, and their own
    disks; volumes and traffic are not in it.
    """
    from spotcluster.cluster.status import events, listing

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
        raise NoSuchCluster(sorted(missing), looked_in, (one.name for one in found))
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
    elif not found:
        output.out.print(f"There are no clusters in {places}.")
    else:
        for one in found:
            _show(one)
    events.tell_all(sessions, found, context.hook)
    return status


def _left(one: Listed) -> str:
    """Return what there still is of a cluster that has ended by itself, and what it costs."""
    kept = [node.alias for node in one.nodes if node.state in ("stopping", "stopped")]
    what = f"the disk of {', '.join(kept)} costs money" if kept else "nothing of it costs money"
    when = f" on {one.ended.ended:%Y-%m-%d at %H:%M} UTC" if one.ended and one.ended.ended else ""
    then = "brings it back" if kept else "starts it anew"
    spent = ""
    if (receipt := one.receipt) and receipt.usd is not None:
        most, why = ("at most ", f": {receipt.at_most}") if receipt.at_most else ("", "")
        spent = f" It cost {most}${receipt.usd:.2f}{why}."
    was = "was idle, or at its ceiling," if one.budget or one.max_hours else "was idle"
    return (
        f"'{one.name}' {was} and ended by itself{when}; {what}.{spent}"
        f" `spotcluster start {one.name}` {then}, `spotcluster terminate {one.name}` takes away"
        " what is left."
    )


def _show(one: Listed) -> None:
    from spotcluster.aws import tags
    from spotcluster.cluster.status import events, listing

    idle = f", ends after {wording.time_left(one.idle_limit)} idle" if one.idle_limit else ""
    kept = ", keeps itself" if one.keeps_itself else ""
    up = f", up {listing.uptime(one.up_since)}" if one.up_since else ""
    output.table(
        f"{one.name}: {one.state}, {listing.counted(one.nodes, one.size)} in {one.region}"
        f"{up}, {output.dollars(one.price)}, {wording.spent(one.cost)}{idle + kept if up else ''}",
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
    for copy in one.copies:
        output.out.print(
            f"{copy.id} is a copy of a node that becomes the image '{copy.tags.get(tags.IMAGE)}';"
            " where no `ebsimage` is at it any more,"
            f" `spotcluster removeimage {copy.tags.get(tags.IMAGE)}` ends it."
        )
    if one.ended or one.receipt:
        output.out.print(_left(one))
        return
    if one.state == "incomplete":
        output.out.print(listing.what_mends(one.name, one.region))
    for event in events.near_ceiling(one):
        output.out.print(event.text)


def _length(_context: click.Context, _parameter: click.Parameter, text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,4})(h|d|w)", text)
    if found is None:
        raise UsageError(
            f"--since {text}: that is no length of time.",
            "Give hours, days or weeks: 12h, 30d, 8w.",
        )
    names = {"h": "hours", "d": "days", "w": "weeks"}
    return timedelta(**{names[found[2]]: int(found[1])})


@click.command(
    epilog="""\b
Examples:
  spotcluster costs
  spotcluster costs mycluster --since 8w --json
"""
)
@cluster_argument(required=False)
@click.option(
    "--since",
    default="30d",
    show_default=True,
    callback=_length,
    metavar="TIME",
    help="How far back clusters that have ended are shown: 12h, 30d, 8w.",
)
@json_option
@pass_context
def costs(context: Context, name: str | None, *, since: timedelta, as_json: bool) -> int:
    """List what clusters cost, those that have ended too, from any computer with the credentials.

    What has ended is as its receipt says, which `terminate` keeps in the account; what is there has
    cost about that so far. Volumes and traffic are not in it.
    """
    from spotcluster.api import costs as found_costs
    from spotcluster.cluster.status import events

    sessions = context.sessions(*([name] if name else []))
    found = found_costs.of(sessions, name, since)
    running, ended = found.running, found.ended
    for region, error in found.refused.items():
        output.error(f"{region} could not be looked in: {error.message}")
    if name and not (running or ended or found.refused):
        raise UsageError(
            f"There is nothing that cost anything of '{name}'.",
            "`spotcluster costs` shows what did; --since looks further back, -r in another region.",
        )
    if as_json:
        output.document(
            {
                "running": [one.as_json() for one in running],
                "ended": [one.as_json() for one in ended],
            }
        )
    elif not (running or ended):
        output.out.print("There is nothing that cost anything.")
    else:
        rows = [
            (one.name, one.region, one.state, f"{one.created:%Y-%m-%d %H:%M}", _usd(one.cost), "")
            for one in running
        ]
        rows += [
            (
                one.name,
                one.region,
                f"ended {one.ended:%Y-%m-%d %H:%M}",
                f"{one.created:%Y-%m-%d %H:%M}",
                f"{'at most ' if one.at_most else ''}{_usd(one.usd)}",
                output.percent(one.saving),
            )
            for one in ended
        ]
        heads = ("cluster", "region", "state", "created", "cost", "saved")
        output.table("What clusters cost, times in UTC:", heads, rows)
        reasons = dict.fromkeys(f"{one.name}: {one.at_most}." for one in ended if one.at_most)
        for reason in reasons:
            output.out.print(reason)
    events.tell_all(sessions, running, context.hook)
    return 1 if found.refused else 0


def _usd(cost: float | None) -> str:
    return "unknown" if cost is None else f"${cost:.2f}"
