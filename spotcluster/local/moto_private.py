"""The private names of moto that the local cloud stands on, and what is changed in it.

Its EC2 is imported where it is needed: `read_offerings_when_asked` is called before it is.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from moto.core import responses, serialize
from moto.core.base_backend import BackendDict
from moto.core.serialize import (
    AttributePickerContext,
    EC2Serializer,
    ResponseSerializer,
    XFormedAttributePicker,
)
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


# How moto makes an answer, with what is always the same worked out once. For each field of each
# thing in an answer it works out anew under which names the thing may have it; they follow from the
# field and the thing's class. Of EC2's answers it makes XML by xmltodict, which looks at each name
# of an element anew, and goes through a parser's events.

# What is changed in these, and what they have of others: no checker of types is to look.
_responses: Any = responses
_serialize: Any = serialize
_kinds: Any = (ResponseSerializer, EC2Serializer)

_MISSING = _serialize.MISSING
_of_serializer = ResponseSerializer.get_value


class Picker(XFormedAttributePicker):
    """As moto's; gives the same."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.ends = _transforms.setdefault(tuple(self.response_transformers), {})

    def pick(self, path: list[str], obj: Any, key: str, names: tuple[str, ...]) -> Any:
        """Return what an object has under the first of some names, transformed as moto would."""
        found = None
        is_mapping = hasattr(obj, "__getitem__")
        for name in names:
            if is_mapping or "." in name:
                value = _serialize.get_value(obj, name, _MISSING)
            else:
                value = getattr(obj, name, _MISSING)
            if value is not _MISSING:
                found = value
                break
        if not self.response_transformers:
            return found
        place = (*path, key)
        if place not in self.ends:
            ends = (one for one in self.response_transformers if ".".join(place).endswith(one))
            self.ends[place] = next(ends, None)
        transform = self.ends[place]
        return found if transform is None else self.response_transformers[transform](found)


_transforms: dict[tuple[str, ...], dict[tuple[str, ...], str | None]] = {}


def _value(self: ResponseSerializer, value: Any, key: str, shape: Any) -> Any:
    picker = self._value_picker
    if not isinstance(picker, Picker):
        return _of_serializer(self, value, key, shape)
    known: dict[tuple[str, type], tuple[str, ...]] = shape.__dict__.setdefault("names_here", {})
    kind = (key, type(value))
    if kind not in known:
        context = AttributePickerContext(value, key, shape)
        known[kind] = tuple(dict.fromkeys(picker.get_possible_keys(context)))
    return picker.pick(self.path, value, key, known[kind])


def _request_id(headers: dict[str, Any] | None = None) -> str:
    """Return what moto draws letter by letter."""
    own = os.urandom(26).hex().upper()
    if headers is not None:
        headers["x-amzn-requestid"] = own
    return own


_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
_is_sound = functools.cache(_serialize.xmltodict._validate_name)
"""Raises what xmltodict raises where a name cannot be that of an element."""


def xml(body: Mapping[str, Any]) -> str:
    """Return what xmltodict makes of an answer, with empty elements short."""
    ((name, content),) = body.items()
    parts = [_HEAD]
    _write(name, content, parts)
    return "".join(parts)


def _write(name: str, value: Any, parts: list[str]) -> None:
    _is_sound(name, "element")
    for one in value if isinstance(value, list) else [value]:
        parts.append(f"<{name}")
        if isinstance(one, dict):
            inner: list[str] = []
            for key, below in one.items():
                if key.startswith("@"):
                    parts.append(f" {key[1:]}={quoteattr(str(below))}")
                else:
                    _write(key, below, inner)
        else:
            text = one if isinstance(one, str) else _text(one)
            inner = [escape(text)] if text else []
        parts.extend([">", *inner, f"</{name}>"] if inner else ["/>"])


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def answer_quickly() -> None:
    """Have this process's moto make its answers so."""
    of_all, of_ec2 = _kinds
    _responses.XFormedAttributePicker = Picker
    _responses.gen_amzn_requestid_long = _request_id
    of_all.get_value = _value
    of_ec2._serialize_body = lambda _, body: xml(body)
