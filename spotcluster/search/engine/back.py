"""Pickles what goes back to the client by value, of classes that only this process and it have.

It is sent to the engines with `here`, and like it imports nothing else of spotcluster.
"""

from __future__ import annotations

import contextlib
import pickle
from typing import Any


def dumps(thing: Any) -> bytes:
    """Pickle a thing; classes and functions that came by value go back so, and are known again."""
    try:  # as the client's
        from joblib.externals import cloudpickle
    except ImportError:
        import cloudpickle  # type: ignore[import-untyped,unused-ignore]

    return bytes(cloudpickle.dumps(thing))


def pickled(error: BaseException) -> bytes:
    """Pickle an exception, of a class that only this process has too.

    One that cannot be made anew from its arguments goes in parts: its class (the first of its bases
    that can be sent), its arguments and its attributes.
    """

    def sendable(thing: Any) -> bool:
        with contextlib.suppress(Exception):
            pickle.loads(dumps(thing))  # noqa: S301 - our own
            return True
        return False

    with contextlib.suppress(Exception):
        data = dumps(error)
        if type(pickle.loads(data)) is type(error):  # noqa: S301 - our own
            return data
    kind = next(kind for kind in type(error).__mro__ if sendable(kind))
    args = tuple(item if sendable(item) else repr(item) for item in error.args)
    state = {name: value for name, value in vars(error).items() if sendable(value)}
    return dumps((kind, args, state))
