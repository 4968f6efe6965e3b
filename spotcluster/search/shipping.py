"""Calls functions of the package `engine` on engines that do not have spotcluster."""

from __future__ import annotations

import hashlib
import json
import pickle
import threading
import zlib
from collections.abc import Callable
from typing import Any

from spotcluster import assembly
from spotcluster.search.cloudpickle_private import cloudpickle
from spotcluster.search.engine import place

_TEXT = json.dumps(assembly.sources("spotcluster.search.engine")).encode()
_DIGEST = hashlib.sha256(_TEXT).hexdigest()[:16]
_SOURCE = zlib.compress(_TEXT, 9)


def call(digest: str, source: bytes, name: str, *args: Any) -> Any:
    """Call a function of the package with this digest, making it first where it is not known.

    ipyparallel sends a function that belongs to ``__main__`` as code and any other by its name, so
    this one says that it belongs there; it must not use anything outside itself.
    """
    import json
    import sys
    import threading
    import types
    import zlib

    package_name = "spotcluster_engine_" + digest
    package = sys.modules.get(package_name)
    if package is None or not hasattr(package, "whole"):
        # A worker may have several threads: one of them makes it, and the others wait.
        maker = sys.modules.setdefault(package_name + "_maker", types.ModuleType("maker"))
        with maker.__dict__.setdefault("lock", threading.Lock()):
            package = sys.modules.get(package_name)
            if package is None:
                package = types.ModuleType(package_name)
                sys.modules[package_name] = package
                try:
                    for module_name, text in json.loads(zlib.decompress(source)):
                        full_name = package_name + "." + module_name
                        module = types.ModuleType(full_name)
                        module.__package__ = package_name
                        exec(compile(text, "<" + full_name + ">", "exec"), module.__dict__)  # noqa: S102 - our own text, see `send`
                        sys.modules[full_name] = module
                        setattr(package, module_name, module)
                    package.whole = True  # type: ignore[attr-defined]
                except BaseException:
                    del sys.modules[package_name]
                    raise
    module_name, function_name = name.split(".")
    return getattr(getattr(package, module_name), function_name)(*args)


call.__module__ = "__main__"
call.spotcluster_lives = 1  # type: ignore[attr-defined]  # a search counts its losses itself


# ipyparallel numbers its messages without a lock, and ours are sent by several threads.
one_at_a_time = threading.Lock()


def pack(thing: Any) -> bytes:
    """Pickle a thing for an engine; classes and functions of a notebook go along by value."""
    return bytes(cloudpickle.dumps(thing))


def name_of(function: Callable[..., Any]) -> str:
    """Return by which name a function of `engine` is known there."""
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def called(function: Callable[..., Any]) -> tuple[Any, ...]:
    """Return what runs a function of `engine` on an engine, and what it is given first."""
    return call, _DIGEST, _SOURCE, name_of(function)


def send(view: Any, function: Callable[..., Any], *args: Any) -> Any:
    """Have an engine of `view` run a function of `engine`; return ipyparallel's AsyncResult."""
    with one_at_a_time:
        return view.apply_async(*called(function), *args)


class _Code:
    """`call`, which is not to be imported where it goes to, and of which pickle takes the name."""

    def __call__(self, *args: Any) -> Any:
        return call(*args)

    def __reduce__(self) -> Any:
        return pickle.loads, (_CALL,)


_CALL = pack(call)


def placed(where: dict[str, Any], function: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
    """Return what runs a function of `engine` in a place, see `engine.place`: with arguments."""
    return _Code(), _DIGEST, _SOURCE, name_of(place.call), where, name_of(function), *args
