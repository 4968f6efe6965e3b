"""CreateFleet of type ``instant``: spread over its overrides, an error for each that failed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.utils import convert_tag_spec, random_fleet_id

from . import market
from .launches import LaunchAnswers, Specification
from .prices import on_demand_price


class Pool:
    """A launch template with one override: a capacity pool that a fleet may draw from."""

    def __init__(self, template: dict[str, Any], override: dict[str, Any], order: int) -> None:
        self.template = template
        self.override = override
        self.weight = float(override.get("WeightedCapacity", 1) or 1)
        self.priority = float(override.get("Priority", order))
        self.spec: Specification | None = None
        self.params: dict[str, Any] = {}
        self.instances: dict[str, list[str]] = {}

    def answer(self) -> dict[str, Any]:
        """Return what CreateFleet says of where an instance or an error comes from."""
        return {"LaunchTemplateSpecification": self.template, "Overrides": self.override}


class FleetAnswers(LaunchAnswers):
    """Part of the EC2 API: CreateFleet."""

    def create_fleet(self) -> ActionResult:
        """Answer CreateFleet; only instant fleets, which launch once and keep nothing going."""
        asked = dict(self.params)
        if asked.get("Type", "maintain") != "instant":
            raise EC2ClientError(
                "UnsupportedOperation", "The local cloud has fleets of type 'instant' only."
            )
        token = asked.get("ClientToken")
        known = self.ec2_backend.tokens.recall("CreateFleet", token, asked)
        if known is not None:
            return ActionResult(self.ec2_backend.instant_fleets[known])
        self.error_on_dryrun()
        fleet = self._launch_fleet(asked)
        self.ec2_backend.instant_fleets[fleet["FleetId"]] = fleet
        tags = convert_tag_spec(asked.get("TagSpecifications", []))
        self.ec2_backend.tags[fleet["FleetId"]] = tags.get("fleet", {})
        self.ec2_backend.tokens.remember("CreateFleet", token, asked, fleet["FleetId"])
        return ActionResult(fleet)

    def describe_fleets(self) -> ActionResult:
        """Answer DescribeFleets: instant fleets are shown to those only who name them."""
        known = self.ec2_backend.instant_fleets
        return ActionResult(
            {
                "Fleets": [
                    {
                        "FleetId": one,
                        "FleetState": known[one].get("State", "active"),
                        "Type": "instant",
                        "Tags": [
                            {"Key": key, "Value": value}
                            for key, value in self.ec2_backend.tags.get(one, {}).items()
                        ],
                    }
                    for one in self._fleet_ids()
                ]
            }
        )

    def delete_fleets(self) -> ActionResult:
        """Answer DeleteFleets: an instant fleet goes with its instances only."""
        if str(self._get_param("TerminateInstances")).lower() != "true":
            raise EC2ClientError(
                "InvalidParameterValue",
                "Instant fleets cannot be deleted without their instances.",
            )
        self.error_on_dryrun()
        deleted = []
        for one in self._fleet_ids():
            fleet = self.ec2_backend.instant_fleets[one]
            before = fleet.get("State", "active")
            ids = [name for item in fleet["Instances"] for name in item["InstanceIds"]]
            there = {instance.id for instance in self.cloud.instances() if instance.is_live}
            if live := [name for name in ids if name in there]:
                self.ec2_backend.terminate_instances(live)
            fleet["State"] = "deleted_terminating"
            deleted.append(
                {
                    "FleetId": one,
                    "CurrentFleetState": fleet["State"],
                    "PreviousFleetState": before,
                }
            )
        return ActionResult({"SuccessfulFleetDeletions": deleted})

    def _fleet_ids(self) -> list[str]:
        ids: list[str] = self._get_param("FleetIds", [])
        unknown = [one for one in ids if one not in self.ec2_backend.instant_fleets]
        if unknown:
            raise EC2ClientError(
                "InvalidFleetId.NotFound", f"The fleet ID '{unknown[0]}' does not exist"
            )
        return ids

    def _launch_fleet(self, asked: dict[str, Any]) -> dict[str, Any]:
        fleet_id = random_fleet_id()
        target = asked.get("TargetCapacitySpecification", {})
        total = int(target.get("TotalTargetCapacity", 0))
        on_demand = int(target.get("OnDemandTargetCapacity", 0))
        spot = int(target.get("SpotTargetCapacity", 0))
        if target.get("DefaultTargetCapacityType", "on-demand") == "spot":
            spot += max(0, total - on_demand - spot)
        else:
            on_demand += max(0, total - on_demand - spot)
        pools = list(self._pools(asked, fleet_id))
        errors: list[dict[str, Any]] = []
        usable = [pool for pool in pools if self._usable(pool, errors)]
        for lifecycle, capacity in (("on-demand", on_demand), ("spot", spot)):
            options = asked.get("SpotOptions" if lifecycle == "spot" else "OnDemandOptions", {})
            self._draw(usable, lifecycle, capacity, options, errors)
        instances = [
            {
                "LaunchTemplateAndOverrides": pool.answer(),
                "Lifecycle": lifecycle,
                "InstanceIds": ids,
                "InstanceType": pool.spec.instance_type,
            }
            for pool in usable
            if pool.spec is not None
            for lifecycle, ids in pool.instances.items()
        ]
        return {"FleetId": fleet_id, "Errors": errors, "Instances": instances}

    def _pools(self, asked: dict[str, Any], fleet_id: str) -> Iterator[Pool]:
        tags = convert_tag_spec(asked.get("TagSpecifications", []))
        for config in asked.get("LaunchTemplateConfigs", []):
            template = config["LaunchTemplateSpecification"]
            for order, override in enumerate(config.get("Overrides") or [{}]):
                pool = Pool(template, override, order)
                pool.params = self._with_template({"LaunchTemplate": template})
                pool.params = copy.deepcopy(pool.params)
                pool.params.pop("LaunchTemplate")
                pool.params["TagSpecifications"] = [
                    *pool.params.get("TagSpecifications", []),
                    *(
                        {
                            "ResourceType": kind,
                            "Tags": [{"Key": k, "Value": v} for k, v in values.items()],
                        }
                        for kind, values in {
                            **{k: v for k, v in tags.items() if k != "fleet"},
                            "instance": {
                                **tags.get("instance", {}),
                                "aws:ec2:fleet-id": fleet_id,
                            },
                        }.items()
                    ),
                ]
                self._override(pool)
                yield pool

    @staticmethod
    def _override(pool: Pool) -> None:
        params, override = pool.params, pool.override
        for name in ("InstanceType", "ImageId"):
            if override.get(name):
                params[name] = override[name]
        if override.get("SubnetId"):
            if params.get("NetworkInterfaces"):
                params["NetworkInterfaces"][0]["SubnetId"] = override["SubnetId"]
            else:
                params["SubnetId"] = override["SubnetId"]
        zone = override.get("AvailabilityZone")
        if zone:
            params["Placement"] = {**params.get("Placement", {}), "AvailabilityZone": zone}

    def _usable(self, pool: Pool, errors: list[dict[str, Any]]) -> bool:
        try:
            pool.spec = self._check(pool.params)
        except EC2ClientError as error:
            errors.append(_error(pool, "spot", error))
            return False
        return True

    def _draw(
        self,
        pools: list[Pool],
        lifecycle: str,
        capacity: float,
        options: dict[str, Any],
        errors: list[dict[str, Any]],
    ) -> None:
        """Launch until `capacity` is there or no pool is left, one instance after the other."""
        ordered, abreast = _ordered(pools, lifecycle, options)
        left, reserve = ordered[:abreast], ordered[abreast:]
        turn = 0
        while capacity > 0 and left:
            pool = left[turn % len(left)]
            try:
                instance_id = self._launch_from(pool, lifecycle)
            except EC2ClientError as error:
                errors.append(_error(pool, lifecycle, error))
                left.remove(pool)
                left += reserve[:1]
                del reserve[:1]
                continue
            pool.instances.setdefault(lifecycle, []).append(instance_id)
            capacity -= pool.weight
            turn += 1

    def _launch_from(self, pool: Pool, lifecycle: str) -> str:
        assert pool.spec is not None
        self._room(pool.spec.subnet, 1)
        params = copy.deepcopy(pool.params)
        params.pop("InstanceMarketOptions", None)
        if lifecycle == "spot":
            bid = pool.override.get("MaxPrice")
            params["InstanceMarketOptions"] = {
                "MarketType": "spot",
                "SpotOptions": {"MaxPrice": bid} if bid else {},
            }
        reservation = self.launch(params, pool.spec, 1)
        return str(reservation.instances[0].id)


def _ordered(pools: list[Pool], lifecycle: str, options: dict[str, Any]) -> tuple[list[Pool], int]:
    """Return the pools in an allocation strategy's order, and how many it draws from at once."""

    def cost(pool: Pool) -> float:
        assert pool.spec is not None
        kind, zone = pool.spec.instance_type, pool.spec.zone
        price = market.price_now(kind, zone).usd if lifecycle == "spot" else on_demand_price(kind)
        return price / pool.weight

    strategy = options.get("AllocationStrategy", "lowest-price")
    if strategy in ("prioritized", "capacity-optimized-prioritized"):
        return sorted(pools, key=lambda pool: pool.priority), 1
    if strategy == "lowest-price":
        return sorted(pools, key=cost), int(options.get("InstancePoolsToUseCount") or 1)
    return sorted(pools, key=cost), max(len(pools), 1)


def _error(pool: Pool, lifecycle: str, error: EC2ClientError) -> dict[str, Any]:
    return {
        "LaunchTemplateAndOverrides": pool.answer(),
        "Lifecycle": lifecycle,
        "ErrorCode": error.code,
        "ErrorMessage": error.message,
    }
