"""Calls functions of `engine` on engines that do not have spotcluster."""

from __future__ import annotations

import hashlib
import threading
import zlib
from importlib import resources
from typing import Any

try:
    # What joblib brings along is what engines have: its own copy before 1.6, the package since.
    from joblib.externals import cloudpickle
except ImportError:
    import cloudpickle  # type: ignore[import-untyped]  # it has no types

_TEXT = resources.files("spotcluster.search").joinpath("engine.py").read_bytes()
_DIGEST = hashlib.sha256(_TEXT).hexdigest()[:16]
_SOURCE = zlib.compress(_TEXT, 9)


def call(digest: str, source: bytes, name: str, *args: Any) -> Any:
    """Call a function of the module with this digest, making it first where it is not known.

    ipyparallel sends a function that belongs to ``__main__`` as code and any other by its name, so
    this one says that it belongs there; it must not use anything outside itself.
    """
    import sys
    import types
    import zlib

    full_name = "spotcluster_engine_" + digest
    module = sys.modules.get(full_name)
    if module is None:
        module = types.ModuleType(full_name)
        code = compile(zlib.decompress(source), "<" + full_name + ">", "exec")
        exec(code, module.__dict__)  # noqa: S102 - our own text, see `parcel`
        sys.modules[full_name] = module
    return getattr(module, name)(*args)


call.__module__ = "__main__"


# ipyparallel numbers its messages without a lock, and ours are sent by several threads.
_one_at_a_time = threading.Lock()


def pack(thing: Any) -> bytes:
    """Pickle a thing for an engine; classes and functions of a notebook go along by value."""
    return bytes(cloudpickle.dumps(thing))


def send(view: Any, name: str, *args: Any) -> Any:
    """Have an engine of `view` run ``engine.NAME(*args)``; return ipyparallel's AsyncResult."""
    with _one_at_a_time:
        return view.apply_async(call, _DIGEST, _SOURCE, name, *args)
