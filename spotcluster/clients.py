"""ipyparallel's client as `connect` gives it: what it sends survives the loss of an engine.

- A task of a load-balanced view says how often it may be lost with its engine. The clusters'
  controller (templates/controller.py) sends it to another one until then. What raised is not tried
  again: ipyparallel's `retries` means both, and never the engine that there was.
- joblib's tasks go as those of searches do, so that functions and classes of a script, a notebook
  or a module of the user's go along. scikit-learn sends this computer's warning filters with each
  of them, which name classes that nodes may not have: those warn of nothing there.

This belongs to no room: programs on the master have the same client.
"""

from __future__ import annotations

import functools
import pickle
import sys
from typing import Any

import cloudpickle  # type: ignore[import-untyped]  # it has no types
import ipyparallel

from spotcluster.subscriptions import Subscribed

LIVES = 3
"""How many engines a task may take with it: it may be what they died of. Searches have the same."""
LIVES_OF = "spotcluster_lives"
"""The name of that in a task's metadata, and of a function's attribute that says another number."""


class Client(Subscribed, ipyparallel.Client):  # type: ignore[misc]  # ipyparallel has no types
    """A client whose tasks are sent again when their engine is lost.

    Attributes
    ----------
    cluster_name : str
        The cluster that it is a client of, for who looks at what runs there.
    """

    cluster_name = ""

    def ended(self) -> tuple[str, str] | None:
        """Return that nothing of the cluster's will answer any more, and what to do, if it is so.

        Only who has connected from elsewhere lives to ask.
        """
        return None

    def send_apply_request(
        self,
        socket: Any,
        f: Any,
        args: Any = None,
        kwargs: Any = None,
        metadata: dict[str, Any] | None = None,
        **more: Any,
    ) -> Any:
        """Send a task, as every view does."""
        if metadata is not None and "retries" in metadata:  # of a view that may send it elsewhere
            metadata = {**metadata, LIVES_OF: getattr(f, LIVES_OF, LIVES)}
        if is_of_joblib(f):
            f, args, kwargs = call, (pack(f),), {}
        return super().send_apply_request(socket, f, args, kwargs, metadata=metadata, **more)


def is_of_joblib(function: Any) -> bool:
    """Return whether this is a batch of calls of joblib's."""
    joblib = sys.modules.get("joblib")
    return joblib is not None and isinstance(function, joblib.parallel.BatchedCalls)


def pack(function: Any) -> bytes:
    """Pickle a function for engines that do not have all the warnings that are known here."""
    from spotcluster.search.parcels import parcel  # it takes long, and few need it

    return parcel(function, _warning).data


def unpack(data: bytes) -> Any:
    """Return what a function has returned."""
    from spotcluster.search.cloudpickle_private import loads

    return loads(data)


def _warning(thing: Any) -> Any:
    if isinstance(thing, type) and issubclass(thing, Warning) and thing.__module__ != "builtins":
        return pickle.loads, (_category(thing.__module__, thing.__qualname__),)
    return NotImplemented


@functools.cache
def _category(module: str, name: str) -> bytes:
    class Named:
        def __reduce__(self) -> Any:
            return category, (module, name)

    return bytes(cloudpickle.dumps(Named()))


# These two are sent as code, as belonging to `__main__`, and must use nothing outside themselves.


def category(module: str, name: str) -> Any:
    """Return a class of warnings, or one that stands for it where it cannot be had.

    What cannot be imported cannot warn either, so nothing is missed.
    """
    import functools
    import importlib

    try:
        return functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except Exception:  # noqa: BLE001 - importing may raise anything
        return type(name.rpartition(".")[2], (Warning,), {"__module__": module})


def call(packed: Any) -> Any:
    """Call what is packed; give what it returned as something that unpickles to it."""
    import pkgutil
    import sys

    import cloudpickle

    class Unpack:
        """`unpack`, which engines do not have."""

        def __call__(self, packed: bytes) -> Any: ...

        def __reduce__(self) -> Any:
            return pkgutil.resolve_name, ("spotcluster.clients:unpack",)

    class Answer:
        def __init__(self, value: Any) -> None:
            self.packed = cloudpickle.dumps(value)

        def __reduce__(self) -> Any:
            return Unpack(), (self.packed,)

    function, modules = cloudpickle.loads(packed)
    before = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)
    try:
        return Answer(function())
    finally:
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(before)


category.__module__ = call.__module__ = "__main__"
