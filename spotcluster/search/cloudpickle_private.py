"""The private names of cloudpickle that we stand on; no other module uses any.

It knows a class again that it has sent, when it comes back; and gives it then what came with it:
methods that are copies, and see the globals of long ago. A class that is here stays what it is.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

try:
    # What joblib brings along is what engines have: its own copy before 1.6, the package since.
    from joblib.externals.cloudpickle import cloudpickle
except ImportError:
    from cloudpickle import cloudpickle  # type: ignore[import-untyped] # it has no types

__all__ = ["cloudpickle", "loads"]

_SKELETONS = ("_make_skeleton_class", "_make_skeleton_enum")
_FILLS = "_class_setstate"


def loads(data: bytes) -> Any:
    """Unpickle what comes from an engine of ours, or from a ledger of this user's."""
    return _Unpickler(io.BytesIO(data)).load()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.known: list[Any] = []

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if module != cloudpickle.__name__:
            return found
        if name in _SKELETONS:
            return lambda *args: self.skeleton(found, *args)
        return self.fill if name == _FILLS else found

    def skeleton(self, make: Any, *args: Any) -> Any:
        tracker = args[-2]
        known = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(tracker)
        if known is None:
            return make(*args)
        self.known.append(known)
        return known

    def fill(self, kind: Any, state: Any) -> Any:
        if any(kind is one for one in self.known):
            return kind
        return cloudpickle._class_setstate(kind, state)
