"""The controller of a simulation, as a client sees it.

As in ipyparallel's scheduler with ``hwm=1``: an engine has one task, the others wait in order; a
task goes to one of its targets that has not refused it; one that waits too long, that all have
refused, or whose engine has gone comes back with the error that ipyparallel has for it. Not
simulated are deliveries of split files, which are threads: all hosts have the files.
"""

from __future__ import annotations

import itertools
import pickle
import random
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ipyparallel import error
from ipyparallel.serialize import PrePickled, deserialize_object, unpack_apply_message

from spotcluster.search.data.evaluations import Key
from spotcluster.search.engine import batch

from .clock import Clock
from .engines import SimulatedEngine, Work

if TYPE_CHECKING:
    from .running import Run

ENGINES_PER_HOST = 16


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
        An engine's imports, from when it is asked who it is, or from its first message.
    sending : float
        The client, for each message that it sends.
    """

    way: float = 0.001
    scheduled: float = 0.002
    noticed: float = 5.0
    unanswered: float = 5.0
    imports: float = 0.0
    sending: float = 0.0


@dataclass(eq=False)
class Task:
    """A call on its way; former versions were given it, as ipyparallel's MessageFuture.

    ``targets`` are the engines that it may go to, None for all; ``raises`` is whether it has come
    by a view, whose AsyncResult raises what was raised; ``pending`` is where the client has its
    answer put otherwise.
    """

    world: World
    id: str
    name: str
    args: tuple[Any, ...]
    targets: frozenset[int] | None
    timeout: float = 0.0
    raises: bool = False
    engine: SimulatedEngine | None = None
    refused: set[int] = field(default_factory=set)
    metadata: dict[str, Any] = field(default_factory=lambda: {"data": {}, "engine_uuid": None})
    iopub_callbacks: list[Callable[[Any], None]] = field(default_factory=list)
    answer: Any = None
    pending: Any = None
    over: bool = False
    then: list[Callable[[Any], None]] = field(default_factory=list)

    @property
    def msg_id(self) -> str:
        return self.id

    @property
    def msg_ids(self) -> list[str]:
        return [self.id]

    @property
    def _children(self) -> list[Task]:
        return [self]

    @property
    def _result_future(self) -> Task:
        return self

    _output_future = _sent_future = output = tracker = _result_future

    @property
    def _done_callbacks(self) -> list[Callable[[Any], None]]:
        return self.then

    def done(self) -> bool:
        return self.over

    ready = done

    def exception(self) -> BaseException | None:
        return self.answer if isinstance(self.answer, BaseException) else None

    def result(self) -> Any:
        if self.raises and isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def among(self, engines: Collection[int]) -> set[int]:
        """Return those of some engines that it may go to."""
        return {*engines}.difference(self.refused).intersection(
            engines if self.targets is None else self.targets
        )

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
        self.world.tasks.pop(self.id, None)
        self.world.received += 1
        if self.pending is not None:
            self.pending.engine = self.metadata["engine_uuid"]
            self.pending.set_result(answer)
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
        if self.pending is not None:
            self.pending.notes.update(note)
            self.pending.told()


class Kept(dict[str, Any]):
    """What a client keeps of messages: of those that are under way, what they have come to."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def get(self, id: str, default: Any = None) -> Any:  # noqa: A002 - a key
        task = self._world.tasks.get(id)
        return default if task is None else task.metadata


class Stream:
    """By which nothing is received: what comes does so otherwise here."""

    def closed(self) -> bool:
        return True


class Session:
    """What makes a client's messages, and sends them."""

    buffer_threshold, item_threshold = 1024, 64

    def __init__(self, world: World) -> None:
        self._world = world

    def msg(self, _: str, metadata: dict[str, Any] | None) -> dict[str, Any]:
        world = self._world
        return {"msg_id": f"m{world.sent + world.calls}", "metadata": metadata or {}}

    def send(
        self, stream: Stream, message: dict[str, Any], buffers: list[Any], ident: bytes | None
    ) -> None:
        world = self._world
        world.now += world.times.sending
        with world.aside():
            _, (_, _, name, *args), _ = unpack_apply_message(buffers)
            task = world.named(name, args, message["metadata"], ident)
            task.pending = world._futures[task.id]
            world.submit(task, balanced=stream == world._task_stream)


class World(Clock):
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
    _task_stream, _mux_stream, _iopub_stream = Stream(), Stream(), Stream()

    def __init__(
        self,
        seconds: Callable[[dict[str, Any]], float],
        times: Times | None = None,
        *,
        lost_hints: float = 0.0,
        charged: bool = False,
    ) -> None:
        super().__init__(charged=charged)
        self.seconds = seconds
        self.times = times or Times()
        self.lost_hints = lost_hints
        self.chance = random.Random(0)
        self.engines: dict[int, SimulatedEngine] = {}
        self._engines: dict[int, str] = {}  # their names
        self.gone: dict[int, SimulatedEngine] = {}
        self.tasks: dict[str, Task] = {}
        self.session, self._io_loop = Session(self), self
        self.outstanding: set[str] = set()
        self.history: list[str] = []
        self.results: dict[str, Any] = {}
        self.metadata = Kept(self)
        self._futures: dict[str, Any] = {}
        self._outstanding_dict: dict[str, set[str]] = defaultdict(set)
        self.sent = self.calls = self.received = self.hints = self.begun = 0
        self.work = 0.0
        self._waiting: OrderedDict[Task, None] = OrderedDict()
        self._idle: dict[int, int] = {}  # and which of them came to be so first
        self._turns = itertools.count()
        self._scheduler_free = 0.0
        self._ids = itertools.count()

    # --- what a test does -------------------------------------------------------------------------

    def join(self, number: int, node: str = "") -> list[int]:
        """Have engines register."""
        new = list(itertools.islice(self._ids, number))
        for one in new:
            host = node or f"node{one // ENGINES_PER_HOST + 1:03}"
            self.engines[one] = SimulatedEngine(one, host)
            self._engines[one] = self.engines[one].who["uuid"]
            self._idle[one] = next(self._turns)
        self._schedule()
        return new

    def lose(self, ids: Iterable[int]) -> None:
        """End engines as by ``kill -9``."""
        for one in list(ids):
            engine = self.engines[one]
            engine.alive = False
            self._idle.pop(one, None)
            self.after(self.times.noticed, lambda engine=engine: self._notice(engine))  # type: ignore[misc]

    def drain(self, ids: Iterable[int]) -> None:
        """Have engines take nothing more."""
        for one in ids:
            self.engines[one].draining = True

    def run(self, keys: Sequence[Key], **more: Any) -> Run:
        """Run a dispatcher with these evaluations until it ends."""
        from .running import Run

        return Run(self, keys, **more)

    # --- what the dispatcher sees of a client -----------------------------------------------------

    @property
    def ids(self) -> list[int]:
        return list(self.engines)

    def add_callback(self, call: Callable[..., None], *args: Any) -> None:
        call(*args)

    def send_apply_request(
        self,
        socket: Stream,
        function: Any,
        args: Sequence[Any],
        *,
        metadata: dict[str, Any] | None = None,
        ident: bytes | None = None,
    ) -> Task:
        self.now += self.times.sending
        with self.aside():
            name, *others = (
                deserialize_object(one.buffers)[0] if isinstance(one, PrePickled) else one
                for one in args[2:]
            )
            task = self.named(name, others, metadata or {}, ident)
            self.submit(task, balanced=socket == self._task_stream)
        return task

    def named(
        self, name: str, args: Sequence[Any], told: dict[str, Any], ident: bytes | None
    ) -> Task:
        """Return a new task for the engines whose names it has."""
        names = [ident.decode()] if ident is not None else told["targets"]
        to = frozenset(int(one.removeprefix("uuid-")) for one in names) or None
        return self.made(name, tuple(args), to, told.get("timeout", 0.0))

    def made(
        self, name: str, args: tuple[Any, ...], targets: frozenset[int] | None, timeout: float
    ) -> Task:
        """Return a new task."""
        return Task(self, f"m{self.sent + self.calls}", name, args, targets, timeout)

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

    def submit(self, task: Task, *, balanced: bool) -> None:
        """Take a call that the client sends."""
        self.tasks[task.id] = task
        if balanced:
            self.sent += 1
            self.after(self.times.way, lambda: self._arrive(task))
            self.after(self.times.way + task.timeout, lambda: self._expire(task))
            return
        self.calls += 1
        (engine,) = task.targets or ()
        self.after(2 * self.times.way, lambda: self._direct(task, self.engines.get(engine)))

    def _arrive(self, task: Task) -> None:
        self._waiting[task] = None
        self._schedule()

    def _expire(self, task: Task) -> None:
        if task in self._waiting:
            del self._waiting[task]
            self._back(task, _remote("TaskTimeout"))

    def _schedule(self) -> None:
        """Give what waits to who is free."""
        for task in list(self._waiting):
            if not self._idle:
                return
            if (one := self._first_idle(task)) is None:
                if not task.among(self.engines):
                    del self._waiting[task]
                    self._back(task, _remote("ImpossibleDependency"))
                continue
            del self._waiting[task]
            del self._idle[one]
            engine = self.engines[one]
            task.engine, engine.task = engine, task
            self._scheduler_free = max(self.now, self._scheduler_free) + self.times.scheduled
            wait = self._scheduler_free - self.now + self.times.way
            self.after(wait, lambda task=task, engine=engine: self._begin(task, engine))  # type: ignore[misc]

    def _first_idle(self, task: Task) -> int | None:
        """Return the engine that has been idle longest, of those that a task may go to."""
        if task.among([one := next(iter(self._idle))]):
            return one
        may = task.among(self._idle)  # thousands may not be ready
        return min(may, key=self._idle.__getitem__, default=None)

    def _begin(self, task: Task, engine: SimulatedEngine) -> None:
        if not engine.alive:
            return
        if engine.draining:
            note = {**engine.who, "reason": "draining", "why": "", "taken": None}
            task.hears(**{f"refused {engine.who['uuid']}": note})
            task.refused.add(engine.id)
            engine.task = task.engine = None
            self._idle[engine.id] = next(self._turns)
            self._waiting[task] = None
            self._waiting.move_to_end(task, last=False)
            self._schedule()
            return
        _, _, items, budget, *more = task.args
        publish = more[1] if len(more) > 1 else batch.PUBLISH
        task.hears(started={"who": engine.who, "clock": self.now})
        self.begun += 1
        engine.begun = engine.begun or self.now
        engine.imports(self.now, self.times.imports)
        work = Work(self, task, engine, pickle.loads(items)[0], budget, publish)
        self.after(max(0.0, engine.warm - self.now), work.go_on)

    def _direct(self, task: Task, engine: SimulatedEngine | None) -> None:
        if engine is None or not engine.alive:
            return  # EngineError, in time
        if engine.task is not None and engine.task.engine is engine:
            self.after(1.0, lambda: self._direct(task, engine))  # behind what it does
            return
        answer: Any = None
        if task.name == "here.probe":
            engine.imports(self.now, self.times.imports)
            told = {"ready": True, "draining": engine.draining, "unable": "", "taken": None}
            answer = {**engine.who, **told}
        elif task.name == "here.identity":
            answer = engine.who
        self.after(2 * self.times.way, lambda: task.ends(answer))

    def free(self, engine: SimulatedEngine) -> None:
        """Have an engine do the next task."""
        engine.task = None
        self._idle[engine.id] = next(self._turns)
        self._schedule()

    def _notice(self, engine: SimulatedEngine) -> None:
        self.gone[engine.id] = self.engines.pop(engine.id)
        del self._engines[engine.id]
        task = engine.task
        if task is not None:
            task.metadata["engine_uuid"] = engine.who["uuid"]
            self.after(self.times.unanswered, lambda: task.ends(_remote("EngineError")))
        self._schedule()

    def _back(self, task: Task, answer: Any) -> None:
        self.after(2 * self.times.way, lambda: task.ends(answer))


class View:
    """A load-balanced view, or a direct one of a single engine: former versions send by these."""

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
        world.now += world.times.sending
        with world.aside():
            if self._balanced and not self._to <= world.engines.keys():
                raise IndexError(sorted(self._to - world.engines.keys())[0])
            task = world.made(name, args, self._to, self._timeout)
            task.raises = True
            world.submit(task, balanced=self._balanced)
        return task


def _remote(name: str) -> error.RemoteError:
    return error.RemoteError(name, "simulated", "")
