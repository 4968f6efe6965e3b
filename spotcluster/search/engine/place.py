"""Where a call runs that has not come by ipyparallel: a worker of somebody else's, or a thread.

There may be several at once in one process. Such a worker does not know that it is an engine, so it
is told with each call; and how to tell something before the answer.

It is sent to the engines with `here`, and like it imports nothing else of spotcluster.
"""

from __future__ import annotations

import contextlib
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

PATIENCE = 1.0  # seconds that it may take to tell something

_here = threading.local()
_controllers: dict[int, Any] = {}


class Refused(Exception):
    """The call is for another engine."""


def call(place: dict[str, Any], name: str, *args: Any) -> tuple[str, Any]:
    """Call a function of this package in a place.

    Parameters
    ----------
    place : dict
        ``engine``, ``uuid``: which engine this is. ``apart``: whether nothing else runs in this
        process meanwhile. ``threads``: how many threads each library may use, None if that is not
        to be seen to. ``address``: that of this host, by which others reach it, or None.
        ``tell``: whom to tell something before the answer, see `tell`.
    name : str
        ``module.function``.

    Returns
    -------
    str
        ``"answer"`` or ``"refused"``.
    any
        What the function gave, or the note that says why it was refused.
    """
    module, function = name.split(".")
    try:
        with within(place):
            return "answer", getattr(sys.modules[f"{__package__}.{module}"], function)(*args)
    except Refused as error:
        return "refused", error.args[0]


@contextlib.contextmanager
def within(place: dict[str, Any] | None) -> Iterator[None]:
    """Have the body run in a place, as far as this thread is concerned."""
    before = current()
    _here.place = place
    try:
        yield
    finally:
        _here.place = before


def tell(note: dict[str, Any]) -> None:
    """Give the client a note: by a function of its own, or through a socket of this host."""
    place = current()
    to = place["tell"] if place else None
    if callable(to):
        to(note)
    elif to is not None:
        address, number = to
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE)
            line.connect(address)
            line.sendall(pickle.dumps((number, note)))


def current() -> dict[str, Any] | None:
    """Return the place of the call that this thread runs; None if it has come by ipyparallel."""
    place: dict[str, Any] | None = getattr(_here, "place", None)
    return place


def is_apart() -> bool:
    """Return whether nothing else runs in this process, so that what all share may be changed."""
    place = current()
    return place is None or bool(place["apart"])


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Have libraries use no more threads than this engine's share of the cores."""
    place = current()
    most = place["threads"] if place else None
    if most is None:
        yield
        return
    from threadpoolctl import ThreadpoolController

    loaded = len(sys.modules)  # to look for libraries takes longer than to limit them
    if loaded not in _controllers:
        _controllers.clear()
        _controllers[loaded] = ThreadpoolController()
    found = _controllers[loaded]
    if all(library["num_threads"] <= most for library in found.info()):
        yield
        return
    with found.limit(limits=most):
        yield
