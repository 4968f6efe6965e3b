"""A cluster as it is seen: how it does, what it costs, and a client of its engines."""

from __future__ import annotations

import contextlib
import threading
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spotcluster.api import page
from spotcluster.api.scope import Scope
from spotcluster.aws import instances
from spotcluster.cluster import cluster as inner
from spotcluster.cluster import connect
from spotcluster.cluster.reporter import Teller
from spotcluster.cluster.status import events, listing, searches
from spotcluster.cluster.status import observer as statuses
from spotcluster.cluster.status.listing import Listed
from spotcluster.cluster.status.observer import Status
from spotcluster.cluster.status.receipts import Receipt
from spotcluster.errors import NoSuchCluster, SpotclusterError
from spotcluster.ipyparallel_private import is_closed
from spotcluster.notebooks import AMBER, RED, block, line

if TYPE_CHECKING:
    import ipyparallel

AnyPath = str | PathLike[str]


class SeenCluster:
    """A cluster, without what changes it; see `Cluster`."""

    def __init__(
        self,
        name: str,
        *,
        region: str | None = None,
        config: AnyPath | None = None,
        quiet: bool = False,
        ends: bool = False,
    ) -> None:
        self.name = name
        self.quiet = quiet
        self._scope = Scope(Path(config) if config else None, region)
        self._client: ipyparallel.Client | None = None
        self._lock = threading.Lock()
        self._ends = ends
        self._receipt: Receipt | None = None
        self._ended = False
        with contextlib.closing(self._find()) as found:
            self._scope.region = found.region  # where it is; another one may have its name too

    @property
    def region(self) -> str:
        """The region it is in."""
        return self._scope.region or ""

    def __repr__(self) -> str:
        return f"<Cluster {self.name!r} in {self.region}{', terminated' * self._ended}>"

    def _repr_html_(self) -> str:
        if self._ended:
            usd = self._receipt.usd if self._receipt else None
            cost = "" if usd is None else f" It cost ${usd:.2f}."
            return block(line(f"'{self.name}' is terminated.{cost}", AMBER))
        try:
            return page.page(self.look())
        except SpotclusterError as error:  # a cell shows what is wrong, and no traceback
            return block(line(f"{self.name}: {error}", RED))

    def close(self) -> None:
        """Close the client and its tunnel; the cluster goes on."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None and not is_closed(client):
            client.close()

    # --- what it is -------------------------------------------------------------------------------

    @property
    def client(self) -> ipyparallel.Client:
        """A client of its engines, as `spotcluster.connect` gives it; one for all who ask."""
        with self._lock:
            if self._client is None or is_closed(self._client):
                found = self._find()
                self._client = connect.client_of(found)
                connect.tell_of(self._client, found, self._scope.hook)
            return self._client

    def look(self) -> Listed:
        """Return what `listclusters` shows of it: state, nodes, price and cost.

        Raises
        ------
        NoSuchCluster
            It is no more.
        """
        found = [one for one in listing.clusters(self._scope.session()) if one.name == self.name]
        if not found:
            raise NoSuchCluster([self.name], [self.region])
        events.tell_all([self._scope.session()], found, self._scope.hook)
        return found[0]

    @property
    def state(self) -> str:
        """How it is, in a word: ``running``, ``incomplete``, ``stopped``, ... or ``terminated``."""
        return "terminated" if self._ended else self.look().state

    @property
    def nodes(self) -> list[str]:
        """The names of its nodes, the master first; those that leave are none of it."""
        found = [] if self._ended else instances.staying(self.look().nodes)
        return [one.alias for one in found]

    @property
    def cost(self) -> float | None:
        """About what it has cost so far in USD; None where a price is not known."""
        if self._ended:
            return self._receipt.usd if self._receipt else None
        return self.look().cost

    def status(self) -> Status:
        """Return what `status` shows: load, memory, engines, queue, jobs."""
        with (
            contextlib.closing(self._find()) as found,
            statuses.Observer(found) as observer,
        ):
            observer.wait(statuses.LIMIT + 3.0)
            seen = observer.look()
            teller = Teller(found.session, self.name, self._scope.hook)
            teller.tell([*events.near_ceiling(seen), *events.taken(seen, seen.leaving)])
        return seen

    def searches(self) -> list[dict[str, Any]]:
        """Return the searches on it, as ``status --json`` has them; those of others too."""
        return searches.of(self.status())

    def _find(self, *given: Any) -> inner.Cluster:
        if self._ended:
            raise NoSuchCluster([self.name], [self.region])
        return self._scope.cluster(self.name, *given)
