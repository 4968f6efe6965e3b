"""Fleets of type ``instant``: many instances by one call, launched by a template of our own.

The name of a launch template is unique in a region, so making one claims what its name says. It is
there for as long as a launch takes, and no longer.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from spotcluster.aws import blocks, instances, tags
from spotcluster.aws.calls import call, call_soon, every, refused
from spotcluster.aws.instances import Instance
from spotcluster.aws.launching import asked
from spotcluster.aws.launching.asked import Launch
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError

MOST = 1000
"""How many instances EC2 launches by one call."""

TAKEN = "InvalidLaunchTemplateName.AlreadyExistsException"
"""The code by which EC2 says that a launch template of that name is there."""

UNKNOWN = (
    "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateId.NotFoundException",
    "InvalidLaunchTemplateName.NotFoundException",
)
"""The codes by which EC2 says that there is no such launch template, or not yet."""

_VERSION = "1"
_GONE = ("deleted", "deleted_running", "deleted_terminating")


@dataclass(frozen=True)
class Mould:
    """A launch template of a cluster's, with what its tags say."""

    id: str
    name: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Pool:
    """A type in a subnet: EC2 has so many of it, and a price for it.

    Attributes
    ----------
    bid : float or None
        The highest price in USD per hour for a spot instance of it.
    """

    type: str
    subnet_id: str
    zone: str
    bid: float | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a pool gave less than was asked for."""

    pool: Pool
    error: CloudError


@dataclass(frozen=True)
class Fleet:
    """What a fleet has launched, and what it could not."""

    id: str
    instances: tuple[Instance, ...]
    refusals: tuple[Refusal, ...]


def create_mould(session: Session, name: str, what: Launch, own: Mapping[str, str]) -> Mould:
    """Make the launch template of a name, tagged in the creating call.

    Parameters
    ----------
    what : Launch
        What to launch; where, which types, how many and whether on the spot market is for the
        fleet to say.
    own : mapping of str to str
        The template's own tags.

    Raises
    ------
    CloudError
        One of that name is there, by the code `TAKEN`; any other refusal.
    """
    data = {
        # The fleet gives their tags to the others, with their names.
        **asked.settings(what, asked.beside(what)),
        # botocore encodes what RunInstances is given, and not this.
        "UserData": base64.b64encode(what.user_data).decode(),
    }
    if what.block:  # other markets are the fleet's matter
        data["InstanceMarketOptions"] = asked.market(what)
    answer = call(
        session.ec2.create_launch_template,
        LaunchTemplateName=name,
        ClientToken=what.token,
        LaunchTemplateData=data,
        TagSpecifications=tags.specifications(own, "launch-template"),
    )
    return Mould(answer["LaunchTemplate"]["LaunchTemplateId"], name, own)


def moulds(session: Session, cluster: str) -> list[Mould]:
    """Return the launch templates of a cluster."""
    found = every(
        session.ec2.describe_launch_templates,
        "LaunchTemplates",
        Filters=tags.filters(cluster=cluster),
    )
    return [
        Mould(item["LaunchTemplateId"], item["LaunchTemplateName"], tags.mapping(item.get("Tags")))
        for item in found
    ]


def delete_mould(session: Session, mould_id: str) -> None:
    """Delete a launch template; one already gone is no error."""
    try:
        call(session.ec2.delete_launch_template, LaunchTemplateId=mould_id)
    except CloudError as error:
        if error.code not in UNKNOWN:
            raise


def launch(
    session: Session,
    mould: Mould,
    pools: Sequence[Pool],
    count: int,
    own: Mapping[str, str],
    *,
    spot: bool,
    token: str,
    block: bool = False,
) -> Fleet:
    """Launch instances from whichever pools have them: `count`, or as many as there are.

    Parameters
    ----------
    own : mapping of str to str
        Tags for the instances, beside those that the template has.
    token : str
        EC2 makes one fleet for a token, however often it is asked.
    block : bool
        Whether the template is for a capacity block.
    """
    market = "spot" if spot else "capacity-block" if block else "on-demand"
    given = {**{key: value for key, value in mould.tags.items() if key != tags.OWNER}, **own}
    answer = call(
        session.ec2.create_fleet,
        Type="instant",
        ClientToken=token,
        LaunchTemplateConfigs=[
            {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": mould.id,
                    "Version": _VERSION,
                },
                "Overrides": [_override(pool, spot=spot) for pool in pools],
            }
        ],
        TargetCapacitySpecification={
            "TotalTargetCapacity": count,
            "DefaultTargetCapacityType": market,
        },
        SpotOptions={"AllocationStrategy": "price-capacity-optimized"} if spot else None,
        OnDemandOptions={"AllocationStrategy": "lowest-price"} if market == "on-demand" else None,
        TagSpecifications=[
            *tags.specifications(
                {
                    key: value
                    for key, value in mould.tags.items()
                    if key in (tags.CLUSTER, tags.ID) or tags.is_users(key)
                },
                "fleet",
            ),
            *tags.specifications(given, "instance", "volume"),
        ],
    )
    return _fleet(answer, pools, given)


def _override(pool: Pool, *, spot: bool) -> dict[str, str]:
    override = {"InstanceType": pool.type, "SubnetId": pool.subnet_id}
    if spot and pool.bid is not None:
        override["MaxPrice"] = asked.price(pool.bid)
    return override


def _fleet(answer: Mapping[str, Any], pools: Sequence[Pool], own: Mapping[str, str]) -> Fleet:
    by_place = {(pool.type, pool.subnet_id): pool for pool in pools}
    now = datetime.now(UTC)
    made: list[Instance] = []
    for item in answer.get("Instances") or ():
        override = item.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
        kind = item.get("InstanceType") or override.get("InstanceType", pools[0].type)
        pool = by_place.get((kind, override.get("SubnetId", "")), pools[0])
        made += [
            Instance(
                id=one,
                state="pending",
                type=kind,
                zone=pool.zone,
                private_ip="",
                public_ip="",
                spot_request="",
                spot=item.get("Lifecycle") == "spot",
                launched=now,
                reason="",
                tags={**own, tags.FLEET: str(answer["FleetId"])},
            )
            for one in item["InstanceIds"]
        ]
    refusals = []
    for item in answer.get("Errors") or ():
        override = item.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
        place = (override.get("InstanceType", ""), override.get("SubnetId", ""))
        why = refused("CreateFleet", item.get("ErrorCode", ""), item.get("ErrorMessage", ""))
        refusals.append(Refusal(by_place.get(place, pools[0]), why))
    made.sort(key=lambda one: one.id)
    return Fleet(str(answer["FleetId"]), tuple(made), tuple(refusals))


def write_names(session: Session, named: Mapping[str, str], cluster: str) -> None:
    """Write the names of instances in their tags, by id.

    A few get each its own; many share rolls of them.
    """
    if len(named) <= blocks.FEW:
        for one, name in sorted(named.items()):
            own = {tags.ALIAS: name, "Name": f"{cluster}-{name}"}
            tag(session, [one], own)
        return
    for roll, ids in blocks.rolls(tags.ALIAS, named):
        tag(session, ids, roll)


def tag(session: Session, ids: Sequence[str], own: Mapping[str, str]) -> None:
    """Put tags on instances that were made a moment ago."""
    call_soon(
        session.ec2.create_tags,
        unknown=(instances.UNKNOWN,),
        Resources=list(ids),
        Tags=tags.pairs(own),
    )


def placement_scores(session: Session, types: Sequence[str], number: int) -> dict[str, int]:
    """Return how likely EC2 thinks it is that a zone has so many, from 1 to 10.

    Returns
    -------
    dict of str to int
        By zone; empty where it does not say, or to others only.
    """
    try:
        found = list(
            every(
                session.ec2.get_spot_placement_scores,
                "SpotPlacementScores",
                InstanceTypes=list(types),
                TargetCapacity=number,
                SingleAvailabilityZone=True,
                RegionNames=[session.region],
            )
        )
        zones = call(session.ec2.describe_availability_zones)["AvailabilityZones"]
    except CloudError:
        return {}
    names = {one["ZoneId"]: one["ZoneName"] for one in zones}
    ids = {one.get("AvailabilityZoneId", ""): one["Score"] for one in found}
    return {names[one]: score for one, score in ids.items() if one in names}


def left(session: Session, ids: Sequence[str]) -> list[str]:
    """Return those of fleets that EC2 has not deleted.

    EC2 shows instant fleets to those only who name them, and their tags to everybody.
    """
    found: list[str] = []
    for start in range(0, len(ids), 100):
        try:
            shown = every(session.ec2.describe_fleets, "Fleets", FleetIds=ids[start : start + 100])
            found += [one["FleetId"] for one in shown if one.get("FleetState") not in _GONE]
        except CloudError as error:
            if not error.code.startswith("InvalidFleetId"):
                raise
    return found


def delete(session: Session, ids: Sequence[str]) -> None:
    """Delete fleets with all that they have launched; EC2 keeps no instances of instant ones."""
    if ids:
        call(session.ec2.delete_fleets, FleetIds=list(ids), TerminateInstances=True)
