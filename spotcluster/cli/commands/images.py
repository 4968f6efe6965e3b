"""ebsimage, listimages, removeimage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spotcluster.cli import output
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.interrupts import nothing_done_yet, say_what_exists
from spotcluster.cli.options import cluster_argument, json_option, node_argument, yes_option
from spotcluster.errors import CloudError

if TYPE_CHECKING:
    from spotcluster.aws.own_images import OwnImage


@click.command(
    epilog="""\b
Examples:
  spotcluster ebsimage mycluster node001 tools
  spotcluster ebsimage mycluster tools          of the master
"""
)
@cluster_argument()
@node_argument("words", nargs=-1, required=True, metavar="[ALIAS] IMAGE")
@json_option
@pass_context
def ebsimage(context: Context, name: str, words: tuple[str, ...], *, as_json: bool) -> int:
    """Make an image of a node that is set up; clusters with NODE_IMAGE_ID = IMAGE:latest boot it.

    The node goes on working. A copy of its disk is booted for some minutes and cleaned of keys,
    tokens, histories and all that is the cluster's; what else is on the disk is in the image too.
    Without ALIAS it is the master's. The first image of a name is IMAGE:1, the next IMAGE:2.
    """
    from spotcluster.cluster.lifecycle import bake

    if len(words) > 2:
        raise click.UsageError("NAME, ALIAS and IMAGE are all that it takes.")
    *alias, image = words
    with nothing_done_yet(name):
        found = context.cluster(name)
    try:
        with output.progress() as reporter:
            found.reporter = reporter
            made = bake.bake(found, alias[0] if alias else "master", image)
    except (KeyboardInterrupt, CloudError):
        say_what_exists(found.session, name, f"ebsimage {name} {' '.join(words)}")
        raise
    finally:
        found.close()
    if as_json:
        output.document(_plain(made))
        return 0
    output.out.print(
        f"Made the image {made.full_name} ({made.id}): {made.size} GiB,"
        f" {'encrypted' if made.encrypted else 'not encrypted'}, {_content(made)}."
    )
    output.out.print(
        f"  NODE_IMAGE_ID = {made.name}:latest   in the section of a cluster: its nodes boot"
        f" from it\n  spotcluster -r {found.region} removeimage {made.full_name}   ends what its"
        " snapshot costs",
    )
    return 0


@click.command(epilog="Example: spotcluster -r us-east-1 listimages")
@json_option
@pass_context
def listimages(context: Context, *, as_json: bool) -> None:
    """List the images of this account; without NODE_IMAGE_ID nodes boot Ubuntu 24.04."""
    from spotcluster.aws import inventory, own_images

    session = context.session()
    found = inventory.own_images(session)
    baked = {one.id: one for one in own_images.all_of(session)}
    if as_json:
        output.document(
            [
                {
                    "id": one.id,
                    "name": one.name,
                    "architecture": one.architecture,
                    "created": one.created,
                    **(_plain(baked[one.id]) if one.id in baked else {}),
                }
                for one in found
            ]
        )
        return
    if not found:
        output.err.print(f"There are no images in {session.region}.")
        return
    output.table(
        "",
        ("image", "id", "architecture", "created", "state", "size", "what it has"),
        [
            (
                _called(baked[one.id]) if one.id in baked else one.name,
                one.id,
                one.architecture,
                one.created,
                *(
                    (
                        baked[one.id].state,
                        f"{baked[one.id].size} GiB",
                        _content(baked[one.id]) if baked[one.id].version else "",
                    )
                    if one.id in baked
                    else ("", "", "")
                ),
            )
            for one in found
        ],
    )


@click.command(epilog="Example: spotcluster removeimage tools:1")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...")
@yes_option
@pass_context
def removeimage(context: Context, names: tuple[str, ...], *, yes: bool) -> int:
    """Remove images that `ebsimage` made, with their snapshots.

    IMAGE is tools:3 or tools:latest; tools alone is all of that name, and what an `ebsimage` that
    was cut off has left.
    """
    from spotcluster.cluster.lifecycle import bake

    session = context.session()
    for name in dict.fromkeys(names):
        found, rest = bake.find(session, name)
        what = [f"{_called(one)} ({one.id}, {one.size} GiB)" for one in found]
        users = bake.users(session, found)
        used = f" New nodes of {', '.join(users)} could not be made then." if users else ""
        output.confirm(
            f"Remove {', '.join([*what, *rest])}, in {session.region}?{used}",
            yes=yes,
        )
        bake.remove(session, found, rest)
        output.out.print(f"Removed {', '.join([*what, *rest])}.")
    return 0


def _called(one: OwnImage) -> str:
    """Return what an image is called; what is made on the way to one is said to be that."""
    return one.full_name if one.version else f"{one.name}, a copy of a node"


def _content(one: OwnImage) -> str:
    """Return what an image has in words."""
    if not one.packages:
        return "no packages"
    took = f" that took {one.took:.0f} s to install" if one.took else ""
    return f"Python {one.python} and {len(one.packages)} packages{took}"


def _plain(one: OwnImage) -> dict[str, object]:
    """Return an image as plain values for ``--json``."""
    return {
        "id": one.id,
        "image": one.name,
        "version": one.version,
        "state": one.state,
        "architecture": one.architecture,
        "size_gb": one.size,
        "encrypted": one.encrypted,
        "created": one.created.isoformat() if one.created else None,
        "snapshots": list(one.snapshots),
        "base": one.base or None,
        "python": one.python or None,
        "packages": list(one.packages),
        "install_seconds": one.took or None,
    }
