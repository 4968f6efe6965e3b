"""local start, stop, status."""

from __future__ import annotations

from dataclasses import asdict

import click

from spotcluster.cli import output
from spotcluster.cli.groups import Group
from spotcluster.cli.options import json_option
from spotcluster.errors import LocalCloudError


@click.group(
    cls=Group,
    epilog="""\b
Examples:
  spotcluster -r local start -s 3 mycluster   on this computer
  spotcluster local status                    how the AWS command line reaches it
  spotcluster local stop
""",
)
def local() -> None:
    """The local cloud: EC2 on this computer, for trying things out; region `local`."""


@local.command(epilog="Example: spotcluster local start")
def start() -> int:
    """Start it (it also starts by itself when it is first used)."""
    from spotcluster import local as cloud

    endpoint = cloud.start()
    output.out.print(f"The local cloud runs at {endpoint.url}.")
    return 0


@local.command(epilog="Example: spotcluster local stop")
def stop() -> int:
    """Stop it, with every host and every process of theirs; their files are kept."""
    from spotcluster import local as cloud

    was_running = cloud.status().running
    cloud.stop()
    output.out.print(
        "The local cloud has stopped." if was_running else "The local cloud was not running."
    )
    return 0


@local.command(epilog="Example: spotcluster local status --json")
@json_option
def status(*, as_json: bool) -> int:
    """Show whether it runs, its hosts, and how other programs reach it."""
    from spotcluster import local as cloud

    seen = cloud.status()
    if as_json:
        output.document(asdict(seen))
        return 0
    if seen.crashed:
        raise LocalCloudError(
            "The local cloud ended without being stopped: it crashed, or the computer restarted.",
            "`spotcluster local start` brings it back with its instances;"
            " `spotcluster local stop` ends what is left of it.",
        )
    if not seen.running:
        output.out.print("The local cloud is not running; it starts when it is first used.")
        return 0
    output.out.print(f"The local cloud runs at {seen.url} (process {seen.pid}).")
    output.out.print("Other programs, such as `aws ec2 describe-instances`, reach it with:")
    for line in seen.environment_lines:
        output.out.print(f"  {line}")
    if not seen.hosts:
        output.out.print("It has no hosts.")
        return 0
    output.table(
        "",
        ("host", "instance", "state", "type", "market", "address", "processes"),
        [
            (
                one.name,
                one.id,
                one.state,
                one.instance_type,
                one.lifecycle,
                f"{one.address}:{one.port}",
                str(one.processes),
            )
            for one in seen.hosts
        ],
    )
    return 0
