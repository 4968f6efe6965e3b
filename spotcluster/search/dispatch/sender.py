"""Puts evaluations in messages, sends them to engines, and takes them back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from spotcluster.search.backends.protocol import Backend, Gone
from spotcluster.search.data.evaluations import Key
from spotcluster.search.data.splits import Bundle
from spotcluster.search.dispatch import pace
from spotcluster.search.dispatch.durations import Durations
from spotcluster.search.dispatch.messages import Message
from spotcluster.search.engine import batch
from spotcluster.search.results.progress import Progress

QUEUE_LIMIT = 10.0  # seconds that a message may wait for an engine, at least
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
        backend: Backend,
        bundle: Bundle,
        common: dict[str, Any],
        work: Work,
        durations: Durations,
        *,
        timeout: float | None,
        progress: Progress | None,
    ) -> None:
        self._backend = backend
        self._bundle = bundle.digest
        found = backend.pack(common)
        self.needed = list(found.needed)
        self._common = found.data
        self._work = work
        self._durations = durations
        self._timeout = timeout
        self._progress = progress

    def send(
        self, keys: Sequence[Key], targets: Sequence[int], *, apart: bool = False
    ) -> Message | None:
        """Send evaluations to whichever of the engines `targets` is free first.

        Parameters
        ----------
        keys : sequence of Key
        targets : sequence of int
        apart : bool
            Whether nothing should run beside them that would die with them.

        Returns
        -------
        Message or None
            None where it could not be sent: there are no targets, or one has gone.
        """
        longest = max(self._durations.longest, pace.length(len(targets)))
        limit = max(QUEUE_LIMIT, 3 * longest)
        items = self._backend.pack([self._work(key) for key in keys]).data
        known = self._durations.work(keys)
        work = known or (pace.guess(len(targets)) if len(keys) > 1 else 0.0)
        if not targets:  # which would mean any engine
            return None
        label = partial(self._progress.label, keys) if self._progress else None
        try:
            pending = self._backend.send(
                *(targets, limit, label),
                batch.perform,
                *(self._bundle, self._common, items, OVER * work, self._timeout),
                pace.telling(len(targets)),
                apart=apart,
            )
        except Gone:  # in this moment
            return None
        now = time.monotonic()
        return Message(tuple(keys), pending, now, limit, work=work, guessed=not known)

    def withdraw(self, messages: Iterable[Message]) -> None:
        """Have the engines drop messages that they have not started."""
        self._backend.withdraw([message.pending for message in messages])
