"""What `start` or `addnode` would make, and its price, checked against EC2; makes nothing."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spotcluster import ssh
from spotcluster.aws import images, instance_types, keypairs, network, prices
from spotcluster.aws.instance_types import InstanceType
from spotcluster.aws.instances import Instance
from spotcluster.aws.objects import Bucket
from spotcluster.aws.session import Session
from spotcluster.cluster.bringup import hostnames, userdata
from spotcluster.cluster.volumes import mounting
from spotcluster.cluster.volumes.mounting import PlannedVolume
from spotcluster.config import NodeGroup, Template
from spotcluster.errors import CapacityError, UsageError

MASTER = "master"


@dataclass(frozen=True)
class PlannedNode:
    """A node to launch.

    Attributes
    ----------
    price : float or None
        What it costs in USD per hour; None when AWS does not tell us.
    """

    alias: str
    type: InstanceType
    image: images.Image
    spot: bool
    bid: float | None
    price: float | None

    @property
    def market(self) -> str:
        """How it is bought, in words."""
        if not self.spot:
            return "on demand"
        return f"spot, at most ${self.bid:g}/h" if self.bid else "spot"


@dataclass(frozen=True)
class Plan:
    """Nodes to launch, and where; the volumes that a master among them is to have.

    Attributes
    ----------
    returning : tuple of Instance
        Nodes that have stopped and come back with their disks.
    """

    cluster: str
    region: str
    template: Template
    subnet: network.Subnet
    nodes: tuple[PlannedNode, ...]
    volumes: tuple[PlannedVolume, ...] = ()
    returning: tuple[Instance, ...] = ()

    @property
    def price(self) -> float | None:
        """What the nodes to launch cost in USD per hour; None when one of them is not known."""
        known = [node.price for node in self.nodes if node.price is not None]
        return sum(known) if len(known) == len(self.nodes) else None


def check_name(name: str) -> None:
    """Refuse a cluster name that EC2 or a file system would not take."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", name):
        raise UsageError(
            f"'{name}' cannot be the name of a cluster.",
            "Use up to 63 letters, digits, '-' and '_', a letter or digit first.",
        )


def check_blocks(blocks: Sequence[str]) -> tuple[str, ...]:
    """Return CIDR blocks as EC2 takes them; an address alone is a block of one."""
    found = []
    for block in blocks:
        try:
            found.append(str(ipaddress.ip_network(block)))
        except ValueError as error:
            raise UsageError(
                f"--allow {block}: {error}.", "Give a block as 203.0.113.0/24, or one address."
            ) from None
    return tuple(found)


def aliases_after(taken: Sequence[str], number: int) -> list[str]:
    """Return the next `number` node names after the highest one that was ever taken."""
    used = [int(found[1]) for name in taken if (found := re.fullmatch(r"node(\d+)", name))]
    first = max(used, default=0) + 1
    return [f"node{index:03d}" for index in range(first, first + number)]


def aliases_left(seen: Sequence[str], number: int) -> list[str]:
    """Return the `number` names that a run which was cut off had still to give.

    The nodes of a run are launched at the same time, so it may have got to the second name and
    not to the first; a name that was never seen is taken before one after the highest.
    """
    used = {int(found[1]) for name in seen if (found := re.fullmatch(r"node(\d+)", name))}
    passed = [f"node{index:03d}" for index in range(1, max(used, default=0)) if index not in used]
    gaps = passed[:number]
    return [*gaps, *aliases_after(seen, number - len(gaps))]


def make(session: Session, cluster: str, template: Template, aliases: Sequence[str]) -> Plan:
    """Check the template against EC2 and return what would be launched.

    Raises
    ------
    UsageError, CloudError
        Something in the template does not exist in the region, or the key is not the right one.
    CapacityError
        The bid is below the spot price, or the subnet has too few addresses.
    """
    _check_user_data(template)
    for alias in aliases:
        hostnames.of(cluster, alias, dns_prefix=template.dns_prefix)
    _check_key(session, template)
    _check_jump(template)
    if template.splits_bucket:
        Bucket(session, template.splits_bucket).check()
    found_volumes: tuple[PlannedVolume, ...] = ()
    # Later nodes go to where the master is, which is where its volumes are.
    if template.volumes and (MASTER in aliases or not template.availability_zone):
        template, found_volumes = mounting.check(session, cluster, template)
    kinds = {alias: _kind(template, alias) for alias in aliases}
    # Where all nodes are there and are to be set up only, there is a subnet to name all the same.
    wanted = {kind.type for kind in kinds.values()} or {template.node_instance_type.rest.type}
    types = instance_types.describe(session, wanted)
    offered = instance_types.zones_with(session, wanted)
    subnet = network.find_subnet(session, template.subnet_id, template.availability_zone, offered)
    if found_volumes and subnet.zone != template.availability_zone:
        raise UsageError(
            f"The subnet {subnet.id} is in {subnet.zone}, and the volumes are in"
            f" {template.availability_zone}.",
            "Name a subnet of that zone with SUBNET_ID, or leave it out.",
        )
    if subnet.free < len(aliases):
        raise CapacityError(
            f"The subnet {subnet.id} has {subnet.free} free addresses; {len(aliases)} are needed.",
            "Choose another subnet with SUBNET_ID.",
        )
    found = _images(session, dict.fromkeys(kinds.values()), types)
    bought: dict[tuple[str, bool], float | None] = {}
    nodes = []
    for alias in aliases:
        kind = types[kinds[alias].type]
        spot = template.spot_bid is not None and (alias != MASTER or template.force_spot_master)
        if (kind.name, spot) not in bought:
            bought[kind.name, spot] = _price(session, kind.name, subnet.zone, spot=spot)
        price = bought[kind.name, spot]
        bid = template.spot_bid if spot else None
        if price is not None and bid is not None and bid < price:
            raise CapacityError(
                f"The bid of ${bid:g}/h is below the spot price of {kind.name} in {subnet.zone},"
                f" which is ${price:g}/h now.",
                "Raise the bid (-b), choose another type, or another AVAILABILITY_ZONE.",
            )
        nodes.append(PlannedNode(alias, kind, found[kinds[alias]], spot, bid, price))
    return Plan(cluster, session.region, template, subnet, tuple(nodes), found_volumes)


def refusals(template: Template) -> list[UsageError]:
    """Return what `make` would refuse whatever EC2 says: no call is made."""
    found = []
    for check in (check_key, _check_jump, _check_user_data):
        try:
            check(template)
        except UsageError as error:
            found.append(error)
    return found


def check_key(template: Template) -> Path:
    """Return the path of the private key, when a connection could use it at this moment.

    Raises
    ------
    UsageError
        It cannot: it is not there, not a private key, not read by ssh, open to others, or has a
        passphrase and no agent holds it.
    """
    path = template.key_path
    if not os.path.lexists(path):
        raise UsageError(
            f"The private key of '{template.keyname}', {path}, does not exist.",
            "Correct KEY_LOCATION, or make a new key pair with"
            f" `spotcluster createkey {template.keyname} -o {shlex.quote(str(path))}`.",
        )
    try:
        ssh.keys.load_private(path)
    except UsageError as error:
        raise UsageError(f"[key {template.keyname}] {error.message}", error.hint) from error
    return path


def _price(session: Session, name: str, zone: str, *, spot: bool) -> float | None:
    return prices.spot_now(session, name, zone) if spot else prices.on_demand(session, name)


def _kind(template: Template, alias: str) -> NodeGroup:
    """Return the type and the image of a node, by its alias alone: they stay on a repeated start.

    The master is what the nodes are that no group names, unless the template says more of it.
    """
    if alias == MASTER:
        rest = template.node_instance_type.rest
        image = template.master_image_id or template.node_image_id
        return NodeGroup(template.master_instance_type or rest.type, image)
    group = template.node_instance_type.of(alias)
    return NodeGroup(group.type, group.image or template.node_image_id)


def _images(
    session: Session, kinds: Iterable[NodeGroup], types: Mapping[str, InstanceType]
) -> dict[NodeGroup, images.Image]:
    """Return the image of each kind of node; each image is looked up once."""
    described: dict[tuple[str | None, str], images.Image] = {}
    found = {}
    for kind in kinds:
        architecture = types[kind.type].architecture
        key = (kind.image, architecture)
        if key not in described:
            named = kind.image or images.default_image_id(session, architecture)
            described[key] = images.describe(session, named)
        image = found[kind] = described[key]
        if image.architecture != architecture:
            raise UsageError(
                f"The image {image.id} is for {image.architecture}, but {kind.type} is"
                f" {architecture}.",
                "Choose another image or instance type.",
            )
    return found


def _check_key(session: Session, template: Template) -> None:
    """Refuse a key that EC2 does not have, or whose file is another key."""
    path = check_key(template)
    pair = keypairs.find(session, template.keyname)
    if pair is None:
        raise UsageError(
            f"There is no key pair '{template.keyname}' in {session.region}.",
            f"Make it with `spotcluster createkey {template.keyname} -o FILE`.",
        )
    if pair.public and ssh.keys.bare(pair.public) != ssh.keys.bare(ssh.keys.public_of(path)):
        raise UsageError(
            f"{path} is not the private key of the key pair '{template.keyname}' in"
            f" {session.region}.",
            "Correct KEY_LOCATION, or make a new pair with `spotcluster createkey`.",
        )


def _check_jump(template: Template) -> None:
    """Refuse a host to go through where this computer has no ssh that would do so."""
    if template.proxy_jump:
        ssh.jump.program()


def _check_user_data(template: Template) -> None:
    """Refuse scripts that cannot be read, or that EC2 would not take, before anything is made."""
    userdata.build(ssh.keys.generate(), userdata.read_scripts(template.userdata_scripts))
