"""Tells clients that this host is taken back while it works for them: after that nobody would.

One thread looks, for all messages that this process has at once. It stays for a while when there is
none: to begin and to end a thread with each was a quarter of what a message costs its engine.

It is sent to the engines with `here`, and like it imports nothing else of spotcluster.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from . import here, place

LOOK = 1.0  # seconds between two looks
STAYS = 30.0  # seconds that the thread stays when there is nothing to tell anybody

_to_tell: dict[object, tuple[dict[str, Any], dict[str, Any] | None]] = {}
_beginning = threading.Lock()
_looking: threading.Thread | None = None


@contextlib.contextmanager
def heralded(who: dict[str, Any]) -> Iterator[None]:
    """Have whoever waits for the body know if the host is taken back; `who`: `here.identity`."""
    global _looking
    message = object()
    try:
        with _beginning:
            _to_tell[message] = who, place.current()
            if _looking is None or not _looking.is_alive():
                _looking = threading.Thread(target=_look, name="spotcluster herald", daemon=True)
                _looking.start()
        yield
    finally:
        _to_tell.pop(message, None)


def _look() -> None:
    """Tell each of them once, until there has been nobody to tell for a while."""
    global _looking
    last = time.monotonic()
    while True:
        if _to_tell:
            last = time.monotonic()
            if (taken := here.taken()) is not None:
                for message, (who, where) in list(_to_tell.items()):
                    _to_tell.pop(message, None)
                    with place.within(where):
                        here.publish(taken={**who, "taken": taken})
        time.sleep(LOOK)
        with _beginning:
            if not _to_tell and time.monotonic() - last > STAYS:
                _looking = None
                return
