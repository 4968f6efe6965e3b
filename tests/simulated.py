"""A controller and engines that are simulated, on a clock that runs only as far as is looked.

The dispatcher of a search cannot tell them from ipyparallel's: they are what it sees of a client,
of its load-balanced and direct views and of what these return. Everything happens on the thread
that runs the dispatcher, in an order that depends on nothing else: what it waits for is what comes
next. So thousands of engines take as long as their client needs, and each run is like the last.

As in ipyparallel's scheduler with ``hwm=1``: an engine has one task, the others wait in order; a
task goes to one of its targets that has not refused it; one that waits too long, that all have
refused, or whose engine has gone comes back with the error that ipyparallel has for it. Not
simulated are deliveries of split files, which are threads: all hosts have the files.
"""

from __future__ import annotations

import heapq
import itertools
import pickle
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from ipyparallel import error

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
from spotcluster.search.engine import batch

BEGIN = 1_000_000.0  # on the clock, when the simulation begins
ENGINES_PER_HOST = 16
_MODULES = (
    *(backlog, detector, dispatcher, durations, hope, messages, roster, sender, spread),
    *(suspicions, feeder, forecast, verdicts),
)


@dataclass
class Times:
    """Seconds that things take beside the work.

    Attributes
    ----------
    way : float
        A message from the client to the controller, from there to an engine, and back.
    scheduled : float
        The scheduler, for each task: it does one after the other.
    noticed : float
        Until the controller, and with it the client, knows that an engine has gone.
    unanswered : float
        From then until what that engine had comes back as lost.
    imports : float
        An engine's first evaluation, for its imports.
    """

    way: float = 0.001
    scheduled: float = 0.002
    noticed: float = 5.0
    unanswered: float = 5.0
    imports: float = 0.0


@dataclass(eq=False)
class Task:
    """A call on its way, and what the client was given for it: ipyparallel's AsyncResult."""

    world: World
    id: str
    name: str
    args: tuple[Any, ...]
    targets: frozenset[int]
    timeout: float = 0.0
    engine: SimulatedEngine | None = None
    refused: set[int] = field(default_factory=set)
    metadata: dict[str, Any] = field(default_factory=lambda: {"data": {}, "engine_uuid": None})
    iopub_callbacks: list[Callable[[Any], None]] = field(default_factory=list)
    answer: Any = None
    over: bool = False
    then: list[Callable[[Any], None]] = field(default_factory=list)

    @property
    def msg_ids(self) -> list[str]:
        return [self.id]

    @property
    def _children(self) -> list[Task]:
        return [self]

    def done(self) -> bool:
        return self.over

    ready = done

    def exception(self) -> BaseException | None:
        return self.answer if isinstance(self.answer, BaseException) else None

    def result(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def get(self, timeout: float | None = None) -> Any:
        if not self.over:
            raise TimeoutError(f"not within {timeout} s")
        return self.result()

    def wait(self, timeout: float) -> bool:
        self.world.pass_until(self.world.now + timeout, lambda: self.over)
        return self.over

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        if self.over:
            call(self)
        else:
            self.then.append(call)

    def ends(self, answer: Any) -> None:
        """Have the client get its answer."""
        if self.over:
            return
        self.answer, self.over = answer, True
        self.world.outstanding.pop(self.id, None)
        self.world.received += 1
        for call in self.then:
            call(self)

    def hears(self, **note: Any) -> None:
        """Have the client get a hint, unless it is lost on its way."""
        if self.world.chance.random() < self.world.lost_hints:
            return
        self.world.hints += 1
        self.metadata["data"].update(note)
        for call in self.iopub_callbacks:
            call({"header": {"msg_type": "data_message"}})


@dataclass(eq=False)
class SimulatedEngine:
    """One that is there, or was."""

    id: int
    node: str
    task: Task | None = None
    alive: bool = True
    draining: bool = False
    warm: bool = False
    worked: float = 0.0

    @property
    def who(self) -> dict[str, Any]:
        uuid = f"uuid-{self.id}"
        return {"node": self.node, "pid": 1000 + self.id, "engine": self.id, "uuid": uuid}


class _Wake:
    """In place of an Event: to wait for it is to let the clock go on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._set = False

    def set(self) -> None:
        self._set = True

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        end = float("inf") if timeout is None else self._world.now + timeout
        self._world.pass_until(end, self.is_set)
        return self._set


class World:
    """The simulated client; what a test schedules happens at its time.

    Parameters
    ----------
    seconds : callable
        What an evaluation takes, by its parameters; an exception ends its engine instead.
    times : Times, optional
    lost_hints : float
        The share of hints that are lost on their way.
    charged : bool
        Whether the clock goes on while the client works, by what it takes of the processor.
    """

    _closed = False

    def __init__(
        self,
        seconds: Callable[[dict[str, Any]], float],
        times: Times | None = None,
        *,
        lost_hints: float = 0.0,
        charged: bool = False,
    ) -> None:
        self.seconds = seconds
        self.times = times or Times()
        self.lost_hints = lost_hints
        self.chance = random.Random(0)
        self.now = BEGIN
        self.engines: dict[int, SimulatedEngine] = {}
        self.gone: dict[int, SimulatedEngine] = {}
        self.outstanding: dict[str, Task] = {}
        self.metadata = self
        self.sent = self.calls = self.received = self.hints = self.begun = 0
        self.own = 0.0  # seconds of the processor that the simulation has used itself
        self.work = 0.0
        self._charged = charged
        self._client_since = time.thread_time()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._waiting: OrderedDict[Task, None] = OrderedDict()
        self._idle: dict[int, None] = {}
        self._scheduler_free = 0.0
        self._ids = itertools.count()

    # --- what a test does -------------------------------------------------------------------------

    def at(self, seconds: float, happens: Callable[[], None]) -> None:
        """Have something happen so many seconds after the beginning."""
        heapq.heappush(self._events, (BEGIN + seconds, next(self._numbers), happens))

    def join(self, number: int, node: str = "") -> list[int]:
        """Have engines register."""
        new = list(itertools.islice(self._ids, number))
        for one in new:
            host = node or f"node{one // ENGINES_PER_HOST + 1:03}"
            self.engines[one] = SimulatedEngine(one, host)
            self._idle[one] = None
        self._schedule()
        return new

    def lose(self, ids: Iterable[int]) -> None:
        """End engines as by ``kill -9``."""
        for one in list(ids):
            engine = self.engines[one]
            engine.alive = False
            self._idle.pop(one, None)
            self._after(self.times.noticed, lambda engine=engine: self._notice(engine))  # type: ignore[misc]

    def drain(self, ids: Iterable[int]) -> None:
        """Have engines take nothing more."""
        for one in ids:
            self.engines[one].draining = True

    def run(self, keys: Sequence[Key], **more: Any) -> Run:
        """Run a dispatcher with these evaluations until it ends."""
        return Run(self, keys, **more)

    # --- what the dispatcher sees of a client -----------------------------------------------------

    @property
    def ids(self) -> list[int]:
        return list(self.engines)

    @property
    def _engines(self) -> dict[int, str]:
        return {one: engine.who["uuid"] for one, engine in self.engines.items()}

    def get(self, id: str) -> dict[str, Any] | None:  # noqa: A002 - of `metadata`
        task = self.outstanding.get(id)
        return None if task is None else task.metadata

    def load_balanced_view(self, targets: Any = None) -> View:
        return View(self, targets, balanced=True)

    def __getitem__(self, engine: int) -> View:
        if engine not in self.engines:
            raise IndexError(engine)
        return View(self, [engine], balanced=False)

    def abort(self, ids: Sequence[str], *, block: bool) -> None:
        with self.aside():
            wanted = set(ids)
            for task in [task for task in self._waiting if task.id in wanted]:
                del self._waiting[task]
                self._back(task, error.TaskAborted(task.id))

    def purge_local_results(self, ids: Sequence[str]) -> None:
        pass

    purge_hub_results = purge_local_results

    # --- what happens -----------------------------------------------------------------------------

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Count what is done here as the simulation's, not the client's."""
        begin = time.thread_time()
        try:
            yield
        finally:
            self.own += time.thread_time() - begin

    def pass_until(self, end: float, reached: Callable[[], bool]) -> None:
        """Let happen what does, until a time, or until something is so."""
        begin = time.thread_time()
        now = self.now
        if self._charged:  # what the client has done since it waited last took its time
            now += max(0.0, begin - self._client_since)
        while self._events and (self._events[0][0] <= now or not reached()):
            if self._events[0][0] > max(end, now):
                break
            at, _, happens = heapq.heappop(self._events)
            self.now = max(self.now, at)
            happens()
        self.now = max(self.now, now)
        if not reached():
            if end == float("inf"):
                raise AssertionError("The dispatcher waits for what will never come.")
            self.now = max(self.now, end)
        self._client_since = time.thread_time()
        self.own += self._client_since - begin

    def submit(self, task: Task, *, balanced: bool) -> None:
        """Take a call that the client sends."""
        self.outstanding[task.id] = task
        if balanced:
            self.sent += 1
            self._after(self.times.way, lambda: self._arrive(task))
            self._after(self.times.way + task.timeout, lambda: self._expire(task))
            return
        self.calls += 1
        (engine,) = task.targets
        self._after(2 * self.times.way, lambda: self._direct(task, self.engines.get(engine)))

    def _after(self, seconds: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), happens))

    def _arrive(self, task: Task) -> None:
        self._waiting[task] = None
        self._schedule()

    def _expire(self, task: Task) -> None:
        if task in self._waiting:
            del self._waiting[task]
            self._back(task, _remote("TaskTimeout"))

    def _schedule(self) -> None:
        """Give what waits to who is free."""
        for task in list(itertools.islice(self._waiting, 2 * len(self._idle) + 2)):
            if not self._idle:
                return
            may = (x for x in self._idle if x in task.targets and x not in task.refused)
            if (one := next(may, None)) is None:
                if not any(x in self.engines for x in task.targets - task.refused):
                    del self._waiting[task]
                    self._back(task, _remote("ImpossibleDependency"))
                continue
            del self._waiting[task]
            del self._idle[one]
            engine = self.engines[one]
            task.engine, engine.task = engine, task
            self._scheduler_free = max(self.now, self._scheduler_free) + self.times.scheduled
            wait = self._scheduler_free - self.now + self.times.way
            self._after(wait, lambda task=task, engine=engine: self._begin(task, engine))  # type: ignore[misc]

    def _begin(self, task: Task, engine: SimulatedEngine) -> None:
        if not engine.alive:
            return
        if engine.draining:
            note = {**engine.who, "reason": "draining", "why": "", "taken": None}
            task.hears(**{f"refused {engine.who['uuid']}": note})
            task.refused.add(engine.id)
            engine.task = task.engine = None
            self._idle[engine.id] = None
            self._waiting[task] = None
            self._waiting.move_to_end(task, last=False)
            self._schedule()
            return
        _, _, items, budget, *more = task.args
        publish = more[1] if len(more) > 1 else batch.PUBLISH
        task.hears(started={"who": engine.who, "clock": self.now})
        self.begun += 1
        work = Work(self, task, engine, pickle.loads(items)[0], budget, publish)
        imports = 0.0 if engine.warm else self.times.imports
        engine.warm = True
        self._after(imports, work.go_on)

    def _direct(self, task: Task, engine: SimulatedEngine | None) -> None:
        if engine is None or not engine.alive:
            return  # EngineError, in time
        if engine.task is not None and engine.task.engine is engine:
            self._after(1.0, lambda: self._direct(task, engine))  # behind what it does
            return
        answer: Any = None
        if task.name == "here.probe":
            told = {"ready": True, "draining": engine.draining, "unable": "", "taken": None}
            answer = {**engine.who, **told}
        elif task.name == "here.identity":
            answer = engine.who
        self._after(2 * self.times.way, lambda: task.ends(answer))

    def free(self, engine: SimulatedEngine) -> None:
        """Have an engine do the next task."""
        engine.task = None
        self._idle[engine.id] = None
        self._schedule()

    def _notice(self, engine: SimulatedEngine) -> None:
        self.gone[engine.id] = self.engines.pop(engine.id)
        task = engine.task
        if task is not None:
            task.metadata["engine_uuid"] = engine.who["uuid"]
            self._after(self.times.unanswered, lambda: task.ends(_remote("EngineError")))
        self._schedule()

    def _back(self, task: Task, answer: Any) -> None:
        self._after(2 * self.times.way, lambda: task.ends(answer))


class Work:
    """A message that an engine does: `engine.batch.perform`."""

    def __init__(
        self,
        world: World,
        task: Task,
        engine: SimulatedEngine,
        items: list[tuple[str, dict[str, Any]]],
        budget: float,
        publish: float,
    ) -> None:
        self.world, self.task, self.engine = world, task, engine
        self.items, self.budget, self.publish = items, budget, publish
        self.begun = self.told = world.now
        self.told_of = 0
        self.results: list[dict[str, Any]] = []

    def go_on(self) -> None:
        """Do the next evaluation, if there is one and it is to be begun."""
        world = self.world
        if not self.engine.alive:
            return
        spent = world.now - self.begun > self.budget or self.engine.draining
        if len(self.results) == len(self.items) or (self.results and spent):
            self._end()
            return
        if world.now - self.told > self.publish:
            note = pickle.dumps(self.results[self.told_of :])
            self.task.hears(**{f"results {self.told_of}": note})
            self.told, self.told_of = world.now, len(self.results)
        try:
            took = world.seconds(self.items[len(self.results)][1]["params"])
        except Exception:  # noqa: BLE001 - what a test has it die of
            world.lose([self.engine.id])
            return
        world._after(took, lambda: self._done(took))

    def _done(self, took: float) -> None:
        self.results.append(_result(self.world.now - took, took))
        self.go_on()

    def _end(self) -> None:
        world, engine, way = self.world, self.engine, self.world.times.way
        took = sum(one["took"] for one in self.results)
        engine.worked, world.work = engine.worked + took, world.work + took
        self.task.metadata["engine_uuid"] = engine.who["uuid"]
        answer = engine.who, pickle.dumps(self.results)
        world._after(way, lambda: world.free(engine) if engine.alive else None)
        world._after(2 * way, lambda: self.task.ends(answer))


class View:
    """A load-balanced view, or a direct one of a single engine."""

    def __init__(self, world: World, targets: Any, *, balanced: bool) -> None:
        self.client, self.targets = world, targets
        self._balanced = balanced
        self._to: frozenset[int] = frozenset(() if balanced else targets)
        self._given: Any = None
        self._timeout = 0.0

    def set_flags(self, **flags: Any) -> None:
        self._timeout = flags.get("timeout", self._timeout)
        if flags.get("targets") is not None and flags["targets"] is not self._given:
            with self.client.aside():
                self._to = frozenset(flags["targets"])
                self._given = flags["targets"]

    def apply_async(self, _: Any, __: str, ___: bytes, name: str, *args: Any) -> Task:
        world = self.client
        with world.aside():
            if self._balanced and not self._to <= world.engines.keys():
                raise IndexError(sorted(self._to - world.engines.keys())[0])
            id = str(world.sent + world.calls)  # noqa: A001 - as ipyparallel has it
            task = Task(world, f"m{id}", name, args, self._to, self._timeout)
            world.submit(task, balanced=self._balanced)
        return task


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
            events.Event = lambda: _Wake(world)
            for module in _MODULES:
                for name, instead in (("time", clock), ("threading", events)):
                    if hasattr(module, name):
                        stack.enter_context(patch.object(module, name, instead))
            self.dispatcher = Dispatcher(
                *(world.load_balanced_view(), bundle, keys, {}, _work, self._record, _nothing),
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


def _work(key: Key) -> tuple[str, dict[str, Any]]:
    return "split", {"params": {"n": key[0]}}


def _nothing() -> None:
    pass


def _remote(name: str) -> error.RemoteError:
    return error.RemoteError(name, "simulated", "")


def _result(started: float, took: float) -> dict[str, Any]:
    return {
        "test": 1.0,
        "train": None,
        "fit_time": took,
        "score_time": 0.0,
        "error": "",
        "started": started,
        "ended": started + took,
        "took": took,
    }
