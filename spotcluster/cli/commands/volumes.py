"""createvolume, listvolumes, resizevolume, removevolume."""

from __future__ import annotations

import click

from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.interrupts import to_go_on
from spotcluster.cli.options import json_option, yes_option
from spotcluster.errors import SpotclusterError

_TYPES = ("gp3", "gp2", "st1", "sc1")


@click.command(
    epilog="""\b
Examples:
  spotcluster createvolume 100 --name data
  spotcluster createvolume 100 us-east-1a -n data
  spotcluster createvolume --snapshot snap-0123456789abcdef0 -n copy
"""
)
@click.argument("size", type=int, required=False)
@click.argument("zone", required=False)
@click.option("-n", "--name", default="", metavar="NAME", help="What it is called from now on.")
@click.option(
    "--snapshot", metavar="ID", help="Begin with what a snapshot holds; SIZE may be left out then."
)
@click.option(
    "-t",
    "--type",
    "kind",
    type=click.Choice(_TYPES),
    default="gp3",
    show_default=True,
    help="What it is made of.",
)
@click.option(
    "--kms-key",
    metavar="KEY",
    help="The key of KMS that it is encrypted with: ARN, id or alias; by default KMS_KEY of the"
    " default template, or the account's usual one.",
)
@json_option
@pass_context
def createvolume(
    context: Context,
    *,
    size: int | None,
    zone: str | None,
    name: str,
    snapshot: str | None,
    kind: str,
    kms_key: str | None,
    as_json: bool,
) -> int:
    """Create an EBS volume of SIZE GiB, encrypted; clusters that use it go to its zone.

    Without ZONE it is made where a cluster of the default template would be. It is formatted when
    a cluster mounts it for the first time.
    """
    from spotcluster.cluster.volumes import catalogue

    session, config = context.session(), context.config()
    try:
        made = catalogue.create(
            *(session, name),
            size=size,
            zone=zone,
            snapshot=snapshot,
            kind=kind,
            config=config,
            key=kms_key,
        )
    except KeyboardInterrupt:
        output.err.print(
            f"`spotcluster -r {session.region} listvolumes` shows whether it has been made."
        )
        raise
    if as_json:
        output.document(catalogue.Listed(made, "", "", "").as_json())
        return 0
    output.out.print(f"Created the volume {made}: {made.size} GiB in {made.zone}.")
    output.out.print(
        f"  [volume {name or 'data'}]\n  VOLUME_ID = {made.id}\n  MOUNT_PATH = /{name or 'data'}\n"
        f"and, in the section of the cluster, VOLUMES = {name or 'data'}",
    )
    return 0


@click.command(epilog="Example: spotcluster listvolumes --json")
@json_option
@pass_context
def listvolumes(context: Context, *, as_json: bool) -> int:
    """List volumes, and who has them; the disks that come and go with nodes are left out."""
    from spotcluster.cluster.volumes import catalogue

    session = context.session()
    found = catalogue.listed(session)
    if as_json:
        output.document([one.as_json() for one in found])
        return 0
    if not found:
        output.out.print(f"There are no volumes in {session.region}.")
        return 0
    output.table(
        "",
        ("name", "id", "size", "type", "state", "zone", "attached to", "mount path"),
        [
            (
                one.volume.name,
                one.volume.id,
                f"{one.volume.size} GiB",
                one.volume.type,
                one.volume.state,
                one.volume.zone,
                f"{one.cluster}/{one.alias}" if one.cluster else one.volume.instance,
                one.mount,
            )
            for one in found
        ],
    )
    return 0


@click.command(epilog="Example: spotcluster resizevolume data 200")
@click.argument("volume")
@click.argument("size", type=int)
@pass_context
def resizevolume(context: Context, volume: str, *, size: int) -> int:
    """Make a volume larger, to SIZE GiB, and its file system too; what runs on it goes on.

    VOLUME is its name or its id. The file system of a volume that is not mounted now grows when a
    cluster mounts it next. Where a kernel does not let one grow while it is mounted, it is
    unmounted for a moment if nothing uses it, and you are told if something does.
    """
    from spotcluster.cluster.volumes import catalogue

    session = context.session()
    again = f"spotcluster -r {session.region} resizevolume {volume} {size}"
    with (
        to_go_on(f"`{again}` goes on where this stopped; nothing on the volume is lost."),
        output.progress() as reporter,
    ):
        before, mounted, trouble = catalogue.resize(
            session,
            volume,
            size,
            lambda name: context.cluster(name, region=session.region),
            reporter,
        )
    how = "has" if before.size == size else f"had {before.size} GiB and has"
    output.out.print(f"The volume {before} {how} {size} GiB.")
    if trouble:
        raise SpotclusterError(
            trouble,
            f"`spotcluster resizevolume {volume} {size}` tries again, and so does whatever mounts"
            " the volume next; nothing on it is lost.",
        )
    if mounted:
        output.out.print(
            f"Its {mounted.type} file system on {mounted.path} has {mounted.bytes / 2**30:.1f} GiB."
        )
    else:
        output.out.print("Its file system grows when a cluster mounts it next.")
    return 0


@click.command(epilog="Example: spotcluster removevolume data")
@click.argument("names", nargs=-1, required=True, metavar="VOLUME...")
@yes_option
@pass_context
def removevolume(context: Context, *, names: tuple[str, ...], yes: bool) -> int:
    """Delete volumes, with all that is on them; one that is attached is refused.

    VOLUME is its name or its id.
    """
    from spotcluster.aws.storage import ebs
    from spotcluster.cluster.volumes import catalogue

    session = context.session()
    found = [ebs.find(session, name) for name in dict.fromkeys(names)]
    for one in found:
        catalogue.check_removable(one)
    what = ", ".join(f"{one}, {one.size} GiB" for one in found)
    output.confirm(f"Delete {what}, in {session.region}, with all that is on it?", yes=yes)
    for one in found:
        ebs.delete(session, one.id)
        output.out.print(f"Deleted the volume {one}.")
    return 0
