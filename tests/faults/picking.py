"""How moto makes an answer, with what is always the same worked out once.

For each field of each thing in an answer it works out anew under which names the thing may have
it. They follow from the field and the thing's class. Of EC2's answers it makes XML by xmltodict,
which looks at each name of an element anew, and goes through a parser's events.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary
from xml.sax.saxutils import escape, quoteattr

import moto.core.responses
from moto.core import serialize
from moto.core.serialize import (
    MISSING,
    AttributePickerContext,
    EC2Serializer,
    XFormedAttributePicker,
    get_value,
)

_names: WeakKeyDictionary[Any, dict[tuple[str, type], tuple[str, ...]]] = WeakKeyDictionary()
_transforms: dict[tuple[str, ...], dict[str, str | None]] = {}


class Picker(XFormedAttributePicker):
    """As moto's; gives the same."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._paths = _transforms.setdefault(tuple(self.response_transformers), {})

    def __call__(self, context: AttributePickerContext) -> Any:
        of_field = _names.setdefault(context.shape, {})
        kind = (context.key, type(context.obj))
        if kind not in of_field:
            of_field[kind] = tuple(dict.fromkeys(self.get_possible_keys(context)))
        value = None
        for name in of_field[kind]:
            found = get_value(context.obj, name, MISSING)
            if found is not MISSING:
                value = found
                break
        path = f"{context.key_path}.{context.key}"
        if path not in self._paths:
            ends = (one for one in self.response_transformers if path.endswith(one))
            self._paths[path] = next(ends, None)
        transform = self._paths[path]
        return value if transform is None else self.response_transformers[transform](value)


_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
_is_sound = functools.cache(serialize.xmltodict._validate_name)
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


def use() -> None:
    """Have this process's moto use it."""
    moto.core.responses.XFormedAttributePicker = Picker
    EC2Serializer._serialize_body = lambda _, body: xml(body)
