"""A dispatcher that runs on simulated engines."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from spotcluster.search.data.evaluations import Evaluation, Key
from spotcluster.search.dispatch import (
    backlog,
    detector,
    dispatcher,
    durations,
    feeder,
    forecast,
    hope,
    messages,
    roster,
    sender,
    spread,
    suspicions,
    verdicts,
)
from spotcluster.search.dispatch.dispatcher import Dispatcher

from .clock import Wake

if TYPE_CHECKING:
    from .controller import World

_MODULES = (
    *(backlog, detector, dispatcher, durations, hope, messages, roster, sender, spread),
    *(suspicions, feeder, forecast, verdicts),
)


class Run:
    """A dispatcher that has run on simulated engines, and what came of it."""

    def __init__(self, world: World, keys: Sequence[Key], **more: Any) -> None:
        self.world = world
        self.news: list[Any] = []
        self.done: dict[Key, Evaluation] = {}
        self.twice: list[Key] = []
        bundle: Any = SimpleNamespace(digest="bundle", splits=[], as_plain=list)
        with ExitStack() as stack:
            clock = SimpleNamespace(**vars(time))
            clock.monotonic = clock.time = lambda: world.now
            events = SimpleNamespace(**vars(threading))
            events.Event = lambda: Wake(world)
            for module in _MODULES:
                for name, instead in (("time", clock), ("threading", events)):
                    if hasattr(module, name):
                        stack.enter_context(patch.object(module, name, instead))
            self.dispatcher = Dispatcher(
                *(_engines(world), bundle, keys, {}, _work, self._record, _nothing),
                *(-1.0, {}),
                **more,
            )
            own, begin, started = world.own, time.thread_time(), world.now
            self.dispatcher.run()
            self.cpu = time.thread_time() - begin - (world.own - own)
            self.seconds = world.now - started
        if self.dispatcher.failure is not None:
            raise self.dispatcher.failure

    def _record(self, news: list[Any]) -> None:
        with self.world.aside():
            for item in news:
                if isinstance(item, Evaluation):
                    if item.key in self.done:
                        self.twice.append(item.key)
                    self.done[item.key] = item
                else:
                    self.news.append(item)

    @property
    def retried(self) -> list[Any]:
        return self.news


def _engines(world: World) -> Any:
    """Return what a dispatcher is given; a benchmark may run one of a former version."""
    view = world.load_balanced_view()
    try:
        from spotcluster.search.backends.ipyparallel import IPyParallel
    except ImportError:
        return view
    return IPyParallel(view)


def _work(key: Key) -> tuple[str, dict[str, Any]]:
    return "split", {"params": {"n": key[0]}}


def _nothing() -> None:
    pass
