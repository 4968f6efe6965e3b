"""The private names of moto that the local cloud stands on; no other module uses any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.core import serialize
from moto.core.base_backend import BackendDict
from moto.ec2.models import ec2_backends
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, EC2_RESOURCE_TO_PREFIX

INHERITED = (
    "_filters_from_querystring",
    "_get_param",
    "_load_amis",
    "_parse_tag_specification",
    "_private_ips",
    "_reason",
    "_spot_fleet_id",
    "_url_module",
)
"""What our own classes override, or call on themselves: `ec2`, `spot`, `launches`, `instances`."""


def parameters_of(ssm: Any) -> dict[str, Any]:
    """Return what SSM's parameter store has in a region: what it holds, and not a copy."""
    found: dict[str, Any] = ssm._parameters
    return found


def know_prefix(kind: str, prefix: str) -> None:
    """Let moto know what the ids of a kind of resource begin with, where it looks for tags."""
    EC2_RESOURCE_TO_PREFIX[kind] = prefix
    EC2_PREFIX_TO_RESOURCE[prefix] = kind


def template_of(ec2: Any, asked: dict[str, Any]) -> Any:
    """Return the version of a launch template that a request names."""
    return ec2._get_template_from_args(asked)


class _PrefixOfMotos(serialize.ClassPrefixAlias):
    """Finds `InstanceId` as the id of an Instance also where its class is ours, below moto's."""

    def has_alias(self, key: str) -> bool:
        return key.lower().startswith(self.prefix().lower())

    def get_alias(self, key: str) -> str:
        return key[len(self.prefix()) :]

    def prefix(self) -> str:
        """Return the name of the class, or of the one of moto's that it stands for."""
        own = type(self.context.obj)
        motos = (base for base in own.__mro__ if base.__module__.startswith("moto."))
        return next(motos, own).__name__


def look_through_subclasses() -> None:
    """Let moto find what it finds in objects of its own in those of classes below them too."""
    providers = serialize.DEFAULT_ALIAS_PROVIDERS
    providers[providers.index(serialize.ClassPrefixAlias)] = _PrefixOfMotos


@contextmanager
def stand_in(backends: BackendDict[Any]) -> Iterator[None]:
    """Have moto's modules find `backends` where they ask for the EC2 of an account and a region.

    They do so wherever a call concerns two regions, two accounts or another service.
    """

    def take_from_ours(account: str) -> None:
        ec2_backends[account] = backends[account]

    regions, own = dict(ec2_backends), dict(vars(ec2_backends))
    ec2_backends.clear()
    ec2_backends.update(backends)
    # Where an account is not among them yet: it is to be in both books from its first call on.
    vars(ec2_backends)["_create_account_specific_backend"] = take_from_ours
    try:
        yield
    finally:
        ec2_backends.clear()
        ec2_backends.update(regions)
        vars(ec2_backends).clear()
        vars(ec2_backends).update(own)
