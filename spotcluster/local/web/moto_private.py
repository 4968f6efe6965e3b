"""How moto makes an answer, with what is always the same worked out once.

For each field of each thing in an answer it works out anew under which names the thing may have
it. They follow from the field and the thing's class. Of EC2's answers it makes XML by xmltodict,
which looks at each name of an element anew, and goes through a parser's events.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from moto.core import responses, serialize
from moto.core.serialize import (
    AttributePickerContext,
    EC2Serializer,
    ResponseSerializer,
    XFormedAttributePicker,
)

# What is changed here, and what those modules have of others: no checker of types is to look.
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
