"""How moto finds what an answer is made of, with the names that it tries worked out once for each.

For each field of each thing in an answer it works out anew under which names the thing may have
it, which is two thirds of the work of an answer. They follow from the field and the thing's class.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import moto.core.responses
from moto.core.serialize import MISSING, AttributePickerContext, XFormedAttributePicker, get_value

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


def use() -> None:
    """Have this process's moto use it."""
    moto.core.responses.XFormedAttributePicker = Picker
