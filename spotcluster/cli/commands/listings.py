"""listregions, listzones, listinstances, listspots, showconsole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import click

from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.options import cluster_argument, json_option, node_argument


@click.command(epilog="Example: spotcluster listregions --json")
@json_option
@pass_context
def listregions(context: Context, *, as_json: bool) -> None:
    """List the regions that this account may use, and the local cloud."""
    from spotcluster.aws import inventory

    found = inventory.regions(context.session())
    if as_json:
        output.document(found)
    else:
        output.table("", ("region",), [(name,) for name in found])


@click.command(epilog="Example: spotcluster listzones -r eu-west-1")
@click.option("-r", "--region", metavar="REGION", help="As -r before the command.")
@json_option
@pass_context
def listzones(context: Context, *, region: str | None, as_json: bool) -> None:
    """List the availability zones of a region."""
    from spotcluster.aws import inventory

    context.region = region or context.region
    session = context.session()
    _show("zones", session.region, inventory.zones(session), as_json=as_json)


@click.command(epilog="Example: spotcluster -r us-east-1 listinstances")
@json_option
@pass_context
def listinstances(context: Context, *, as_json: bool) -> None:
    """List all instances of a region, those that we did not start too."""
    from spotcluster.aws import inventory

    session = context.session()
    _show("instances", session.region, inventory.instances(session), as_json=as_json)


@click.command(epilog="Example: spotcluster -r us-east-1 listspots --json")
@json_option
@pass_context
def listspots(context: Context, *, as_json: bool) -> None:
    """List the spot requests of a region."""
    from spotcluster.aws import inventory

    session = context.session()
    _show("spot requests", session.region, inventory.spot_requests(session), as_json=as_json)


@click.command(
    epilog="""\b
Examples:
  spotcluster showconsole mycluster
  spotcluster showconsole mycluster node001
  spotcluster showconsole i-0abcdef1234567890
"""
)
@cluster_argument(metavar="NAME|INSTANCE")
@node_argument(required=False)
@pass_context
def showconsole(context: Context, name: str, alias: str | None) -> None:
    """Show what a node has written to its console; the master's without ALIAS.

    Nodes that are stopped, or ended less than an hour ago, have one too.
    """
    from spotcluster.cluster.status import consoles

    found = consoles.read(context.sessions(name), name, alias)
    if not found.text:
        output.err.print(
            f"EC2 has nothing of the console of {found.who} yet: it takes some minutes after"
            " a start, and after an end it is gone within the hour."
        )
        return
    click.echo(found.text)


def _show(what: str, region: str, found: Sequence[Any], *, as_json: bool) -> None:
    """Print things with the same fields: a column for each field."""
    if as_json:
        output.document(
            [{name: _plain(value) for name, value in asdict(one).items()} for one in found]
        )
        return
    if not found:
        output.err.print(f"There are no {what} in {region}.")
        return
    names = [field.name for field in fields(found[0])]
    output.table("", names, [[_cell(name, getattr(one, name)) for name in names] for one in found])


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _cell(name: str, value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M")
    if name == "bid":
        return "" if value is None else f"${value:.4f}/h"
    return "" if value is None else str(value)
