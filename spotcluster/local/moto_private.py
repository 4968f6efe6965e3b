"""The private names of moto that the local cloud stands on; no other module uses any."""

from __future__ import annotations

from typing import Any

INHERITED = (
    "_filters_from_querystring",
    "_get_param",
    "_load_amis",
    "_parse_tag_specification",
    "_private_ips",
    "_reason",
)
"""What our own classes override, or call on themselves: `ec2`, `spot`, `launches`, `instances`."""


def parameters_of(ssm: Any) -> dict[str, Any]:
    """Return what SSM's parameter store has in a region: what it holds, and not a copy."""
    found: dict[str, Any] = ssm._parameters
    return found


def template_of(ec2: Any, asked: dict[str, Any]) -> Any:
    """Return the version of a launch template that a request names."""
    return ec2._get_template_from_args(asked)
