"""What an instance costs: on demand, and now on the spot market."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from spotcluster.aws.calls import call, every
from spotcluster.aws.session import LOCAL, Session
from spotcluster.errors import CloudError

_LINUX = "Linux/UNIX"
_MONTH = 730.0  # hours, as in AWS's own calculator
_DISK = 0.08  # USD for a GiB of gp3 and a month: us-east-1, where the price list may not be read


def spot_pools(
    session: Session, names: Sequence[str], zone: str | None = None
) -> dict[tuple[str, str], float]:
    """Return the spot prices of types now in USD per hour, by type and zone."""
    newest: dict[tuple[str, str], tuple[datetime, float]] = {}
    for item in every(
        session.ec2.describe_spot_price_history,
        "SpotPriceHistory",
        InstanceTypes=list(names),
        ProductDescriptions=[_LINUX],
        StartTime=datetime.now(UTC) - timedelta(minutes=1),
        AvailabilityZone=zone,
    ):
        entry = (item["Timestamp"], float(item["SpotPrice"]))
        place = (item["InstanceType"], item["AvailabilityZone"])
        newest[place] = max(newest.get(place, entry), entry)
    return {place: price for place, (_, price) in newest.items()}


def on_demand(session: Session, name: str) -> float | None:
    """Return the on-demand price of a type in USD per hour; None when AWS does not tell us.

    The price list is a service of its own; credentials that may start instances often may not
    read it, which is no reason to refuse anything.
    """
    wanted = {
        "instanceType": name,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    return _listed(session, wanted)


def disk_hour(session: Session) -> float:
    """Return what a GiB of a node's disk (gp3) costs in USD per hour.

    Where AWS does not tell us, it is the price of us-east-1.
    """
    per_month = _listed(session, {"productFamily": "Storage", "volumeApiName": "gp3"})
    return (_DISK if per_month is None else per_month) / _MONTH


def _listed(session: Session, wanted: Mapping[str, str]) -> float | None:
    """Return the price in the price list of what is wanted, in the session's region."""
    # The price list is served from a few regions only, for all of them.
    client = session.client("pricing", region_name="us-east-1")
    region = "us-east-1" if session.region == LOCAL else session.region
    try:
        answer = call(
            client.get_products,
            ServiceCode="AmazonEC2",
            Filters=[
                {"Type": "TERM_MATCH", "Field": key, "Value": value}
                for key, value in {**wanted, "regionCode": region}.items()
            ],
        )
    except CloudError:
        return None
    for text in answer["PriceList"]:
        item = json.loads(text) if isinstance(text, str) else text
        for term in item.get("terms", {}).get("OnDemand", {}).values():
            for dimension in term["priceDimensions"].values():
                price = float(dimension["pricePerUnit"]["USD"])
                if price > 0:
                    return price
    return None


@dataclass(frozen=True)
class ZoneHistory:
    """The spot prices of a type in a zone, in USD per hour.

    Attributes
    ----------
    changes : tuple of (datetime, float)
        From when each price held, the oldest first; the last one holds now.
    average : float
        Weighted by how long each price held.
    """

    zone: str
    current: float
    maximum: float
    average: float
    changes: tuple[tuple[datetime, float], ...] = field(repr=False)


def spot_changes(
    session: Session, names: Sequence[str], since: datetime, zone: str | None = None
) -> dict[tuple[str, str], tuple[tuple[datetime, float], ...]]:
    """Return from when each spot price of types held, by type and zone, the oldest first.

    The price that held at `since` is the first, the one that holds now is the last.
    """
    told: dict[tuple[str, str], list[tuple[datetime, float]]] = {}
    for item in every(
        session.ec2.describe_spot_price_history,
        "SpotPriceHistory",
        InstanceTypes=list(names),
        ProductDescriptions=[_LINUX],
        StartTime=since,
        AvailabilityZone=zone,
    ):
        place = (item["InstanceType"], item["AvailabilityZone"])
        told.setdefault(place, []).append((item["Timestamp"], float(item["SpotPrice"])))
    return {place: tuple(sorted(changes)) for place, changes in told.items()}


def spot_history(
    session: Session, name: str, *, days: float, zone: str | None = None
) -> list[ZoneHistory]:
    """Return the spot prices of a type over the last days, by zone, the cheapest now first."""
    now = datetime.now(UTC)
    start = now - timedelta(days=days)
    told = spot_changes(session, [name], start, zone)
    found = [_summary(place, changes, start, now) for (_, place), changes in told.items()]
    return sorted(found, key=lambda one: (one.current, one.zone))


def _summary(
    zone: str, told: Sequence[tuple[datetime, float]], start: datetime, now: datetime
) -> ZoneHistory:
    """Sum up prices, the oldest first, from `start` to `now`.

    EC2's clock may be ahead of this computer's, so that a price begins after `now`.
    """
    changes = [(max(when, start), price) for when, price in told]
    ends = [when for when, _ in changes[1:]] + [max(now, changes[-1][0])]
    seconds = [(end - when).total_seconds() for (when, _), end in zip(changes, ends, strict=True)]
    weighed = sum(s * price for s, (_, price) in zip(seconds, changes, strict=True))
    average = weighed / sum(seconds) if sum(seconds) else changes[-1][1]
    highest = max(price for _, price in changes)
    return ZoneHistory(zone, changes[-1][1], highest, average, tuple(changes))
