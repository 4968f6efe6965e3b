"""CreateFleet: spread over the pools of its overrides, with an error for each that gave nothing.

A fleet of type ``instant`` is answered with its instances; one of the other types launches the same
way and says nothing of them. One of type ``maintain`` launches anew what it lacks, whenever it is
looked after (`FleetAnswers.keep_fleets`), and its target can be changed.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.utils import convert_tag_spec

from . import clock, market, requirements, spot
from .fleet_books import Fleet, FleetBooks
from .launches import Specification
from .moto_private import template_of
from .prices import on_demand_price

_MOST_PER_FLEET = 10_000


class Pool:
    """A launch template with one override: a capacity pool that a fleet may draw from."""

    def __init__(self, template: dict[str, Any], override: dict[str, Any], order: int) -> None:
        self.template = template
        self.override = override
        self.weight = float(override.get("WeightedCapacity", 1) or 1)
        self.priority = float(override.get("Priority", order))
        self.too_dear: set[str] = set()  # lifecycles in which it is over a limit of requirements
        self.spec: Specification | None = None
        self.refusal: EC2ClientError | None = None
        self.params: dict[str, Any] = {}
        self.wanted: Counter[str] = Counter()  # instances, by lifecycle

    @property
    def place(self) -> Specification:
        """What is launched where, of a pool that is not refused."""
        assert self.spec is not None
        return self.spec

    def price(self, lifecycle: str) -> float:
        """Return what an instance costs for an hour, in USD."""
        kind = self.place.instance_type
        if lifecycle == "spot":
            return market.price_now(kind, self.place.zone).usd
        return on_demand_price(kind)

    def answer(self) -> dict[str, Any]:
        """Return what CreateFleet says of where an instance or an error comes from."""
        return {"LaunchTemplateSpecification": self.template, "Overrides": self.override}

    def error(self, lifecycle: str, error: EC2ClientError) -> dict[str, Any]:
        """Return what CreateFleet says of a pool that gave nothing, or less."""
        return {
            "LaunchTemplateAndOverrides": self.answer(),
            "Lifecycle": lifecycle,
            "ErrorCode": error.code,
            "ErrorMessage": error.message,
        }


class FleetAnswers(FleetBooks):
    """Part of the EC2 API: CreateFleet and ModifyFleet."""

    def create_fleet(self) -> ActionResult:
        """Answer CreateFleet; a request repeated with its token means the first one."""
        backend = self.ec2_backend
        asked = dict(self.params)
        token = asked.get("ClientToken")
        known = backend.tokens.recall("CreateFleet", token, asked)
        if known in backend.fleets:
            return ActionResult(backend.fleets[known].answer())
        targets = _targets(asked.get("TargetCapacitySpecification", {}))
        self.error_on_dryrun()
        fleet = Fleet(backend, asked)
        fleet.note("fleet-change", "submitted")
        self._fill(fleet, targets)
        fleet.note("fleet-change", "active")
        backend.fleets[fleet.id] = fleet
        backend.tokens.remember("CreateFleet", token, asked, fleet.id)
        return ActionResult(fleet.answer())

    def modify_fleet(self) -> ActionResult:
        """Answer ModifyFleet: what a fleet that maintains its capacity is to have from now on."""
        asked = dict(self.params)
        fleet = self._fleet(asked.get("FleetId", ""))
        if fleet.type != "maintain":
            raise EC2ClientError(
                "Unsupported",
                f"Fleet {fleet.id} is {fleet.type} fleet. Only fleets of type maintain can be "
                "modified.",
            )
        if fleet.state != "active":
            raise EC2ClientError(
                "FleetNotInModifiableState",
                f"The fleet '{fleet.id}' is {fleet.state}, and cannot be modified.",
            )
        target = {**fleet.target, **asked.get("TargetCapacitySpecification", {})}
        target.pop("SpotTargetCapacity", None)  # unless it is said again, what is left of the total
        target |= asked.get("TargetCapacitySpecification", {})
        _targets(target)
        self.error_on_dryrun()
        change = {"TargetCapacitySpecification": target}
        for name in ("ExcessCapacityTerminationPolicy", "LaunchTemplateConfigs"):
            if asked.get(name):
                change[name] = asked[name]
        fleet.asked = {**fleet.asked, **change}
        fleet.note("fleet-change", "modify_in_progress")
        fleet.shrink(_targets(target))
        self._keep(fleet)
        fleet.note("fleet-change", "modify_successful")
        return ActionResult({"Return": True})

    def keep_fleets(self) -> bool:
        """Launch what fleets that maintain their capacity lack; return whether anything changed."""
        kept = [one for one in self.ec2_backend.fleets.values() if one.type != "instant"]
        return sum(self._keep(fleet) for fleet in kept) > 0

    def _keep(self, fleet: Fleet) -> bool:
        changed = fleet.look()
        if fleet.type != "maintain" or fleet.state != "active":
            return changed
        lacks = {
            lifecycle: max(0.0, target - fleet.capacity(lifecycle))
            for lifecycle, target in _targets(fleet.target).items()
        }
        if not any(lacks.values()) or fleet.has_expired(clock.now()):
            return changed
        before = fleet.capacity()
        try:
            self._fill(fleet, lacks)
        except EC2ClientError as error:  # its launch template was deleted, say
            fleet.fail([{"ErrorCode": error.code, "ErrorMessage": error.message}])
        return changed or fleet.capacity() > before

    def _fill(self, fleet: Fleet, targets: dict[str, float]) -> None:
        """Launch what a fleet is to have more, from where it may."""
        pools = list(self._pools(fleet.asked, fleet))
        errors = self._plan(pools, fleet.asked, targets)
        for pool in pools:
            for lifecycle, count in pool.wanted.items():
                group = {
                    "LaunchTemplateAndOverrides": pool.answer(),
                    "Lifecycle": lifecycle,
                    "InstanceIds": self._launch_from(pool, lifecycle, count),
                    "InstanceType": pool.place.instance_type,
                }
                fleet.add(group, pool.weight)
        fleet.fail(errors)

    # What a fleet may draw from.

    def _pools(self, asked: dict[str, Any], fleet: Fleet) -> Iterator[Pool]:
        order = itertools.count()
        for config in asked.get("LaunchTemplateConfigs", []):
            named = config["LaunchTemplateSpecification"]
            version = template_of(self.ec2_backend, named)
            template = {"LaunchTemplateId": version.template.id, "Version": str(version.number)}
            params = self._with_template({"LaunchTemplate": named})
            del params["LaunchTemplate"]
            if given := named.get("LaunchTemplateSpecificationUserData"):
                params["UserData"] = given
            params["TagSpecifications"] = [
                *params.get("TagSpecifications", []),
                *_tags(asked, fleet, template),
            ]
            general = params.pop("InstanceRequirements", None)
            for override in config.get("Overrides") or [{}]:
                wanted = override.get("InstanceRequirements")
                if wanted and override.get("InstanceType"):
                    raise EC2ClientError(
                        "InvalidParameterCombination",
                        "You can specify either InstanceType or InstanceRequirements, but not "
                        "both.",
                    )
                if not override.get("InstanceType"):
                    wanted = wanted or general
                for one, dear in self._typed(override, wanted, params):
                    pool = Pool(template, one, next(order))
                    pool.too_dear = dear
                    pool.params = copy.deepcopy(params)
                    _override(pool.params, one)
                    try:
                        pool.spec = self._check(pool.params)
                    except EC2ClientError as error:
                        pool.refusal = error
                    yield pool

    def _typed(
        self, override: dict[str, Any], wanted: dict[str, Any] | None, params: dict[str, Any]
    ) -> Iterator[tuple[dict[str, Any], set[str]]]:
        """Yield an override for each place and type, and in which lifecycles it is too dear."""
        if not wanted:
            yield from ((one, set()) for one in _places(override))
            return
        rest = {name: value for name, value in override.items() if name != "InstanceRequirements"}
        image = self.ec2_backend.amis.get(override.get("ImageId") or params.get("ImageId"))
        architectures = [image.architecture] if image else ["x86_64", "arm64"]
        names = requirements.types_with(wanted, self.region, architectures=architectures)
        if not names:
            raise EC2ClientError(
                "InvalidFleetConfig",
                "No instance types satisfy the instance requirements in the fleet configuration.",
            )
        dear = requirements.too_dear(wanted, self.region, names)
        for name in names:
            lifecycles = {lifecycle for lifecycle, those in dear.items() if name in those}
            yield from ((one, lifecycles) for one in _places({**rest, "InstanceType": name}))

    # How much is drawn from which.

    def _plan(
        self, pools: list[Pool], asked: dict[str, Any], targets: dict[str, float]
    ) -> list[dict[str, Any]]:
        """Say of each pool how many instances are wanted of it; return the errors of the others."""
        errors: list[dict[str, Any]] = []
        for lifecycle, target in targets.items():
            options = asked.get("SpotOptions" if lifecycle == "spot" else "OnDemandOptions", {})
            got = self._draw(pools, lifecycle, target, options, errors)
            if got < min(float(options.get("MinTargetCapacity") or 0), target):
                for pool in pools:
                    pool.wanted.clear()
                break
        return errors

    def _draw(
        self,
        pools: list[Pool],
        lifecycle: str,
        target: float,
        options: dict[str, Any],
        errors: list[dict[str, Any]],
    ) -> float:
        """Draw until `target` is reached or no pool is left; return how much was drawn."""
        if target <= 0:
            return 0
        errors += [p.error(lifecycle, p.refusal) for p in pools if p.refusal is not None]
        usable = [p for p in pools if p.refusal is None and lifecycle not in p.too_dear]
        left, reserve = _ordered(usable, lifecycle, options)
        got = spent = 0.0
        most = float(options.get("MaxTotalPrice") or "inf")
        turn = 0
        while got < target and left:
            pool = left[turn % len(left)]
            try:
                self._may_draw(pool, lifecycle, pools)
            except EC2ClientError as error:
                errors.append(pool.error(lifecycle, error))
                left.remove(pool)
                left += reserve[:1]
                del reserve[:1]
                continue
            spent += pool.price(lifecycle)
            if spent > most:
                break
            pool.wanted[lifecycle] += 1
            got += pool.weight
            turn += 1
            if options.get("SingleInstanceType"):
                left = [p for p in left if p.place.instance_type == pool.place.instance_type]
                reserve = [p for p in reserve if p.place.instance_type == pool.place.instance_type]
            if options.get("SingleAvailabilityZone"):
                left = [p for p in left if p.place.zone == pool.place.zone]
                reserve = [p for p in reserve if p.place.zone == pool.place.zone]
        return got

    def _may_draw(self, pool: Pool, lifecycle: str, pools: list[Pool]) -> None:
        """Raise EC2's error if one more instance cannot be had from a pool."""
        place = pool.place
        if lifecycle == "spot":
            spot.check_bid(pool.override.get("MaxPrice") or None, place.instance_type, place.zone)
        drawn = [(p.place, kind, n) for p in pools for kind, n in p.wanted.items()]
        self._room(
            place,
            1,
            lifecycle,
            reserved=[(place, kind, n) for place, kind, n in drawn if n],
        )

    def _launch_from(self, pool: Pool, lifecycle: str, count: int) -> list[str]:
        params = copy.deepcopy(pool.params)
        params.pop("InstanceMarketOptions", None)
        if lifecycle == "spot":
            bid = pool.override.get("MaxPrice")
            params["InstanceMarketOptions"] = {
                "MarketType": "spot",
                "SpotOptions": {"MaxPrice": bid} if bid else {},
            }
        return [str(one.id) for one in self.launch(params, pool.place, count).instances]


def _targets(target: dict[str, Any]) -> dict[str, float]:
    """Return the capacity that is wanted on demand and on the spot market, in this order."""
    total = int(target.get("TotalTargetCapacity", 0))
    on_demand = int(target.get("OnDemandTargetCapacity") or 0)
    spots = int(target.get("SpotTargetCapacity") or 0)
    if on_demand + spots > total or not 0 <= total <= _MOST_PER_FLEET:
        raise EC2ClientError(
            "InvalidTargetCapacitySpecification",
            "The total target capacity must be at least the sum of the on-demand and the spot "
            f"target capacity, and at most {_MOST_PER_FLEET}.",
        )
    rest = total - on_demand - spots
    if target.get("DefaultTargetCapacityType", "on-demand") == "spot":
        return {"on-demand": on_demand, "spot": spots + rest}
    return {"on-demand": on_demand + rest, "spot": spots}


def _tags(
    asked: dict[str, Any], fleet: Fleet, template: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield the tags of what a fleet launches."""
    tags = convert_tag_spec(asked.get("TagSpecifications", []))
    if fleet.type != "instant":  # their instances have the launch template's tags only
        tags = {}
    tags.pop("fleet", None)
    tags["instance"] = {
        **tags.get("instance", {}),
        "aws:ec2:fleet-id": fleet.id,
        "aws:ec2launchtemplate:id": template["LaunchTemplateId"],
        "aws:ec2launchtemplate:version": template["Version"],
    }
    for kind, values in tags.items():
        yield {"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in values.items()]}


def _places(override: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an override for each of the subnets that it names, separated by commas."""
    subnets = [name.strip() for name in str(override.get("SubnetId") or "").split(",")]
    for subnet in subnets:
        yield {**override, "SubnetId": subnet} if subnet else override


def _override(params: dict[str, Any], override: dict[str, Any]) -> None:
    for name in ("InstanceType", "ImageId", "BlockDeviceMappings"):
        if override.get(name):
            params[name] = override[name]
    if override.get("SubnetId"):
        if params.get("NetworkInterfaces"):
            params["NetworkInterfaces"][0]["SubnetId"] = override["SubnetId"]
        else:
            params["SubnetId"] = override["SubnetId"]
    placement = dict(override.get("Placement", {}))
    if override.get("AvailabilityZone"):
        placement["AvailabilityZone"] = override["AvailabilityZone"]
    if placement:
        params["Placement"] = {**params.get("Placement", {}), **placement}


def _ordered(
    pools: list[Pool], lifecycle: str, options: dict[str, Any]
) -> tuple[list[Pool], list[Pool]]:
    """Return the pools that an allocation strategy draws from at once, and those after them."""
    strategy = str(options.get("AllocationStrategy") or "lowest-price")
    strategy = re.sub("([A-Z])", r"-\1", strategy).lower()  # lowestPrice, as it was called once
    by_price = sorted(pools, key=lambda pool: pool.price(lifecycle) / pool.weight)
    if strategy in ("prioritized", "capacity-optimized-prioritized"):
        ordered, abreast = sorted(pools, key=lambda pool: pool.priority), 1
    elif strategy == "lowest-price":
        ordered, abreast = by_price, int(options.get("InstancePoolsToUseCount") or 1)
    else:
        ordered, abreast = by_price, len(pools)
    return ordered[:abreast], ordered[abreast:]
