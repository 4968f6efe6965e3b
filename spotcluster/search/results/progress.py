"""A running search says how far it is, where other processes can read it: see `published`.

It is the thread that keeps the engines busy that does so, so it does it seldom and at little cost,
and the search goes on whatever becomes of it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spotcluster.published import FORMAT, folder, is_asked_to_end
from spotcluster.search.data.candidates import plain
from spotcluster.search.data.evaluations import Key
from spotcluster.search.results.results import Best
from spotcluster.search.results.state import Meter

OFTEN = 1.0  # seconds between two states, at least
SELDOM = 5.0  # seconds after which it says that it is still there, when nothing has changed
RANKED = 3.0  # seconds between two rankings, at least
SHARE = 0.005  # of the thread's time for the ranking, which takes long with very many candidates
LEADERS = 5
KEPT = 7 * 24 * 3600.0  # seconds that the file of a search that has ended stays
_SCORES = ("validation", "validation_error", "train", "train_error")
_LONGEST = 60  # characters of a value
_MOST = 20  # parameters


class Progress:
    """Publishes the state of one search.

    Parameters
    ----------
    id, kind : str
        Of the search.
    ledger : Path
    controller : str
        See `spotcluster.published.controller_of`.
    look : callable
        Gives how many evaluations are done, how many there are, and remarks.
    rank : callable
        Gives the best candidates.
    describe : callable
        Gives an evaluation's parameters and its split's number.
    abort : callable
        Called when another process has asked the search to end.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - what it is
        kind: str,
        ledger: Path,
        controller: str,
        look: Callable[[], tuple[int, int, Sequence[str]]],
        rank: Callable[[], Sequence[Best]],
        describe: Callable[[Key], tuple[dict[str, Any], int]],
        abort: Callable[[], None],
    ) -> None:
        self._id = id
        self._kind = kind
        self._ledger = ledger
        self._controller = controller
        self._look = look
        self._rank = rank
        self._describe = describe
        self._abort = abort
        self._started = time.time()
        self._meter = Meter()
        self._next = 0.0
        self._written = 0.0
        self._figures: tuple[Any, ...] = ()
        self._leaders: list[dict[str, Any]] = []
        self._rank_next = 0.0
        self._done = self._total = 0
        self._path: Path | None = None

    def pulse(self) -> None:
        """Publish the state if it is time to; called whenever the search has a moment."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + OFTEN
        if is_asked_to_end(self._id):
            self._abort()
        self._publish(now, running=True)

    def end(self) -> None:
        """Publish the last state."""
        self._publish(time.monotonic(), running=False)

    def label(self, keys: Sequence[Key]) -> str:
        """Return as JSON what a message with these evaluations tells of itself and its search."""
        with contextlib.suppress(Exception):  # a value may not even have a text
            params, split = self._describe(keys[0])
            return json.dumps(
                {
                    "spotcluster": FORMAT,
                    "search": self._id,
                    "kind": self._kind,
                    "params": _plain(params),
                    "split": split,
                    "evaluations": len(keys),
                    "done": self._done,
                    "total": self._total,
                    "started": self._started,
                    "best": self._leaders[0] if self._leaders else None,
                },
                allow_nan=False,
            )
        return ""

    def _publish(self, now: float, *, running: bool) -> None:
        with contextlib.suppress(Exception):  # a full disk here is no reason to end the search
            done, total, remarks = self._look()
            self._done, self._total = done, total
            rate = self._meter.rate(now, done)
            figures = (done, total, running, tuple(remarks))
            if figures == self._figures and now - self._written < SELDOM:
                return
            if done and (now >= self._rank_next or not running):  # none of none, which takes time
                self._leaders = [_leader(best) for best in self._rank()[:LEADERS]]
                self._rank_next = now + max(RANKED, (time.monotonic() - now) / SHARE)
            self._write(
                {
                    "format": FORMAT,
                    "id": self._id,
                    "kind": self._kind,
                    "ledger": str(self._ledger),
                    "controller": self._controller,
                    "host": platform.node(),
                    "process": os.getpid(),
                    "started": self._started,
                    "updated": time.time(),
                    "running": running,
                    "done": done,
                    "total": total,
                    "per_second": rate if running else None,
                    "seconds_left": (total - done) / rate if running and rate else None,
                    "bests": self._leaders,
                    "remarks": list(remarks),
                }
            )
            self._figures, self._written = figures, now

    def _write(self, document: dict[str, Any]) -> None:
        if self._path is None:
            self._path = folder() / f"{self._id}.progress"
            _prune(self._path.parent)
        # Not synced to the disk, unlike the ledger: after a crash it says nothing any more.
        aside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(
                json.dumps(document, allow_nan=False) + "\n"
            )  # on one line: see `published.parse`
        aside.replace(self._path)


def _prune(where: Path) -> None:
    for path in where.glob("*.progress"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT:
                path.unlink()


def _leader(best: Best) -> dict[str, Any]:
    return {
        **{name: _number(getattr(best, name)) for name in _SCORES},
        "finished": best.finished,
        "splits": best.splits,
        "params": _plain(best.params),
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON has them; what it does not have, as short text."""
    return {name: _value(plain(value)) for name, value in sorted(params.items())[:_MOST]}


def _value(value: Any) -> Any:
    if value is None or type(value) in (bool, int):
        return value
    if type(value) is float and math.isfinite(value):
        return value
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
