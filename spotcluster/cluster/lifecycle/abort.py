"""A search that runs is asked to end, whichever terminal it was begun in."""

from __future__ import annotations

import shlex
import time
from typing import Any

from spotcluster import published, wording
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.status import observer as statuses
from spotcluster.cluster.status import searches
from spotcluster.cluster.status.observer import Observer
from spotcluster.errors import ClusterError, UsageError

_LIMIT = 40.0
"""Seconds until a search that was asked to end has ended: it looks once a second, and says so."""

_STEP = 0.3


def running(cluster: Cluster) -> list[dict[str, Any]]:
    """Return the searches that run on a cluster, see `spotcluster.published`."""
    with Observer(cluster, priced=False) as observer:
        observer.wait(statuses.LIMIT + 3.0)
        return [one for one in searches.of(observer.look()) if one["state"] == "running"]


def choose(cluster: Cluster, wanted: str | None) -> dict[str, Any]:
    """Return the search of that name, or the only one there is.

    Raises
    ------
    UsageError
        There is none, or more than one and no name that only one of them has.
    """
    found = running(cluster)
    names = wording.listed(one["id"] for one in found)
    if wanted is None:
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"On '{cluster.name}' run several searches.", f"Name one: {names}.")
    meant = [one for one in found if wanted and one["id"].startswith(wanted)]
    meant = [one for one in meant if one["id"] == wanted] or meant
    if len(meant) == 1:
        return meant[0]
    if meant:
        several = wording.listed(one["id"] for one in meant)
        raise UsageError(
            f"The ids of several searches begin with '{wanted}'.", f"Name one: {several}."
        )
    if not found:
        raise UsageError(
            f"No search runs on '{cluster.name}', as far as it and this computer tell.",
            f"`spotcluster status {cluster.name}` shows how the last one ended.",
        )
    raise UsageError(f"No search '{wanted}' runs on '{cluster.name}'.", f"These do: {names}.")


def abort(cluster: Cluster, search: dict[str, Any]) -> int:
    """Ask a search to end, and wait until it has; return how many evaluations it has finished.

    Raises
    ------
    ClusterError
        It runs on another computer, or did not end.
    """
    name = search["id"]
    if search.get("here"):
        published.ask_to_end(name)
    elif search.get("on_master"):
        cluster.master.account.put(b"", published.on_master(name, "abort"))
    else:
        raise ClusterError(
            f"The {search['kind']} runs on another computer, which this one cannot reach.",
            "Call its `abort()` there.",
        )
    end = time.monotonic() + _LIMIT
    while time.monotonic() < end:
        time.sleep(_STEP)
        told = published.read() if search.get("here") else _said_on_master(cluster, name)
        for one in told:
            if one["id"] == name and not one["running"]:
                return int(one["done"])
    raise ClusterError(
        f"The {search['kind']} was asked to end, and has not said in {_LIMIT:.0f} s that it has.",
        f"Its process may hang or have ended; `spotcluster status {cluster.name}` shows it.",
    )


def _said_on_master(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    path = published.on_master(name, "progress").removeprefix("~/")
    said = cluster.master.account.run(f"cat -- {shlex.quote(path)}", what="looking at the search")
    return published.parse(said)
