"""Ends a search that no engine can do, instead of having it wait for ever."""

from __future__ import annotations

import time

from spotcluster.errors import SearchError
from spotcluster.search.dispatch.backlog import Backlog
from spotcluster.search.dispatch.roster import Roster
from spotcluster.wording import listed

SETTLE = 3.0  # seconds for other engines to register, and
REPLACED = 60.0  # for a host in the place of one that could do it, or for files that come at last

_MOST = 3  # reasons that are told


class Hope:
    """Looks whether there are engines, and none of them can do anything."""

    def __init__(self, roster: Roster, backlog: Backlog) -> None:
        self._roster = roster
        self._backlog = backlog
        self._lost_at = 0.0

    def check(self, *, known: bool) -> None:
        """See whether it makes sense to go on.

        Parameters
        ----------
        known : bool
            Whether an engine has done any of the search's evaluations.

        Raises
        ------
        SearchError
            If it has made none for a while.
        """
        now = time.monotonic()
        why = self._roster.hopeless() if self._backlog.unfinished else {}
        running = (message.begun for message in self._backlog.live)
        if not why or any(begun and now - begun > SETTLE for begun in running):
            self._lost_at = 0.0
            return
        self._lost_at = self._lost_at or now
        slow = known or not all(self._roster.hosts[node].unable for node in why)
        if now - self._lost_at > (REPLACED if slow else SETTLE):
            raise SearchError(_sentence(why), _CURE)


_CURE = (
    "Install there what is missing, in the version that is here (`%px %pip install NAME`, or"
    " PACKAGES of the plugin pypackages), or add nodes that have it; then launch or resume the"
    " search with the same ledger, which has no result of these failures."
)


def _sentence(why: dict[str, str]) -> str:
    hosts: dict[str, list[str]] = {}
    for host, reason in why.items():
        hosts.setdefault(reason, []).append(host)
    told = [f"{reason} (on {listed(names)})" for reason, names in list(hosts.items())[:_MOST]]
    return f"No engine can run the search's evaluations: {'; '.join(told)}."
