"""spothistory."""

from __future__ import annotations

from dataclasses import asdict

import click

from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.errors import ClusterError


@click.command(
    epilog="""\b
Examples:
  spotcluster -r us-west-1 spothistory c5.xlarge
  spotcluster -r local spothistory c5.xlarge m5.large -d 7
"""
)
@click.argument("types", nargs=-1, required=True, metavar="TYPE...")
@click.option(
    "-d",
    "--days",
    type=click.FloatRange(min=0, min_open=True, max=90),
    default=30.0,
    show_default=True,
    help="How far back; EC2 keeps 90 days.",
)
@click.option("-z", "--zone", metavar="ZONE", help="One zone only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@pass_context
def spothistory(
    context: Context, types: tuple[str, ...], *, days: float, zone: str | None, as_json: bool
) -> int:
    """Show spot prices: now, the highest, and the average over time, by zone."""
    from spotcluster.aws import instance_types, prices

    session = context.session()
    instance_types.describe(session, types)
    found = {name: prices.spot_history(session, name, days=days, zone=zone) for name in types}
    if as_json:
        output.document({name: [asdict(one) for one in zones] for name, zones in found.items()})
        return 0
    for name, zones in found.items():
        if not zones:
            raise ClusterError(
                f"{session.region} has no spot prices of {name} in the last {days:g} days"
                + (f" in zone {zone}." if zone else "."),
                "Choose another type or zone.",
            )
        rows = [
            (one.zone, f"${one.current:.4f}", f"${one.maximum:.4f}", f"${one.average:.4f}")
            for one in zones
        ]
        columns = ("zone", "current price", "max price", "average price")
        output.table(f"{name} in {session.region}, last {days:g} days, per hour", columns, rows)
    return 0
