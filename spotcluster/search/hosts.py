"""Questions to the engines and hosts of a client."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from spotcluster.errors import SearchError
from spotcluster.search import shipping
from spotcluster.search.backends.protocol import Backend, Gone
from spotcluster.search.engine import here
from spotcluster.wording import listed

LIMIT = 60.0
LOOK = 10.0


def get_engines_memory(client: Any, timeout: float = LIMIT) -> dict[int, float]:
    """Return the memory that each engine uses.

    Parameters
    ----------
    client : ipyparallel.Client
    timeout : float
        Seconds to wait; an engine answers when it has finished what it is doing.

    Returns
    -------
    dict
        Megabytes by engine id.
    """
    return _ask(client, _engines_of(client), timeout, here.memory_mb)


def get_host_free_memory(client: Any, timeout: float = LIMIT) -> dict[str, float]:
    """Return the free memory of each host, in megabytes by host."""
    hosts = one_engine_per_host(client, timeout)
    answers = _ask(client, list(hosts.values()), timeout, here.free_memory_mb)
    return {host: answers[engine] for host, engine in hosts.items()}


def one_engine_per_host(client: Any, timeout: float = LIMIT) -> dict[str, int]:
    """Return the id of one engine on each host, by host.

    ``client[list(one_engine_per_host(client).values())]`` is a view of them.
    """
    answers = _ask(client, _engines_of(client), timeout, here.identity)
    hosts: dict[str, int] = {}
    for engine, who in answers.items():
        hosts.setdefault(who["node"], engine)
    return hosts


def warm_mmap_on_cv_splits(
    client: Any, cv_split_filenames: Sequence[str | PathLike[str]], timeout: float = 600.0
) -> None:
    """Read the split files once on each host, by one engine, so that mapping them is quick.

    Evaluations that come later then do not compete for the disk. Files that a host does not have
    under these names are passed over: a search brings them, which warms them as well.
    """
    hosts = one_engine_per_host(client, timeout)
    names = [str(Path(name).absolute()) for name in cv_split_filenames]
    _ask(client, list(hosts.values()), timeout, here.warm, names)


def check_compiled(backend: Backend, modules: Collection[str], timeout: float = LOOK) -> None:
    """See whether engines have the compiled modules of the user's, which cannot be sent.

    Raises
    ------
    SearchError
        If there is one that no engine has, of those that answer in time.
    """
    if not modules:
        return
    asked = []
    for engine in backend.engines():
        with contextlib.suppress(Gone):
            asked.append(backend.call(engine, here.lacking, sorted(modules)))
    end = time.monotonic() + timeout
    answers = []
    for pending in asked:
        with contextlib.suppress(Exception):  # it answers too late, or has gone meanwhile
            answers.append(set(pending.result(max(0.0, end - time.monotonic()))))
    if answers and (lacked := set.intersection(*answers)):
        raise SearchError(
            f"No engine has {listed(sorted(lacked))}, which the search needs; compiled modules"
            " cannot be sent.",
            "Build a wheel of your project and install it on the nodes: %px %pip install FILE.",
        )


def _engines_of(client: Any) -> list[int]:
    try:
        return list(client.ids)
    except AttributeError:
        raise SearchError(
            f"Only an ipyparallel client is asked for this, and this is a {type(client).__name__}."
        ) from None


def _ask(
    client: Any, engines: list[int], timeout: float, function: Callable[..., Any], *args: Any
) -> dict[int, Any]:
    if not engines:
        raise SearchError("The cluster has no engines.", "Wait until some have registered.")
    pending = shipping.send(client[engines], function, *args)
    try:
        answers = pending.get(timeout)
    except TimeoutError:
        done = f"{pending.progress} of {len(engines)} engines answered"
        raise SearchError(
            f"Only {done} within {timeout:.0f} s.", "Engines that are busy answer afterwards."
        ) from None
    return dict(zip(engines, answers, strict=True))
