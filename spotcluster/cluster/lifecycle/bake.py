"""An image of a node that is set up, by way of a copy that is cleaned of what is its cluster's.

The node itself is not touched and goes on working; EC2 takes its disk as it is at one moment, after
a `sync`, without a reboot. Its file system is not frozen: what an image is made for, installed
packages, was written long before; a root that is frozen locks out whoever is to thaw it; and the
copy below boots from that disk and is shut down in order, so that what is taken of it is whole.

Secrets must not be in an image, and must not ever have been. Three ways were weighed:

-   To make the image and clean it at first boot leaves them in its snapshot, for all who may read
    that.
-   To copy the files without them to an empty volume, on the node, needs no other machine, but a
    root login, partitions and a boot loader for each distribution, and a device of the node's.
-   To boot a copy, have it clean itself, and make the image of that: some minutes of an instance,
    and the same for every image that boots. This is what is done here.

The raw copy is a thing of the cluster: encrypted as its disks are, tagged in the call that makes
it, without a version, so that nothing boots from it. The copy of the machine is told by its user
data not to act as the node did, and ends itself within the hour. What was secret on it is
collected in its memory first; files are written over before they are unlinked, and what had been
deleted before with zeros; then it looks for every secret in all files, and where one is found no
image is made. An image has a version from the call that makes it, and that is made of the clean
disk only.

Killed after any call, repeating converges: things of a name are found by their tags, and each has
the run that it is of. Where that run's image is there, it is waited for; all else of it is cleared
away and begun anew. `terminate` ends what is left of a cluster's, `removeimage` of a name's.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass

from spotcluster import node_layout, ssh, templates
from spotcluster.aws import images, instances, network, own_images, tags, volumes
from spotcluster.aws.instances import Instance
from spotcluster.aws.launching.asked import Launch, RootDisk
from spotcluster.aws.own_images import OwnImage
from spotcluster.aws.session import Session
from spotcluster.cluster import records
from spotcluster.cluster.bringup import userdata
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.errors import CloudError, ClusterError, SpotclusterError, UsageError
from spotcluster.plugins import environment
from spotcluster.steps import Step

ALIAS = "image"
"""What the copy of a node is called where nodes are named by their aliases."""

_POLL = 1.0
_IMAGE_LIMIT = 3600.0  # EC2 takes minutes for a usual disk, and longer for one of terabytes
_CLEAN_LIMIT = 1800.0
_PACKAGES = 2000  # characters, which are eight of EC2's fifty tags


@dataclass(frozen=True)
class Content:
    """What an image has: the packages of its environment, and how long they took to install."""

    packages: tuple[str, ...] = ()
    python: str = ""
    took: str = ""

    def as_tags(self) -> dict[str, str]:
        """Return it as tags, as many packages as there is room for."""
        found = {tags.PYTHON: self.python, tags.TOOK: self.took}
        kept = list(self.packages)
        while len(json.dumps(kept)) > _PACKAGES:
            kept.pop()
        return {
            **{key: value for key, value in found.items() if value},
            **(tags.split_text(json.dumps(kept), tags.PACKAGES) if kept else {}),
        }


def bake(cluster: Cluster, alias: str, name: str) -> OwnImage:
    """Make an image of a node, and return it; its version follows that of the last of its name.

    Raises
    ------
    UsageError
        There is no such node, or that is no name.
    ClusterError
        The node is not set up, or a secret was left on the copy: then there is no image.
    CloudError
        EC2 refused, or took too long. Whatever fails, what was made for it is cleared away.
    """
    own_images.check_name(name)
    node = cluster.node(alias)
    if not node.instance.ready:
        raise ClusterError(
            f"The node {node.alias} of '{cluster.name}' is not set up.",
            f"`spotcluster start {cluster.name}` goes on with it.",
        )
    session = cluster.session
    try:
        made = _finish_or_clear(cluster, name)
    except BaseException as error:
        _note_left(cluster, name, error)
        raise
    if made:
        cluster.note(f"{made.full_name} is of a run that was cut off; it is complete now")
        return made
    run = secrets.token_hex(6)
    made_by = {
        **cluster.record.template.users_tags,
        tags.CLUSTER: cluster.name,
        tags.IMAGE: name,
        tags.BAKE: run,
    }
    try:
        return _bake(cluster, node, name, made_by)
    except BaseException:
        # Also where somebody has lost patience: what is paid by the hour ends first.
        try:
            _clear(session, name, [run], unfinished=True)
        except (SpotclusterError, KeyboardInterrupt) as error:
            _note_left(cluster, name, error)
        raise


def _note_left(cluster: Cluster, name: str, error: BaseException) -> None:
    cluster.note(
        f"what was made for it is still there ({error or 'interrupted'}): `spotcluster"
        f" removeimage {name}` or `spotcluster terminate {cluster.name}` ends it"
    )


def _bake(cluster: Cluster, node: Node, name: str, made_by: dict[str, str]) -> OwnImage:
    session, run = cluster.session, made_by[tags.BAKE]
    there = own_images.published(session, name)
    version = 1 + max((one.version or 0 for one in there), default=0)
    login = {tags.LOGIN: node.target.user}
    cluster.reporter.stage(ALIAS, "copying the disk")
    node.run("sync", what="writing all to the disk", timeout=120)
    raw = own_images.create(
        session,
        node.instance.id,
        f"spotcluster-{name}-copy-{run}",
        {**made_by, **login, "Name": f"{name} (copy of {cluster.name}, {node.alias})"},
        # EC2 would take the user's volumes too.
        without=[
            one.device
            for one in volumes.attached_to(session, [node.instance.id])
            if not one.of_a_node
        ],
    )
    own_images.wait(session, raw, timeout=_IMAGE_LIMIT)
    cluster.reporter.stage(ALIAS, "launching the copy")
    copy = _launch(cluster, node, images.describe(session, raw), made_by)
    content = _clean(cluster, copy)
    cluster.reporter.stage(ALIAS, "stopping the copy")
    instances.stop(session, [copy.id])
    _wait(cluster, copy.id, "stopped")
    cluster.reporter.stage(ALIAS, "making the image")
    made = own_images.create(
        session,
        copy.id,
        f"spotcluster-{name}-{version}",
        {
            **cluster.record.template.users_tags,
            tags.IMAGE: name,
            tags.BAKE: run,
            tags.VERSION: str(version),
            tags.BASE: _base(session, node),
            "Name": f"{name}:{version}",
            **login,
            **content.as_tags(),
        },
        description=f"{name}:{version}, of {node.alias} of {cluster.name}",
    )
    own_images.wait(session, made, timeout=_IMAGE_LIMIT)
    cluster.reporter.stage(ALIAS, "clearing away")
    _clear(session, name, [run])
    cluster.reporter.stage(ALIAS, "ready")
    return own_images.find(session, f"{name}:{version}")


def _launch(cluster: Cluster, node: Node, raw: images.Image, made_by: dict[str, str]) -> Instance:
    """Boot the copy, on demand, so that it can be stopped, and beside the node."""
    session, template = cluster.session, cluster.record.template
    host_key = ssh.keys.generate()
    boot = templates.read("image_boot.sh").encode()
    zone = node.instance.zone
    own_tags = {
        **made_by,
        tags.ALIAS: ALIAS,
        tags.ROLE: ALIAS,
        tags.HOST_KEY: ssh.keys.bare(host_key.public),
        tags.LOGIN: raw.login,
        tags.DISK: str(raw.root_gb),
        "Name": f"{cluster.name}-{ALIAS}",
    }
    if template.proxy_jump:
        own_tags[tags.JUMP] = template.proxy_jump
    subnet = network.find_subnet(session, template.subnet_id, zone, [zone])
    what = Launch(
        image=raw,
        type=node.instance.type,
        key_name=template.keyname,
        subnet_id=subnet.id,
        group_ids=(cluster.record.group_id,),
        user_data=userdata.build(host_key, [("spotcluster-image", boot)]),
        tags=own_tags,
        spot=False,
        bid=None,
        token=instances.token(cluster.record.run, made_by[tags.BAKE]),
        public_ip=template.public_ips is not False,
        disk=RootDisk(raw.root_gb, kms_key=template.kms_key),
        ipv6=subnet.ipv6,
    )
    made = instances.launch(session, what)
    return _wait(cluster, made.id, "running")


def _clean(cluster: Cluster, copy: Instance) -> Content:
    """Clean the copy, and look whether it is clean; return what the image has.

    Raises
    ------
    ClusterError
        It is not.
    """
    node = cluster.make_node(copy)
    limit = cluster.record.template.ssh_timeout
    cluster.reporter.stage(ALIAS, "SSH")
    try:
        node.wait_for_ssh(timeout=limit, should_stop=lambda: None)
        content = _content(node)
        cluster.reporter.stage(ALIAS, "cleaning the copy")
        whole = node.facts.sudo
        script = templates.script("image_clean.sh", whole=whole)
        user = "root" if whole else None
        step = Step(script, "cleaning the copy", timeout=_CLEAN_LIMIT, user=user)
        *found, said = node.run_each([step])[0].splitlines() or [""]
    finally:
        node.close()
    if found or said != "clean":
        raise ClusterError(
            f"No image has been made: secrets of '{cluster.name}' are in files of {copy.id} that"
            f" are not known to hold any: {', '.join(found) or said}.",
            "Delete those files on the node, or move what is secret below ~/.ssh, then repeat.",
        )
    return content


def _content(node: Node) -> Content:
    """Return what is in the environment of a node, where it has one."""
    asking = (
        f"if [ -x {node_layout.PYTHON} ]; then {node_layout.PYTHON} -I -S -c 'import sys;"
        ' print("%d.%d" % sys.version_info[:2])\'; fi\n'
        f"cat {node_layout.ENV}/took.txt 2>/dev/null || true\n"
    )
    steps = [
        environment.listing(node),
        Step(asking, "asking for its Python", user=node.account.name),
    ]
    listed, said = node.run_each(steps)
    versions = environment.Installed.read(listed).versions
    python, took, *_ = [*said.split(), "", ""]
    return Content(tuple(f"{one}=={versions[one]}" for one in sorted(versions)), python, took)


def _base(session: Session, node: Node) -> str:
    """Return the image that a node was made of, as far back as that is known."""
    image_id = instances.image_of(session, node.instance.id)
    try:
        found = images.describe(session, image_id)
    except CloudError:
        return image_id  # it has been removed since
    return found.tags.get(tags.BASE) or image_id


def _wait(cluster: Cluster, instance_id: str, state: str) -> Instance:
    limit = cluster.record.template.launch_timeout
    end = time.monotonic() + limit
    while True:
        found = instances.describe(cluster.session, cluster.name, copies=True)
        one = next((one for one in found if one.id == instance_id), None)
        if one and one.state == state:
            return one
        if one and one.state in ("shutting-down", "terminated"):
            raise ClusterError(
                f"The copy {instance_id} has been ended from elsewhere: {one.reason or one.state}.",
                "Repeat the command when nobody else makes an image of that name.",
            )
        if time.monotonic() > end:
            seen = one.state if one else "not there"
            raise ClusterError(
                f"After {limit:.0f} s (LAUNCH_TIMEOUT) the copy {instance_id} is {seen}, not"
                f" {state}.",
                "Repeat the command; `spotcluster showconsole` may say why.",
            )
        time.sleep(_POLL)


def _finish_or_clear(cluster: Cluster, name: str) -> OwnImage | None:
    """Clear away what runs that were cut off have left; return the image that one had made."""
    session = cluster.session
    left = leftovers(session, name)
    if not left:
        return None
    done = [one for one in own_images.published(session, name) if one.bake in left]
    for one in done:
        if one.state == "pending":
            own_images.wait(session, one.id, timeout=_IMAGE_LIMIT)
    _clear(session, name, left, unfinished=True)
    found = [one for one in own_images.published(session, name) if one.bake in left]
    return found[0] if found else None


def leftovers(session: Session, name: str) -> set[str]:
    """Return the runs of which there is something beside an image."""
    copies = instances.live(instances.describe(session, copies=True))
    return {
        *(one.bake for one in own_images.all_of(session, name) if one.version is None),
        *(
            own[tags.BAKE]
            for own in own_images.snapshots(session, tags.IMAGE, name).values()
            if tags.VERSION not in own
        ),
        *(one.tags[tags.BAKE] for one in copies if one.tags.get(tags.IMAGE) == name),
    }


def _clear(session: Session, name: str, runs: Collection[str], *, unfinished: bool = False) -> None:
    """Take away all that these runs have made but their images, what is paid by the hour first.

    Parameters
    ----------
    unfinished : bool
        Whether also images that are not complete.
    """
    copies = instances.live(instances.describe(session, copies=True))
    own = [one.id for one in copies if one.tags.get(tags.BAKE) in runs]
    instances.terminate(session, own, new=True)
    kept = set()
    for one in own_images.all_of(session, name):
        if one.bake not in runs:
            continue
        if one.version is not None and (one.state == "available" or not unfinished):
            kept.add((one.bake, str(one.version)))
        else:
            own_images.deregister(session, one.id)
    for snapshot, has in own_images.snapshots(session, tags.IMAGE, name).items():
        if has.get(tags.BAKE) in runs and (has[tags.BAKE], has.get(tags.VERSION)) not in kept:
            own_images.delete_snapshot(session, snapshot)


def clear_raw(session: Session, cluster: str) -> None:
    """Take away the raw copies of a cluster's nodes; the images that were made of them stay."""
    for one in raw_of(session, cluster):
        if one.startswith("ami-"):
            own_images.deregister(session, one)
    for one in raw_of(session, cluster):
        if one.startswith("snap-"):
            own_images.delete_snapshot(session, one)


def raw_of(session: Session, cluster: str) -> list[str]:
    """Return the ids of the raw copies of a cluster's nodes: images, and their snapshots."""
    found = [
        one.id
        for one in own_images.all_of(session)
        if one.version is None and one.tags.get(tags.CLUSTER) == cluster
    ]
    return [*found, *own_images.snapshots(session, tags.CLUSTER, cluster)]


def find(session: Session, wanted: str) -> tuple[list[OwnImage], list[str]]:
    """Return the images that ``name:3`` means, or all of ``name``, and what is left of such.

    Returns
    -------
    list of OwnImage
        Raw copies are among them where all of a name are meant.
    list of str
        Ids of snapshots whose image is gone, and of instances that are a copy of a node.

    Raises
    ------
    UsageError
        There is nothing, or that is no name.
    """
    name, _, version = wanted.partition(":")
    own_images.check_name(name)  # of none, and of "*", EC2 would show the images of all names
    if version == own_images.LATEST:
        version = str(own_images.find(session, wanted).version)
    found = [one for one in own_images.all_of(session, name) if version in ("", str(one.version))]
    known = {snapshot for one in found for snapshot in one.snapshots}
    rest = [
        one
        for one, own in own_images.snapshots(session, tags.IMAGE, name).items()
        if one not in known and version in ("", own.get(tags.VERSION))
    ]
    if not version:
        copies = instances.live(instances.describe(session, copies=True))
        rest += [one.id for one in copies if one.tags.get(tags.IMAGE) == name]
    if not (found or rest):
        own_images.find(session, wanted)  # says what there is
        raise UsageError(f"There is no image '{wanted}' in {session.region}.")
    return found, rest


def users(session: Session, found: Collection[OwnImage]) -> list[str]:
    """Return the names of the clusters whose nodes boot from any of the images."""
    named = {name for one in found if one.version for name in (one.id, one.full_name)}
    return [
        record.name
        for record in records.find_all(session)
        if named & {record.template.node_image_id, record.template.master_image_id}
    ]


def remove(session: Session, found: Collection[OwnImage], rest: Collection[str]) -> None:
    """Take images away with their snapshots, and what `find` has found beside them."""
    instances.terminate(session, [one for one in rest if one.startswith("i-")])
    for one in found:
        own_images.deregister(session, one.id)
        for snapshot in one.snapshots:
            own_images.delete_snapshot(session, snapshot)
    for orphan in rest:
        if orphan.startswith("snap-"):
            own_images.delete_snapshot(session, orphan)
