"""DescribeInstances' filters: moto knows some of them, without wildcards; EC2 has these."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from moto.ec2.exceptions import EC2ClientError

_Values = Callable[[Any, Any], Iterable[object]]
"""The values that an instance (of a reservation) has for a filter; it passes if one matches."""


def _tags(instance: Any) -> dict[str, str]:
    tags: dict[str, str] = instance.ec2_backend.tags.get(instance.id, {})
    return tags


_FILTERS: dict[str, _Values] = {
    "architecture": lambda i, _: [i.architecture],
    "availability-zone": lambda i, _: [i.availability_zone],
    "block-device-mapping.volume-id": lambda i, _: [
        device.volume_id for _, device in i.get_block_device_mapping
    ],
    "client-token": lambda i, _: [i.client_token],
    "dns-name": lambda i, _: [i.public_dns_name],
    "group-id": lambda i, _: [group.id for group in i.security_groups],
    "group-name": lambda i, _: [group.name for group in i.security_groups],
    "image-id": lambda i, _: [i.image_id],
    "instance-id": lambda i, _: [i.id],
    "instance-lifecycle": lambda i, _: [i.lifecycle],
    "instance-state-code": lambda i, _: [i.state_code],
    "instance-state-name": lambda i, _: [i.state],
    "instance-type": lambda i, _: [i.instance_type],
    "instance.group-id": lambda i, _: [group.id for group in i.security_groups],
    "instance.group-name": lambda i, _: [group.name for group in i.security_groups],
    "ip-address": lambda i, _: [i.public_ip],
    "key-name": lambda i, _: [i.key_name],
    "network-interface.network-interface-id": lambda i, _: [n.id for n in i.network_interfaces],
    "network-interface.private-dns-name": lambda i, _: [i.private_dns_name],
    "network-interface.subnet-id": lambda i, _: [n.subnet.id for n in i.network_interfaces],
    "network-interface.vpc-id": lambda i, _: [n.vpc_id for n in i.network_interfaces],
    "owner-id": lambda _, r: [r.owner_id],
    "placement-group-name": lambda i, _: [i.placement.group_name],
    "private-dns-name": lambda i, _: [i.private_dns_name],
    "private-ip-address": lambda i, _: [i.private_ip],
    "product-code": lambda i, _: i.product_codes,
    "reservation-id": lambda _, r: [r.id],
    "root-device-name": lambda i, _: [i.root_device_name],
    "root-device-type": lambda i, _: [i.root_device_type],
    "source-dest-check": lambda i, _: [str(i.source_dest_check).lower()],
    "spot-instance-request-id": lambda i, _: [i.spot_instance_request_id],
    "state-reason-code": lambda i, _: [i.state_reason.code],
    "subnet-id": lambda i, _: [i.subnet_id],
    "tag-key": lambda i, _: list(_tags(i)),
    "tag-value": lambda i, _: list(_tags(i).values()),
    "tenancy": lambda i, _: [i.placement.tenancy],
    "virtualization-type": lambda i, _: [i.virtualization_type],
    "vpc-id": lambda i, _: [i.vpc_id],
}


def passes(instance: Any, reservation: Any, filters: Mapping[str, Sequence[str]]) -> bool:
    """Return whether an instance passes all `filters`.

    Raises
    ------
    EC2ClientError
        ``InvalidParameterValue`` for a filter that EC2 does not have (or we do not).
    """
    for name, wanted in filters.items():
        if name.startswith("tag:"):
            values: Iterable[object] = [_tags(instance).get(name.removeprefix("tag:"))]
        elif name in _FILTERS:
            values = _FILTERS[name](instance, reservation)
        else:
            raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        if not any(matches(str(value), wanted) for value in values if value is not None):
            return False
    return True


def matches(value: str, wanted: Iterable[str]) -> bool:
    """Return whether a value is one of those wanted, in which ``*`` and ``?`` stand for any."""
    return any(_pattern(pattern).match(value) is not None for pattern in wanted)


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    # A backslash takes a wildcard's meaning away; a bracket has none in EC2.
    escaped = pattern.replace("[", "[[]").replace(r"\*", "[*]").replace(r"\?", "[?]")
    return re.compile(fnmatch.translate(escaped))
