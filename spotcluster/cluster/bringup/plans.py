"""What `start` or `addnode` would make, and its price, checked against EC2; makes nothing."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path

from spotcluster import ssh, wording
from spotcluster.aws import (
    images,
    instance_types,
    keypairs,
    network,
    own_images,
    prices,
)
from spotcluster.aws.buckets.objects import Bucket
from spotcluster.aws.fleets import Pool
from spotcluster.aws.instance_types import InstanceType
from spotcluster.aws.instances import Instance
from spotcluster.aws.launching.asked import RootDisk
from spotcluster.aws.launching.reservations import Reservation
from spotcluster.aws.session import Session
from spotcluster.cluster.bringup import naming, userdata
from spotcluster.cluster.bringup.naming import Names
from spotcluster.cluster.bringup.places import kinds, pools, room, surroundings
from spotcluster.cluster.bringup.places.kinds import MASTER
from spotcluster.cluster.bringup.places.pools import Offer
from spotcluster.cluster.bringup.places.room import Need, Wish
from spotcluster.cluster.bringup.places.surroundings import NEAR, ZONE, Surroundings
from spotcluster.cluster.status import costs
from spotcluster.cluster.volumes import everywhere, mounting
from spotcluster.cluster.volumes.mounting import PlannedVolume
from spotcluster.config import NodeGroup, Template
from spotcluster.config.names import bounds
from spotcluster.errors import UsageError
from spotcluster.plugins import loader


@dataclass(frozen=True)
class PlannedNode:
    """A node to launch.

    Attributes
    ----------
    price : float or None
        What it costs in USD per hour, its disk too; None when AWS does not tell us.
    disk_gb : int
        The size of its own disk in GiB.
    priced_gb : float
        How many GiB of gp3 cost as much.
    reservation : Reservation or None
        The capacity reservation that it is launched into.
    pools : tuple of Pool
        Where it may come from, the cheapest virtual core first; `type` and `price` are the first's.
    """

    alias: str
    type: InstanceType
    image: images.Image
    spot: bool
    bid: float | None
    price: float | None
    pools: tuple[Pool, ...] = ()
    disk_gb: int = images.USUAL_GB
    priced_gb: float = images.USUAL_GB
    reservation: Reservation | None = None

    @property
    def market(self) -> str:
        """How it is bought, in words."""
        if self.reservation is not None:
            return f"reserved ({self.reservation.id})"
        if not self.spot:
            return "on demand"
        return f"spot, at most {wording.usd(self.bid)}/h" if self.bid else "spot"


@dataclass(frozen=True)
class Plan:
    """Nodes to launch, and where; the volumes that a master among them is to have.

    Attributes
    ----------
    returning : tuple of Instance
        Nodes that have stopped and come back with their disks.
    offers : tuple of Offer
        All that workers might come from, the cheapest virtual core first.
    """

    cluster: str
    region: str
    template: Template
    subnet: network.Subnet
    nodes: tuple[PlannedNode, ...]
    volumes: tuple[PlannedVolume, ...] = ()
    returning: tuple[Instance, ...] = ()
    offers: tuple[Offer, ...] = ()
    around: Surroundings = field(default_factory=Surroundings)

    @property
    def disk(self) -> RootDisk:
        """What the nodes' own disks are."""
        return costs.root_disk(self.template)

    @property
    def held(self) -> int:
        """How many the capacity reservation has free beside the nodes that are launched into it."""
        if self.around.reservation is None:
            return 0
        # Those that are there and are only set up have taken theirs already; each may be launched
        # anew, though.
        own = sum(bool(one.reservation) for one in self.nodes)
        return max(0, self.around.reservation.free - own)

    def reserved(self, node: PlannedNode) -> PlannedNode | None:
        """Return a node on demand as it is launched into the capacity reservation, if it can be."""
        one = self.around.reservation
        if one is None or node.spot:
            return None
        left = tuple(pool for pool in node.pools if (pool.type, pool.zone) == (one.type, one.zone))
        return replace(node, pools=left, reservation=one) if left else None

    @property
    def bids(self) -> dict[str, float]:
        """The bids for its spot nodes, by type."""
        return {one.type.name: one.bid for one in self.nodes if one.spot and one.bid}

    @property
    def price(self) -> float | None:
        """What the nodes to launch cost in USD per hour; None when one of them is not known."""
        known = [node.price for node in self.nodes if node.price is not None]
        return sum(known) if len(known) == len(self.nodes) else None

    def without(self, avoid: AbstractSet[tuple[str, str]]) -> Plan:
        """Return it with workers from other pools (type, zone), where there are any."""

        def elsewhere(node: PlannedNode) -> PlannedNode:
            left = tuple(one for one in node.pools if (one.type, one.zone) not in avoid)
            if not left or left == node.pools or node.alias == MASTER:
                return node
            best = next((one for one in self.offers if one.pool == left[0]), None)
            if best is None:
                return node
            return replace(node, pools=left, type=best.type, price=best.price)

        return replace(self, nodes=tuple(elsewhere(one) for one in self.nodes))


def zone_of(there: Sequence[Instance]) -> str | None:
    """Return the zone of a cluster's nodes, the master's where it is there."""
    return next((one.zone for one in there if one.zone), None)


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


def make(
    session: Session,
    cluster: str,
    template: Template,
    aliases: Sequence[str],
    *,
    running: Collection[str] = (),
    there: int = 0,
    near: str | None = None,
    inside: bool = False,
) -> Plan:
    """Check the template against EC2 and return what would be launched.

    Parameters
    ----------
    aliases : sequence of str
        The nodes' names; those of `Names` are made when there is room for all.
    running : collection of str
        Those of them that are to be set up only.
    there : int
        How many nodes there are already of the number that the user gives.
    near : str, optional
        The zone in which the cluster's nodes are.
    inside : bool
        Whether we are on the cluster's master, whose key is not that of the key pair.

    Raises
    ------
    UsageError, CloudError
        Something in the template does not exist in the region, or the key is not the right one.
    CapacityError
        The bid is below the spot price, the subnets have too few addresses, or a quota is used up.
    """
    wish = Wish(len(aliases) - len(running), there)
    some = Names.of(aliases).examples(template.node_instance_type.firsts)
    _check_user_data(template)
    for alias in some:
        naming.hostname(cluster, alias, dns_prefix=template.dns_prefix)
    _check_key(session, template, inside=inside)
    if not inside:
        _check_jump(template)
    has_master = MASTER in some
    around = surroundings.look(session, cluster, template, master=has_master, inside=inside)
    if template.splits_bucket:
        Bucket(session, template.splits_bucket).check()
    found_volumes: tuple[PlannedVolume, ...] = ()
    zone = template.availability_zone
    if template.disks and has_master:
        on_volumes, found_volumes = mounting.check(session, cluster, template)
        zone = on_volumes.availability_zone
        # The master is where its volumes are; workers may be anywhere.
        template = on_volumes.model_copy(update={"availability_zone": template.availability_zone})
    template = _with_versions(session, template)
    recorded, template = template, _with_types(session, template)
    groups = {alias: kinds.of(template, alias) for alias in some}
    # Where all nodes are there and are to be set up only, there is a subnet to name all the same.
    wanted = {name for alias in groups for name in kinds.types_of(template, alias)}
    wanted = wanted or {template.node_instance_type.rest.type}
    types = instance_types.describe(session, wanted)
    zones = instance_types.zones_of(session, wanted)
    for alias in some:
        for name in kinds.types_of(template, alias):
            pools.check(types[name], spot=kinds.is_spot(template, alias))
    around.check_types(types.values())
    told = [(zone, "the volumes are" if found_volumes else ZONE), (near, NEAR)]
    subnet = surroundings.home(session, template, groups, zones, around, told)
    surroundings.check_ipv6(subnet, types.values(), template)
    network.check_groups(session, template.security_groups, subnet.vpc_id)
    if around.in_one_zone:  # workers are where the master is
        template = template.model_copy(update={"availability_zone": subnet.zone})
    offers = _Offers(session, template, types, zones)
    places = {one.id: one for one in (subnet, *(offers.subnets if set(groups) - {MASTER} else ()))}
    everywhere.check(session, cluster, template, list(places.values()))
    room.check_addresses(session, template, list(places.values()), wish)
    found = _images(
        session,
        {
            alias: (kind, [types[name] for name in kinds.types_of(template, alias)])
            for alias, kind in groups.items()
        },
    )
    per_gb = prices.disk_hour(session) if some else 0.0
    likes: dict[tuple[bool, NodeGroup], PlannedNode] = {}
    needs: list[Need] = []
    reserved = 0
    for alias, group in groups.items():
        spot = kinds.is_spot(template, alias)
        on = [subnet] if alias == MASTER else None
        chosen = pools.chosen(offers.of(kinds.types_of(template, alias), on, spot=spot))
        held = around.reserved(chosen, spot=spot)
        chosen = held or chosen
        best = chosen[0]
        disk_gb = template.root_volume_size or found[alias].root_gb
        surroundings.check_disk(template, disk_gb)
        priced_gb = costs.root_disk(template).as_gp3(disk_gb)
        prepaid = bool(held and around.reservation and around.reservation.block)
        price = 0.0 if prepaid else best.price
        likes[alias == MASTER, group] = PlannedNode(
            alias,
            types[group.type] if alias == MASTER else best.type,
            found[alias],
            spot,
            template.spot_bid if spot else None,
            None if price is None else price + priced_gb * per_gb,
            tuple(one.pool for one in chosen),
            disk_gb,
            priced_gb,
            around.reservation if held else None,
        )
        number = 0 if alias in running else some[alias]
        reserved += number if held else 0
        needs.append(Need(0 if held else number, spot, chosen))
    around.check_room(reserved, wish, may_wait=_may_reserve(template, has_master=has_master))
    room.check_quota(session, template, needs, wish)
    nodes = [
        replace(likes[alias == MASTER, kinds.of(template, alias)], alias=alias) for alias in aliases
    ]
    return Plan(
        cluster,
        session.region,
        recorded,
        subnet,
        tuple(nodes),
        found_volumes,
        offers=offers.of_workers(),
        around=around,
    )


def _may_reserve(template: Template, *, has_master: bool) -> bool:
    """Return whether nodes may yet be launched into a capacity reservation that none is by now."""
    return template.on_demand_fallback is not None or not has_master


def _with_types(session: Session, template: Template) -> Template:
    """Return the template with the types that have what workers must have, where it says that."""
    if not (template.node_cpus or template.node_memory):
        return template
    usual = template.node_instance_type.rest.type
    architecture: str = (
        template.architecture or instance_types.describe(session, [usual])[usual].architecture
    )
    names = instance_types.matching(
        session,
        cpus=bounds(template.node_cpus or "1-"),
        memory=bounds(template.node_memory or "0-"),
        architecture=architecture,
        spot=template.spot_bid is not None,
    )
    if not names:
        cores, memory = template.node_cpus or "any", template.node_memory or "any"
        raise UsageError(
            f"No instance type of {session.region} for {architecture} has NODE_CPUS = {cores} and"
            f" NODE_MEMORY = {memory} (GiB).",
            "Ask for less, or for a wider range.",
        )
    return template.model_copy(update={"node_instance_types": tuple(names)})


class _Offers:
    """The pools of each set of types, asked for once."""

    def __init__(
        self,
        session: Session,
        template: Template,
        types: Mapping[str, InstanceType],
        zones: Mapping[str, set[str]],
    ) -> None:
        self._session = session
        self._template = template
        self._types = types
        self._zones = zones
        self._known: dict[tuple[tuple[str, ...], bool, bool], tuple[Offer, ...]] = {}
        self._subnets: list[network.Subnet] = []

    def of(
        self, names: Sequence[str], subnets: Sequence[network.Subnet] | None, *, spot: bool
    ) -> tuple[Offer, ...]:
        """Return the pools of some types, in those subnets or in all that may be used."""
        key = (tuple(names), subnets is None, spot)
        if key not in self._known:
            self._known[key] = pools.offers(
                self._session,
                [self._types[name] for name in names],
                self._zones,
                self.subnets if subnets is None else subnets,
                spot=spot,
                bid=self._template.spot_bid if spot else None,
            )
        return self._known[key]

    def of_workers(self) -> tuple[Offer, ...]:
        """Return all pools of workers that were asked for, the cheapest virtual core first."""
        found = {
            one for (_, everywhere, _), known in self._known.items() if everywhere for one in known
        }
        return tuple(sorted(found, key=lambda one: one.order))

    @property
    def subnets(self) -> list[network.Subnet]:
        """Those that workers may be in."""
        if not self._subnets:
            template = self._template
            self._subnets = network.find_subnets(
                self._session,
                template.subnet_id,
                template.availability_zone,
                set().union(*self._zones.values()),
            )
        return self._subnets


def refusals(template: Template) -> list[UsageError]:
    """Return what `make` would refuse whatever EC2 says: no call is made."""
    found = []
    for check in (check_key, _check_jump, _check_user_data):
        try:
            check(template)
        except UsageError as error:
            found.append(error)
    for section in template.plugins:
        try:
            plugin = loader.make(section.name, section.setup_class, section.settings)
        except loader.PluginError:  # whoever has read the config has said so
            continue
        try:
            loader.check(section.name, plugin, template.cluster_user)
        except UsageError as error:
            found.append(error)
    return found


def check_key(template: Template, region: str | None = None) -> Path:
    """Return the path of the private key, when a connection could use it at this moment.

    Parameters
    ----------
    region : str, optional
        Where the cluster is to be; that of the template unless given.

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
            f" `{_making(template, region)} -o {shlex.quote(str(path))}`.",
        )
    try:
        ssh.keys.load_private(path)
    except UsageError as error:
        raise UsageError(f"[key {template.keyname}] {error.message}", error.hint) from error
    return path


def _images(
    session: Session, wanted: Mapping[str, tuple[NodeGroup, Sequence[InstanceType]]]
) -> dict[str, images.Image]:
    """Return the image of each node, of whichever of its types it is; each is looked up once.

    Raises
    ------
    UsageError
        It does not boot on one of them.
    """
    described: dict[tuple[str | None, str], images.Image] = {}
    found = {}
    for alias, (kind, types) in wanted.items():
        architecture = types[0].architecture
        for one in types:
            if one.architecture != architecture and not kind.image:
                raise UsageError(
                    f"{types[0].name} is {architecture}, but {one.name} is {one.architecture}, and"
                    " workers that may be either have one image.",
                    "Name types of one architecture in NODE_INSTANCE_TYPES.",
                )
        key = (kind.image, architecture)
        if key not in described:
            described[key] = _image(session, kind.image, architecture)
        found[alias] = described[key]
        for one in types:
            _check_architecture(found[alias], one)
    return found


def _image(session: Session, named: str | None, architecture: str) -> images.Image:
    if named is None:
        named = images.default_image_id(session, architecture)
    elif own_images.is_name(named):
        named = own_images.find(session, named).id
    return images.describe(session, named)


def _with_versions(session: Session, template: Template) -> Template:
    """Return the template with versions of the images that it names: later nodes get the same."""
    pinned = {}
    for key in ("node_image_id", "master_image_id"):
        named = getattr(template, key)
        if named and own_images.is_name(named) and not own_images.split(named)[1].isdecimal():
            pinned[key] = own_images.find(session, named).full_name
    return template.model_copy(update=pinned) if pinned else template


def _check_architecture(image: images.Image, kind: InstanceType) -> None:
    if image.architecture != kind.architecture:
        raise UsageError(
            f"The image {image.baked or image.id} is for {image.architecture}, but {kind.name} is"
            f" {kind.architecture}.",
            "Choose another image or instance type.",
        )


def _check_key(session: Session, template: Template, *, inside: bool) -> None:
    """Refuse a key that EC2 does not have, or whose file is another key."""
    path = check_key(template, session.region)
    pair = keypairs.find(session, template.keyname)
    if pair is None:
        raise UsageError(
            f"There is no key pair '{template.keyname}' in {session.region}.",
            f"Make it with `{_making(template, session.region)} -o FILE`.",
        )
    if (
        not inside
        and pair.public
        and ssh.keys.bare(pair.public) != ssh.keys.bare(ssh.keys.public_of(path))
    ):
        raise UsageError(
            f"{path} is not the private key of the key pair '{template.keyname}' in"
            f" {session.region}.",
            "Correct KEY_LOCATION, or make a new pair with"
            f" `spotcluster -r {session.region} createkey`.",
        )


def _making(template: Template, region: str | None) -> str:
    """Return the command that makes a key pair, where the cluster is to be."""
    where = region or template.region
    return f"spotcluster{f' -r {where}' if where else ''} createkey {template.keyname}"


def _check_jump(template: Template) -> None:
    """Refuse a host to go through where this computer has no ssh that would do so."""
    if template.proxy_jump:
        ssh.jump.program()


def _check_user_data(template: Template) -> None:
    """Refuse scripts that cannot be read, or that EC2 would not take, before anything is made."""
    userdata.build(ssh.keys.generate(), userdata.read_scripts(template.userdata_scripts))
