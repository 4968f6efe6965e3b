"""Which engines a user has given to a search."""

from __future__ import annotations

from typing import Any

from spotcluster.errors import SearchError
from spotcluster.search.backends.dask import Dask
from spotcluster.search.backends.executors import Processes, Threads
from spotcluster.search.backends.futures_private import is_of_processes, is_of_threads
from spotcluster.search.backends.ipyparallel import IPyParallel
from spotcluster.search.backends.protocol import Backend


def backend_of(view: Any) -> Backend:
    """Return the engines of what a search was given.

    Raises
    ------
    SearchError
        If it was given none, or what has none.
    """
    if is_of_processes(view):
        return Processes(view)
    if is_of_threads(view):
        return Threads(view)
    if _is_of_dask(view):
        return Dask(view)
    if hasattr(view, "load_balanced_view"):  # a client
        return IPyParallel(view.load_balanced_view())
    if hasattr(view, "retries") and hasattr(view, "client"):
        return IPyParallel(view)
    if hasattr(view, "scatter") and hasattr(view, "client"):  # a DirectView
        return IPyParallel(view.client.load_balanced_view(view.targets))
    if view is None:
        raise SearchError(
            "The search has no view: it was given none, or it comes from a file or another process,"
            " where a connection cannot go.",
            "Give it one: search.set_params(view=client.load_balanced_view()).",
        )
    raise SearchError(
        f"A search cannot run on a {type(view).__name__}.",
        "Give it an ipyparallel client or view, a dask.distributed client, or an executor of"
        " threads or processes (concurrent.futures, loky).",
    )


def _is_of_dask(view: Any) -> bool:
    """Return whether this is a client of dask's, which is not imported for it."""
    return any(
        (kind.__module__, kind.__name__) == ("distributed.client", "Client")
        for kind in type(view).__mro__
    )
