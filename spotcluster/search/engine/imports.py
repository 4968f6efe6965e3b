"""The imports of a new engine, seconds of them, done while split files come to its host.

They are done in a thread, for the engine that brings the files is at that. Whatever fails there
fails again, and is told, when evaluations begin.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterable

LIMIT = 120.0  # seconds that evaluations wait for them before they import for themselves
_ALWAYS = ("joblib", "sklearn.metrics", "sklearn.utils")  # what fits need

_under_way: threading.Thread | None = None


def begin(names: Iterable[str] = ()) -> None:
    """Import what fits need, and these modules, beside what this engine does."""
    global _under_way
    wanted = [name for name in (*_ALWAYS, *names) if name not in sys.modules]
    if wanted and (_under_way is None or not _under_way.is_alive()):
        _under_way = threading.Thread(
            target=_import, args=(wanted,), name="spotcluster imports", daemon=True
        )
        _under_way.start()


def finish() -> None:
    """Wait for what is under way, and import what fits need and is still missing.

    Raises
    ------
    ImportError
        If it is not there; or whatever else a module raises.
    """
    # Two threads that import modules which need each other may find them half made.
    if _under_way is not None:
        _under_way.join(LIMIT)
    for name in _ALWAYS:
        importlib.import_module(name)


def _import(names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(BaseException):  # a module may do anything when it is imported
            importlib.import_module(name)
