"""Questions to the engines and hosts of a client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from spotcluster.errors import SearchError
from spotcluster.search import shipping
from spotcluster.search.engine import here

LIMIT = 60.0


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
    return _ask(client, list(client.ids), timeout, here.memory_mb)


def get_host_free_memory(client: Any, timeout: float = LIMIT) -> dict[str, float]:
    """Return the free memory of each host, in megabytes by host."""
    hosts = one_engine_per_host(client, timeout)
    answers = _ask(client, list(hosts.values()), timeout, here.free_memory_mb)
    return {host: answers[engine] for host, engine in hosts.items()}


def one_engine_per_host(client: Any, timeout: float = LIMIT) -> dict[str, int]:
    """Return the id of one engine on each host, by host.

    ``client[list(one_engine_per_host(client).values())]`` is a view of them.
    """
    answers = _ask(client, list(client.ids), timeout, here.identity)
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
