"""Puts evaluations in messages, sends them to engines, and takes them back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ipyparallel

from spotcluster.search import parcels, shipping
from spotcluster.search.data.evaluations import Key
from spotcluster.search.data.splits import Bundle
from spotcluster.search.dispatch import pace
from spotcluster.search.dispatch.durations import Durations
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.engine import batch
from spotcluster.search.results.progress import Progress

QUEUE_LIMIT = 10.0  # seconds that a message may wait in the scheduler's queue, at least
OVER = 1.5  # times what was expected of a message, after which it comes back with what it has

Work = Callable[[Key], tuple[str, dict[str, Any]]]


class Sender:
    """Sends a search's evaluations; the arguments are those of `dispatch.Dispatcher`.

    Attributes
    ----------
    needed : list of str
        The modules that engines import for what all evaluations have in common.
    """

    def __init__(
        self,
        view: Any,
        bundle: Bundle,
        common: dict[str, Any],
        work: Work,
        durations: Durations,
        *,
        timeout: float | None,
        progress: Progress | None,
    ) -> None:
        self._client = view.client
        self._targets = view.targets
        self._view = view.client.load_balanced_view()
        self._view.set_flags(block=False, track=False, retries=0)
        self._bundle = bundle.digest
        found = parcels.parcel(common)
        self.needed = list(found.needed)
        self._common = found.data
        self._work = work
        self._durations = durations
        self._timeout = timeout
        self._progress = progress

    def engines(self) -> list[int]:
        """Return the ids of the engines that the search may use."""
        ids: list[int] = list(self._client.ids)
        if self._targets is None or isinstance(self._targets, str):
            return ids
        wanted = [self._targets] if isinstance(self._targets, int) else self._targets
        return [engine for engine in ids if engine in wanted]

    def send(self, keys: Sequence[Key], targets: Sequence[int]) -> Message | None:
        """Send evaluations to whichever of the engines `targets` is free first.

        Returns
        -------
        Message or None
            None where it could not be sent: there are no targets, or one has gone.
        """
        longest = max(self._durations.longest, pace.length(len(targets)))
        limit = max(QUEUE_LIMIT, 3 * longest)
        items = parcels.parcel([self._work(key) for key in keys]).data
        work = self._durations.work(keys)
        if not targets:  # which would mean any engine
            return None
        try:
            label = self._progress.label(keys) if self._progress else None
            self._view.set_flags(timeout=limit, targets=targets, label=label)
            pending = shipping.send(
                self._view,
                batch.perform,
                *(self._bundle, self._common, items, OVER * work, self._timeout),
                pace.telling(len(targets)),
            )
        except (ipyparallel.error.IPythonError, KeyError, IndexError):
            return None  # a target has gone in this moment
        return Message(tuple(keys), pending, time.monotonic(), limit, work=work)

    def withdraw(self, messages: Iterable[Message]) -> None:
        """Have the engines drop messages that they have not started."""
        ids = [message.id for message in messages if not message.pending.done()]
        if ids:
            with contextlib.suppress(ipyparallel.error.IPythonError, OSError, RuntimeError):
                self._client.abort(ids, block=False)
