"""The ledgers of searches, followed where they are: on this computer, or on the master."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from spotcluster.cluster.cluster import Cluster
from spotcluster.dashboard import scores
from spotcluster.dashboard.scores import Scores
from spotcluster.dashboard.snapshot import SearchRow
from spotcluster.dashboard.work import WINDOW
from spotcluster.errors import SpotclusterError
from spotcluster.search.results.tail import Tail

log = logging.getLogger("spotcluster.dashboard")

_LARGEST = 200_000_000  # bytes that are read of one
_AT_ONCE = 4_000_000  # bytes that come from the master at a time
_OFTEN = 5.0  # seconds between two questions to the master
_SHARE = 0.1  # of the time is spent on drawing up what has changed, at most
_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


@dataclass
class _Followed:
    tail: Tail
    scores: Scores
    next: float = 0.0
    broken: bool = False
    changed: bool = False


class Ledgers:
    """What the ledgers of searches say; belongs to one thread."""

    def __init__(self, cluster: Cluster | None) -> None:
        self._cluster = cluster
        self._known: dict[str, _Followed] = {}

    def look(self, searches: Iterable[SearchRow], wanted: set[str]) -> dict[str, Scores]:
        """Return what is plotted of those searches that run, or that somebody looks at."""
        found = {}
        for one in searches:
            if one.state in ("running", "silent") or one.id in wanted or one.id in self._known:
                mine = self._known.setdefault(
                    one.id, _Followed(Tail(), scores.nothing("Its results are being read."))
                )
                self._follow(one, mine)
                found[one.id] = mine.scores
        return found

    def _follow(self, one: SearchRow, mine: _Followed) -> None:
        begun = time.monotonic()
        if mine.broken or begun < mine.next:
            return
        if not one.ledger or not (one.here or one.on_master):
            mine.scores = scores.nothing(
                "Its results are on the computer that runs it; here is known what it tells the"
                " controller."
            )
            return
        try:
            news = mine.tail.read(Path(one.ledger)) if one.here else self._fetch(one, mine)
        except OSError as error:
            mine.scores = scores.nothing(f"Its ledger cannot be read: {error.strerror}.")
            return
        except SpotclusterError as error:
            log.info("ledger of %s: %s", one.id, error)
            mine.next = begun + _OFTEN
            return
        except _DAMAGE as error:
            mine.broken = True
            mine.scores = scores.nothing(f"Its ledger is damaged: {error}.")
            return
        mine.changed = mine.changed or news
        if mine.changed and mine.tail.record is not None:
            mine.scores = scores.of(mine.tail.record, time.time() - WINDOW)
            mine.changed = False
        took = time.monotonic() - begun
        mine.next = time.monotonic() + max(took / _SHARE, 0.0 if one.here else _OFTEN)
        if mine.tail.place > _LARGEST:
            mine.broken = True
            problem = f"Its ledger is larger than {_LARGEST // 10**6} MB; it was read so far."
            mine.scores = replace(mine.scores, problem=problem)

    def _fetch(self, one: SearchRow, mine: _Followed) -> bool:
        """Take what has come to a ledger on the master."""
        if self._cluster is None:
            return False
        path = shlex.quote(one.ledger)
        script = f"tail -c +{mine.tail.place + 1} -- {path} | head -c {_AT_ONCE}"
        master = self._cluster.master
        what = "reading the results of a search"
        said = master.run(script, what=what, timeout=30, user=master.account.name, secret=True)
        return mine.tail.feed(said.encode())
