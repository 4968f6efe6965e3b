"""A cluster template: all that is needed to start a cluster, checked, and kept in EC2 as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypedDict, Unpack

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from spotcluster import wording
from spotcluster.config import disks, durations, shapes
from spotcluster.config.names import MOST_NODES, split
from spotcluster.config.node_types import NodeTypes
from spotcluster.config.settings import (
    Permission,
    PluginSection,
    Settings,
    Volume,
    key_location,
)
from spotcluster.errors import UsageError
from spotcluster.plugins.base import CommaList


def _check_volumes(volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
    """Refuse volumes that are in each other's way; all that is wrong is said at once."""
    wrong = []
    for number, one in enumerate(volumes):
        for other in volumes[:number]:
            both = f"'{other.name}' and '{one.name}' both"
            if one.mount_path == other.mount_path:
                wrong.append(f"{both} mount on {one.mount_path}")
            if one.volume_id == other.volume_id and one.partition == other.partition:
                wrong.append(f"{both} are {one.volume_id}")
            elif one.device and one.device == other.device and one.volume_id != other.volume_id:
                wrong.append(f"{both} are attached as {one.device}")
    if wrong:
        raise ValueError("; ".join(wrong))
    return volumes


class Overrides(TypedDict, total=False):
    """What the command line may say in place of a template."""

    force_spot_master: bool | None
    keyname: str | None
    key_location: Path | None
    node_image_id: str | None
    master_image_id: str | None
    node_instance_type: str | None
    master_instance_type: str | None
    region: str | None
    availability_zone: str | None
    subnet_id: str | None
    public_ips: bool | None
    autostop: str | None
    budget: float | None
    cluster_user: str | None
    cluster_shell: str | None


FLAGS = {"spot_bid": "--bid"}
"""The flags that are not called as their setting is."""

AUTOSTOP = "1h"
"""After how long idle a cluster ends by itself where nothing says it."""

_UNIQUE = AfterValidator(shapes.unique)


class Template(Settings):
    """A resolved ``[cluster NAME]``; JSON there and back gives the same template.

    Attributes
    ----------
    keyname : str
        The EC2 key pair.
    key_location : Path or None
        Its private key on this computer; not part of the JSON, which other computers read too.
    cluster_size : int
        Nodes, the master included.
    node_image_id, master_image_id : str or None
        The image, by its id or as `ebsimage` has named it: ``tools:latest``, ``tools:3``; without
        it Ubuntu 24.04, and for the master that of the nodes. A cluster keeps the version that it
        was started with.
    node_instance_type : NodeTypes
        What each worker is; text, as it stands in the file: a type, or types of groups of workers.
    node_instance_types : tuple of str
        Types of which workers may be any, whichever EC2 has at a low price; those that no group of
        `node_instance_type` names.
    node_cpus, node_memory : str or None
        In place of such a list: virtual cores and GiB that workers must have, ``4-8`` or ``8-``.
    architecture : {"x86_64", "arm64"} or None
        The processors of those; without it that of `node_instance_type`.
    on_demand_fallback : int or "all" or None
        How many workers may be on demand where there is no spot capacity; without it none.
    master_instance_type : str or None
        The type of the master; without it the last one of the workers.
    region, availability_zone, subnet_id : str or None
        Where; without it the config's region, and the default VPC's roomiest subnet.
    public_ips : bool or None
        Whether nodes get public addresses; without it they do.
    spot_bid : float or None
        Highest price of a worker in USD per hour; without it workers are on demand.
    force_spot_master : bool
        Whether the master is a spot instance too.
    cluster_user, cluster_shell : str
        Who controller and engines run as, and that user's shell.
    image_user : str or None
        The user that the image lets in; without it what the image's name tells.
    disable_queue : bool or None
        Taken for StarCluster's sake; there is no queueing system here to disable.
    dns_prefix : bool
        Whether host names begin with the cluster's name: ``mycluster-node001``.
    volumes : tuple of Volume
        EBS volumes of the master, ``[volume]`` sections.
    permissions : tuple of Permission
        More open ports, ``[permission]`` sections.
    plugins : tuple of PluginSection
        What runs on each node, in this order; ``[plugin]`` sections.
    userdata_scripts : tuple of Path
        Scripts that cloud-init runs when a node boots for the first time.
    proxy_jump : str or None
        The host, or hosts, through which SSH reaches the nodes by their private addresses.
    allow : tuple of str
        CIDR blocks that may reach SSH; empty for this computer's own address.
    launch_timeout, ssh_timeout, setup_timeout, drain_timeout, stop_timeout,
    terminate_timeout : int
        Limits in seconds for each stage in a node's life.
    replacements : int
        How often a node that does not get ready is replaced until it is dropped.
    root_volume_size : int or None
        GiB; without it the image's own size.
    root_volume_type : {"gp3", "gp2", "io1", "io2"}
        The type of the nodes' own disks.
    root_volume_iops : int or None
        Their operations per second: of gp3 3,000 to 80,000, of io1 and io2 needed.
    root_volume_throughput : int or None
        MiB per second of gp3: 125 to 2,000, a quarter of the IOPS at most.
    autostop : str or None
        After how long idle the cluster ends by itself, ``60m`` or ``2h``, or ``off``; without it
        `AUTOSTOP`. Of the record of a cluster, None means that it was started before there was one.
    autostop_action : {"stop", "terminate"}
        What its master does then: stop and keep its disk, or end. Workers end, and so does a master
        that is a spot instance.
    budget : float or None
        The most in USD that the cluster's instances may cost, whatever fails; without it no limit.
    max_hours : float or None
        The most hours that any of its instances may run from one start on; without it no limit.
    replace_early : bool
        Whether `keep` replaces a spot node as soon as EC2 says that it may take it back (its
        rebalance recommendation), and not only when it does.
    target : str
        In what time what waits to be computed is to be done where `keep` has a `--max`, as ``15m``.
    instance_profile : str or None
        The IAM instance profile of the master, which keeps the cluster's size then: its own nodes
        need no other computer. ``spotcluster iam-policy --keep`` prints what its role needs.
    node_instance_profile : str or None
        The IAM instance profile of the workers, by whose role programs there reach S3, say, without
        keys; the master has it too where it has none by INSTANCE_PROFILE.
    security_groups : tuple of str
        Security groups that nodes are in beside the cluster's own, ``sg-0123abcd, sg-4567cdef``:
        they must be of the same VPC, and are neither changed nor deleted.
    kms_key : str or None
        The account's own key of KMS that the disks of nodes, and volumes that `createvolume` makes
        by this template, are encrypted with: its ARN, id or alias, ``alias/my-key``. Without it the
        account's usual one.
    placement_group : str or None
        ``cluster``, for a placement group of the cluster's own, whose nodes are near each other in
        one zone; or the name of a placement group that is there, and stays.
    capacity_reservation : str or None
        The capacity reservation, or capacity block, ``cr-0123abcd``, that nodes on demand of its
        type are launched into: the master, workers without a bid, and those of ON_DEMAND_FALLBACK.
    tags : tuple of str
        Tags ``KEY:VALUE`` of all that is made for the cluster, for example for the bill: instances,
        their disks, network interfaces and spot requests, fleets, launch templates and the security
        group.
    splits_bucket : str or None
        The S3 bucket through which searches bring their split files to the nodes; without it each
        node passes them on to the next.
    """

    name: shapes.SectionName
    keyname: shapes.KeyName
    key_location: shapes.LocalPath | None = Field(default=None, exclude=True)
    cluster_size: Annotated[int, Field(ge=1, le=MOST_NODES)] = 1
    node_image_id: shapes.ImageId | None = None
    master_image_id: shapes.ImageId | None = None
    node_instance_type: NodeTypes
    node_instance_types: Annotated[CommaList, _UNIQUE, AfterValidator(shapes.instance_types)] = ()
    node_cpus: shapes.Range | None = None
    node_memory: shapes.Range | None = None
    architecture: Literal["x86_64", "arm64"] | None = None
    on_demand_fallback: shapes.Fallback | None = None
    master_instance_type: shapes.InstanceType | None = None
    region: shapes.Region | None = None
    availability_zone: shapes.Zone | None = None
    subnet_id: shapes.SubnetId | None = None
    public_ips: bool | None = None
    spot_bid: shapes.Price | None = None
    force_spot_master: bool = False
    cluster_user: shapes.ClusterUser = "ipuser"
    cluster_shell: shapes.Shell = "bash"
    image_user: shapes.User | None = None
    disable_queue: bool | None = None
    dns_prefix: bool = False
    volumes: Annotated[tuple[Volume, ...], _UNIQUE, AfterValidator(_check_volumes)] = ()
    permissions: Annotated[tuple[Permission, ...], _UNIQUE] = ()
    plugins: Annotated[tuple[PluginSection, ...], _UNIQUE] = ()
    userdata_scripts: shapes.LocalPaths = ()
    proxy_jump: shapes.Jump | None = None
    allow: shapes.Cidrs = ()
    launch_timeout: shapes.Seconds = 300
    ssh_timeout: shapes.Seconds = 300
    setup_timeout: shapes.Seconds = 900
    drain_timeout: shapes.Seconds = 120
    stop_timeout: shapes.Seconds = 300
    terminate_timeout: shapes.Seconds = 300
    replacements: Annotated[int, Field(ge=0, le=100)] = 2
    root_volume_size: Annotated[int, Field(ge=1, le=65_536)] | None = None
    root_volume_type: shapes.DiskType = "gp3"
    root_volume_iops: Annotated[int | None, Field(ge=1, validate_default=True)] = None
    root_volume_throughput: Annotated[int, Field(ge=1)] | None = None
    autostop: shapes.Duration | None = None
    autostop_action: Literal["stop", "terminate"] = "stop"
    budget: shapes.Price | None = None
    max_hours: shapes.Price | None = None
    replace_early: bool = False
    target: shapes.Target = "15m"
    instance_profile: shapes.Profile | None = None
    node_instance_profile: shapes.Profile | None = None
    security_groups: shapes.SecurityGroups = ()
    kms_key: shapes.KmsKey | None = None
    placement_group: shapes.PlacementGroup | None = None
    capacity_reservation: shapes.Reservation | None = None
    tags: shapes.Tags = ()
    splits_bucket: shapes.Bucket | None = None

    @model_validator(mode="before")
    @classmethod
    def _first_of_its_types(cls, given: Any) -> Any:
        """Let the first of several types be what the master is where nothing else says so."""
        types = given.get("node_instance_types") if isinstance(given, dict) else None
        if types and not given.get("node_instance_type"):
            named = split(types) if isinstance(types, str) else list(types)
            return {**given, "node_instance_type": named[0]}
        return given

    @field_validator("availability_zone")
    @classmethod
    def _is_in_the_region(cls, zone: str | None, info: ValidationInfo) -> str | None:
        region = info.data.get("region")
        if zone and region and region != "local" and not zone.startswith(region):
            raise ValueError(f"is not in the region {region}")
        return zone

    @field_validator("kms_key")
    @classmethod
    def _is_a_key_of_the_region(cls, key: str | None, info: ValidationInfo) -> str | None:
        region = info.data.get("region")
        named = key.split(":")[3] if key and key.startswith("arn:") else None
        if named and region and region not in ("local", named):
            raise ValueError(f"is a key of {named}, and the cluster is in {region}")
        return key

    @field_validator("root_volume_type", "root_volume_iops", "root_volume_throughput")
    @classmethod
    def _is_a_disk_that_there_is(cls, value: Any, info: ValidationInfo) -> Any:
        told = info.data
        kind = value if info.field_name == "root_volume_type" else told.get("root_volume_type")
        if kind is None:  # which was refused
            return value
        size, iops = told.get("root_volume_size"), told.get("root_volume_iops")
        why = {
            "root_volume_type": lambda: disks.wrong_size(kind, size),
            "root_volume_iops": lambda: disks.wrong_iops(kind, size, value),
            "root_volume_throughput": lambda: disks.wrong_throughput(kind, iops, value),
        }[info.field_name or ""]()
        if why:
            raise ValueError(why)
        return value

    @model_validator(mode="after")
    def _names_its_types_once(self) -> Self:
        """Refuse a list of types beside what they must have."""
        if self.node_instance_types and (self.node_cpus or self.node_memory):
            raise ValueError(
                f"'{', '.join(self.node_instance_types)}' (NODE_INSTANCE_TYPES) names the types of"
                " the workers, so NODE_CPUS and NODE_MEMORY cannot choose them; leave the one or"
                " the others out"
            )
        return self

    @model_validator(mode="after")
    def _has_room_for_its_groups(self) -> Self:
        """Refuse more nodes with a type of their own than the size that is given has."""
        types, workers = self.node_instance_type, self.cluster_size - 1
        # A file may leave the size to the command line; what is kept in EC2 leaves defaults out.
        if types.groups and "cluster_size" in self.model_fields_set and types.named > workers:
            raise ValueError(
                f"'{types}' (NODE_INSTANCE_TYPE) is for at least {types.named} workers, but"
                f" CLUSTER_SIZE = {self.cluster_size} has {workers or 'none'} besides the master"
            )
        return self

    @model_validator(mode="after")
    def _hides_no_home(self) -> Self:
        """Refuse a volume on the home of the cluster user, whose keys it would hide."""
        home = f"/home/{self.cluster_user}"
        ours = {home, f"{home}/.ssh", f"{home}/.spotcluster"}
        for volume in self.volumes:
            if volume.mount_path in ours:
                raise ValueError(
                    f"'{volume.name}' (VOLUMES) would be mounted on {volume.mount_path} and hide"
                    f" what is there; choose a folder in {home}, or /data"
                )
        return self

    def with_overrides(
        self,
        *,
        size: int | None = None,
        bid: float | None = None,
        **others: Unpack[Overrides],
    ) -> Template:
        """Return the template with what the command line says; None leaves a setting as it is.

        Another `keyname` forgets the location of the former key.

        Parameters
        ----------
        size : int, optional
            The cluster's size, the master included.
        bid : float, optional
            Highest price of a spot instance in USD per hour.
        **others
            Any of `Overrides`, by the names of the fields.

        Raises
        ------
        UsageError
            A value is wrong; the message names its flag.
        """
        given: dict[str, Any] = {"cluster_size": size, "spot_bid": bid, **others}
        changes = {key: value for key, value in given.items() if value is not None}
        base: dict[str, Any] = {**self.model_dump(), "key_location": self.key_location}
        if "node_instance_type" in changes:  # that one, and not any of several
            base |= {"node_instance_types": (), "node_cpus": None, "node_memory": None}
        if changes.get("keyname", self.keyname) != self.keyname:
            base["key_location"] = None
        try:
            changed = Template.model_validate({**base, **changes})
        except ValidationError as error:
            problems = wording.explain(error, list(Template.model_fields))
            grouped = any(not key for key, _ in problems)  # what fits no single flag: the groups
            raise UsageError(
                " ".join(_flagged(key, why, changes) for key, why in problems),
                "Say a larger size with -s, or one type for all workers with -i."
                if grouped
                else "",
            ) from None
        if changes.get("force_spot_master") and changed.spot_bid is None:
            raise UsageError(
                "--force-spot-master: there is no bid for spot instances.",
                "Give one with -b, or SPOT_BID in the template.",
            )
        return changed

    @property
    def idle_limit(self) -> int:
        """After how many seconds idle its cluster ends by itself; 0 for never.

        Of the record of a cluster from before there was an autostop that is never.
        """
        return durations.seconds(self.autostop or durations.OFF)

    @property
    def users_tags(self) -> dict[str, str]:
        """Its `tags` as a dictionary."""
        return dict(one.split(":", 1) for one in self.tags)

    @property
    def target_seconds(self) -> int:
        """Seconds in which what waits is to be done."""
        return durations.seconds(self.target)

    @property
    def key_path(self) -> Path:
        """Where the private key is, or would be, on this computer."""
        return self.key_location or key_location(self.keyname)


def _flagged(key: str, why: str, changes: dict[str, Any]) -> str:
    """Say what is wrong with a flag; of a value that no flag gave, say the template's key."""
    if key not in changes:
        return f"{key.upper()}: {why}" if key else why
    value = changes[key]
    flag = FLAGS.get(key, f"--{key.replace('_', '-')}")
    return f"{flag} {value}: {why.removeprefix(wording.quoted(key, value)).strip()}"
