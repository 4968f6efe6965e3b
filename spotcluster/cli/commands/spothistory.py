"""spothistory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import json_option
from spotcluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spotcluster.aws.instance_types import InstanceType
    from spotcluster.aws.prices import ZoneHistory


@click.command(
    epilog="""\b
Examples:
  spotcluster -r us-west-1 spothistory c5.xlarge
  spotcluster -r local spothistory c5.xlarge m5.large -d 7
  spotcluster spothistory c5.xlarge --plot
  spotcluster spothistory c5.xlarge --plot prices.png
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
@click.option(
    "-p",
    "--plot",
    "wanted_plot",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Draw the prices over time, into a PNG or SVG; without FILE it is shown.",
)
@json_option
@pass_context
def spothistory(
    context: Context,
    types: tuple[str, ...],
    *,
    days: float,
    zone: str | None,
    wanted_plot: str | None,
    as_json: bool,
) -> None:
    """Show spot prices: now, the highest, and the average over time, by type and zone.

    Types and zones stand side by side, the cheapest vCPU first, as that is what a search pays for.
    Prices are in USD per hour; the saving is that on the price on demand.
    """
    from spotcluster.aws import instance_types, prices
    from spotcluster.cli import pictures

    plot = None if wanted_plot is None else Path(wanted_plot or pictures.own_file("spothistory"))
    if plot is not None:
        pictures.check_picture(plot)
    session = context.session()
    wanted = list(dict.fromkeys(types))
    known = instance_types.describe(session, wanted)
    found = {name: prices.spot_history(session, name, days=days, zone=zone) for name in wanted}
    for name, zones in found.items():
        if not zones:
            raise ClusterError(
                f"{session.region} has no spot prices of {name} in the last {days:g} days"
                + (f" in zone {zone}." if zone else "."),
                "Choose another type or zone.",
            )
    fixed = {name: prices.on_demand(session, name) for name in wanted}
    if plot is not None:
        pictures.spot_prices(plot, session.region, found, days, fixed)
    if as_json:
        output.document(
            {
                name: [_plain(one, known[name], fixed[name]) for one in zones]
                for name, zones in found.items()
            }
        )
    else:
        _show(session.region, found, known, fixed, days)
    if plot is not None:
        shown = not wanted_plot and pictures.show(plot)
        output.err.print(f"The picture is {plot}{', and is shown.' if shown else ''}")


def _show(
    region: str,
    found: Mapping[str, Sequence[ZoneHistory]],
    known: Mapping[str, InstanceType],
    fixed: Mapping[str, float | None],
    days: float,
) -> None:
    pairs = [(known[name], one) for name, zones in found.items() for one in zones]
    pairs.sort(key=lambda pair: (pair[1].current / pair[0].vcpus, pair[0].name, pair[1].zone))
    output.table(
        f"Spot prices in {region}, last {days:g} days, USD per hour",
        _COLUMNS,
        [
            (
                *(kind.name, one.zone, f"{one.current / kind.vcpus:.4f}", f"{one.current:.4f}"),
                *(f"{one.maximum:.4f}", f"{one.average:.4f}", _dollars(fixed[kind.name])),
                output.percent(_saving(one, fixed[kind.name])),
                *(str(kind.vcpus), f"{kind.memory_mb / 1024:g}"),
            )
            for kind, one in pairs
        ],
        keys=2,
    )
    if len(found) == 1:  # in StarCluster's words
        (zones,) = found.values()
        cheapest = min(zones, key=lambda one: one.current)
        average = sum(one.average for one in zones) / len(zones)
        output.out.print(f"Current price: ${cheapest.current:.4f} in {cheapest.zone}")
        output.out.print(f"Max price: ${max(one.maximum for one in zones):.4f}")
        output.out.print(f"Average price: ${average:.4f}")


_COLUMNS = (
    *("type", "zone", "per vCPU", "now", "max", "average", "on demand", "saving"),
    *("vCPUs", "GiB"),
)


def _dollars(price: float | None) -> str:
    return "" if price is None else f"{price:.4f}"


def _saving(one: ZoneHistory, fixed: float | None) -> float | None:
    return 1 - one.current / fixed if fixed else None


def _plain(one: ZoneHistory, kind: InstanceType, fixed: float | None) -> dict[str, Any]:
    return {
        "zone": one.zone,
        "current": one.current,
        "maximum": one.maximum,
        "average": one.average,
        "usd_per_vcpu_hour": one.current / kind.vcpus,
        "on_demand": fixed,
        "saving": _saving(one, fixed),
        "vcpus": kind.vcpus,
        "memory_mb": kind.memory_mb,
        "changes": [[when.isoformat(), price] for when, price in one.changes],
    }
