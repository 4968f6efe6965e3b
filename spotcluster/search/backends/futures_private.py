"""The private names of concurrent.futures, and of loky, that we stand on; no other module uses any.

An executor does not say how many workers it has.
"""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

_PROCESSES = (
    "concurrent.futures.process",
    "loky.process_executor",
    "joblib.externals.loky.process_executor",
)


def is_of_threads(executor: Any) -> bool:
    """Return whether the workers of an executor are threads of this process."""
    return isinstance(executor, ThreadPoolExecutor)


def is_of_processes(executor: Any) -> bool:
    """Return whether the workers of an executor are processes of this computer."""
    return isinstance(executor, Executor) and any(
        (kind.__module__, kind.__name__) == (module, "ProcessPoolExecutor")
        for kind in type(executor).__mro__
        for module in _PROCESSES
    )


def workers_of(executor: Any) -> int:
    """Return how many workers an executor of either kind has, or will have when they are needed."""
    return int(executor._max_workers)
