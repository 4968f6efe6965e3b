"""The private names of moto that the local cloud stands on, and what is changed in it.

Its EC2 is imported where it is needed: `read_offerings_when_asked` is called before it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from moto.core import serialize
from moto.core.base_backend import BackendDict
from moto.utilities import utils

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
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, EC2_RESOURCE_TO_PREFIX

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
    from moto.ec2.models import ec2_backends

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


_OFFERINGS = "ec2/resources/instance_type_offerings"


class Offerings(Mapping[str, list[dict[str, Any]]]):
    """Which instance types each region offers, as moto has it, read when it is asked for.

    Parameters
    ----------
    kind : str
        What its places are: ``region``, ``availability-zone`` or ``availability-zone-id``.
    regions : iterable of str
        Those of which moto has a list.
    """

    def __init__(self, kind: str, regions: Iterable[str]) -> None:
        self.kind = kind
        self.known: dict[str, list[dict[str, Any]] | None] = dict.fromkeys(regions)

    def __getitem__(self, region: str) -> list[dict[str, Any]]:
        found = self.known[region]
        if found is None:
            found = utils.load_resource(f"{_OFFERINGS}/{self.kind}/{region}.json")
            for one in found:
                one["LocationType"] = self.kind
            self.known[region] = found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)


def read_offerings_when_asked() -> None:
    """Have moto read what a region offers when that is asked for; before its EC2 is imported.

    When that is imported, it reads three lists of each of thirty regions: a fifth of what a local
    cloud took of a processor until it listened. Most clouds are asked for one region.
    """
    if "moto.ec2.models.instance_types" in sys.modules:
        return
    load = utils.load_resource

    def load_others(resource: str) -> Any:
        return [] if resource.startswith(f"{_OFFERINGS}/") else load(resource)

    utils.load_resource = load_others
    try:
        from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS
    finally:
        utils.load_resource = load
    for kind, regions in INSTANCE_TYPE_OFFERINGS.items():
        INSTANCE_TYPE_OFFERINGS[kind] = Offerings(kind, regions)
