"""Spot requests: what moto makes of them has no id on the instance, no bid and no end."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, cast

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instances import StateReason
from moto.ec2.responses import EC2Response
from moto.ec2.utils import generic_filter, random_spot_request_id

from . import clock, market
from .instances import LocalInstance

VISIBLE_AFTER_END = 2 * 24 * 3600.0
"""Seconds for which a request that is closed or cancelled is still listed."""

_MESSAGES = {
    "fulfilled": "Your Spot request is fulfilled.",
    "price-too-low": (
        "Your Spot request price of {bid} is lower than the minimum required Spot request "
        "fulfillment price of {price}."
    ),
    "capacity-not-available": "There is no Spot capacity available that matches your request.",
    "request-canceled-and-instance-running": (
        "Your Spot request is canceled, but your instance {instance} is still running."
    ),
    "canceled-before-fulfillment": ("Your Spot request is canceled before it was fulfilled."),
    "instance-terminated-by-user": ("Spot Instance terminated due to user-initiated termination."),
    "instance-terminated-no-capacity": (
        "Your Spot instance was terminated because there is no Spot capacity available."
    ),
    "instance-stopped-no-capacity": (
        "Your Spot instance was stopped because there is no Spot capacity available."
    ),
    "instance-stopped-by-user": "Spot Instance stopped due to user-initiated stop.",
}


class LocalSpotRequest(TaggedEC2Resource):
    """A request for one spot instance, as DescribeSpotInstanceRequests tells it."""

    product_description = "Linux/UNIX"

    def __init__(
        self,
        backend: Any,
        *,
        bid: str | None,
        kind: str,
        interruption: str,
        specification: dict[str, Any],
        tags: dict[str, str],
        valid_until: Any = None,
    ) -> None:
        self.ec2_backend = backend
        self.id = random_spot_request_id()
        self.bid = bid
        self.type = kind
        self.instance_interruption_behavior = interruption
        self.launch_specification = specification
        self.valid_from = None
        self.valid_until = valid_until
        self.create_time = clock.stamp()
        self.instance: LocalInstance | None = None
        self.ended = 0.0
        self.state = "open"
        self._code = "pending-evaluation"
        self._message = ""
        self._updated = clock.stamp()
        self.add_tags(tags)

    @property
    def spot_instance_request_id(self) -> str:
        return self.id

    @property
    def spot_price(self) -> str | None:
        return self.bid

    @property
    def instance_id(self) -> str | None:
        return self.instance.id if self.instance is not None else None

    @property
    def launched_availability_zone(self) -> str | None:
        return self.instance.availability_zone if self.instance is not None else None

    @property
    def status(self) -> dict[str, Any]:
        return {"Code": self._code, "Message": self._message, "UpdateTime": self._updated}

    @property
    def is_over(self) -> bool:
        """Whether the request can no longer get an instance."""
        return self.state in ("closed", "cancelled", "failed")

    def become(self, state: str, code: str, **values: str) -> None:
        """Enter a state with one of EC2's status codes."""
        self.state = state
        self._code = code
        self._message = _MESSAGES.get(code, "").format(**values)
        self._updated = clock.stamp()
        if self.is_over and not self.ended:
            self.ended = clock.seconds()

    def fulfil(self, instance: LocalInstance) -> None:
        """Note that the request has its instance."""
        self.instance = instance
        self.launch_specification["SecurityGroups"] = [
            {"GroupId": group.id, "GroupName": group.name} for group in instance.security_groups
        ]
        instance.lifecycle = "spot"
        instance.spot_instance_request_id = self.id
        self.become("active", "fulfilled")

    def cancel(self) -> None:
        """Cancel the request; the instance goes on, as on EC2."""
        if self.state == "cancelled":
            return
        running = self.instance is not None and self.instance.state not in (
            "shutting-down",
            "terminated",
        )
        if running:
            self.become(
                "cancelled",
                "request-canceled-and-instance-running",
                instance=self.instance_id or "",
            )
        elif not self.is_over:
            self.become("cancelled", "canceled-before-fulfillment")
        else:
            self.become("cancelled", self._code)

    def instance_ends(self, code: str = "instance-terminated-by-user") -> None:
        """Note that the instance is being terminated."""
        if self.state == "cancelled":
            self.become("cancelled", code)
        elif not self.is_over:
            self.become("closed", code)

    def get_filter_value(
        self,
        filter_name: str,
        method_name: str | None = "DescribeSpotInstanceRequests",
    ) -> Any:
        """Return what a filter compares."""
        specification = self.launch_specification
        values = {
            "availability-zone": specification.get("Placement", {}).get("AvailabilityZone"),
            "instance-id": self.instance_id,
            "launch.image-id": specification.get("ImageId"),
            "launch.instance-type": specification.get("InstanceType"),
            "launch.key-name": specification.get("KeyName"),
            "launched-availability-zone": self.launched_availability_zone,
            "network-interface.subnet-id": specification.get("SubnetId"),
            "product-description": self.product_description,
            "spot-instance-request-id": self.id,
            "spot-price": self.spot_price,
            "state": self.state,
            "status-code": self._code,
            "type": self.type,
        }
        if filter_name in values:
            return values[filter_name] or ""
        return super().get_filter_value(filter_name, method_name)


NO_CAPACITY = StateReason(
    "Server.SpotInstanceTermination: Spot instance termination",
    "Server.SpotInstanceTermination",
)

MACHINE_FAILED = StateReason(
    "Server.ScheduledStop: The machine that the instance ran on has failed",
    "Server.ScheduledStop",
)


def check_bid(bid: str | None, instance_type: str, zone: str) -> market.Price:
    """Return the pool's price now, if the bid reaches it.

    Raises
    ------
    EC2ClientError
        ``SpotMaxPriceTooLow`` if it does not, ``InvalidParameterValue`` if it is no price.
    """
    price = market.price_now(instance_type, zone)
    if bid is not None and amount(bid) < price.usd:
        raise EC2ClientError(
            "SpotMaxPriceTooLow",
            f"Your Spot request price of {bid} is lower than the minimum required Spot request "
            f"fulfillment price of {price.usd:g}.",
        )
    return price


def amount(bid: str) -> float:
    """Return a bid as a number.

    Raises
    ------
    EC2ClientError
        ``InvalidParameterValue`` if it is no price.
    """
    try:
        value = float(bid)
    except ValueError:
        value = -1.0
    if not 0 < value < 10_000:
        raise EC2ClientError(
            "InvalidParameterValue", f"Invalid value '{bid}' for parameter SpotPrice."
        )
    return value


def too_low(request: LocalSpotRequest, bid: str, price: market.Price) -> None:
    """Leave a request open because of its bid."""
    request.become("open", "price-too-low", bid=bid, price=f"{price.usd:g}")


class SpotBackend:
    """Part of the EC2 backend: spot requests."""

    spot_instance_requests: dict[str, LocalSpotRequest]

    def spot_request_of(self, instance: LocalInstance) -> LocalSpotRequest | None:
        """Return the request that an instance fulfils."""
        return self.spot_instance_requests.get(instance.spot_instance_request_id or "")

    def describe_spot_instance_requests(
        self, filters: Any = None, spot_instance_ids: list[str] | None = None
    ) -> list[LocalSpotRequest]:
        """Return requests; an unknown id is refused."""
        found = self._spot_requests(spot_instance_ids or list(self.spot_instance_requests))
        return list(generic_filter(filters, found))

    def cancel_spot_instance_requests(self, request_ids: list[str]) -> list[LocalSpotRequest]:
        """Cancel requests, which stay listed."""
        found = self._spot_requests(request_ids)
        for request in found:
            request.cancel()
        return found

    def request_spot_instances(
        self,
        *,
        price: str | None,
        image_id: str,
        count: int,
        spot_instance_type: str,
        instance_type: str,
        subnet_id: str | None,
        key_name: str | None,
        user_data: Any,
        security_groups: list[Any],
        tags: dict[str, dict[str, str]] | None = None,
        spot_fleet_id: str | None = None,
        **_: Any,
    ) -> list[LocalSpotRequest]:
        """Launch what a spot fleet of moto's asks for, as far as its price lets it."""
        backend: Any = self
        if image_id not in backend.amis:
            raise EC2ClientError(
                "InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist"
            )
        zone = backend.get_subnet(subnet_id).availability_zone if subnet_id else None
        zone = zone or backend.describe_availability_zones()[0].name
        if price:
            check_bid(price, instance_type, zone)
        groups = [str(group.get("GroupId")) for group in security_groups if group.get("GroupId")]
        made = []
        for _number in range(count):
            reservation = backend.run_instances(
                image_id,
                1,
                user_data,
                [],
                instance_type=instance_type,
                is_instance_type_default=not instance_type,
                subnet_id=subnet_id,
                placement=zone,
                key_name=key_name,
                security_group_ids=groups,
                spot_fleet_id=spot_fleet_id,
                tags=tags or {},
                lifecycle="spot",
            )
            request = LocalSpotRequest(
                backend,
                bid=f"{float(price):.6f}" if price else None,
                kind=spot_instance_type,
                interruption="terminate",
                specification={
                    "ImageId": image_id,
                    "InstanceType": instance_type,
                    "KeyName": key_name,
                    "SubnetId": subnet_id,
                    "Placement": {"AvailabilityZone": zone},
                    "SecurityGroups": [{"GroupId": group} for group in groups],
                    "Monitoring": {"Enabled": False},
                },
                tags=(tags or {}).get("spot-instances-request", {}),
            )
            self.spot_instance_requests[request.id] = request
            request.fulfil(reservation.instances[0])
            made.append(request)
        return made

    def _spot_requests(self, ids: list[str]) -> list[LocalSpotRequest]:
        for request_id in ids:
            if request_id not in self.spot_instance_requests:
                raise EC2ClientError(
                    "InvalidSpotInstanceRequestID.NotFound",
                    f"The spot instance request ID '{request_id}' does not exist",
                )
        return [self.spot_instance_requests[request_id] for request_id in ids]


class SpotAnswers(EC2Response):
    """Part of the EC2 API: prices."""

    def describe_spot_price_history(self) -> ActionResult:
        """Answer DescribeSpotPriceHistory."""
        filters: dict[str, list[str]] = {**cast(Any, self._filters_from_querystring())}
        types = list(self._get_param("InstanceTypes", []))
        zones = [zone] if (zone := self._get_param("AvailabilityZone")) else []
        products = list(self._get_param("ProductDescriptions", []))
        products += filters.pop("product-description", [])
        named_types = filters.pop("instance-type", None)
        named_zones = filters.pop("availability-zone", None)
        wanted_prices = filters.pop("spot-price", None)
        filters.pop("timestamp", None)
        if filters:
            raise EC2ClientError(
                "InvalidParameterValue", f"The filter '{next(iter(filters))}' is invalid"
            )
        chosen = [
            pool
            for pool in market.pools(self.region, types, zones)
            if (named_types is None or pool[0] in named_types)
            and (named_zones is None or pool[1] in named_zones)
        ]
        if products and not set(products) & set(market.PRODUCTS):
            chosen = []
        now = clock.now()
        end = min(_time(self._get_param("EndTime")) or now, now)
        start = _time(self._get_param("StartTime")) or datetime.fromtimestamp(0, UTC)
        return self._page(chosen, start, end, wanted_prices)

    def _page(
        self,
        chosen: list[tuple[str, str]],
        start: datetime,
        end: datetime,
        wanted: list[str] | None,
    ) -> ActionResult:
        size = min(int(self._get_param("MaxResults", 1000) or 1000), 1000)
        # The token carries the end of the first page's period: later pages see the same history.
        skip, end = _read_token(self._get_param("NextToken"), end)
        page: list[dict[str, Any]] = []
        more = False
        found = (
            price
            for price in market.history(chosen, start, end)
            if wanted is None or price.text in wanted
        )
        for index, price in enumerate(found):
            if index < skip:
                continue
            if len(page) == size:
                more = True
                break
            page.append(
                {
                    "InstanceType": price.instance_type,
                    "AvailabilityZone": price.zone,
                    "ProductDescription": "Linux/UNIX",
                    "SpotPrice": price.text,
                    "Timestamp": price.since,
                }
            )
        # Rounded down: rounded up, a price that begins within that second would be on later pages.
        token = f"{skip + size}@{math.floor(end.timestamp())}" if more else ""
        return ActionResult({"SpotPriceHistory": page, "NextToken": token})


def _read_token(token: str | None, end: datetime) -> tuple[int, datetime]:
    if not token:
        return 0, end
    try:
        skip, _, until = token.partition("@")
        return int(skip), datetime.fromtimestamp(int(until), UTC)
    except ValueError:
        raise EC2ClientError(
            "InvalidPaginationToken", f"The pagination token '{token}' is invalid"
        ) from None


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    assert isinstance(value, datetime)
    return value if value.tzinfo else value.replace(tzinfo=UTC)
