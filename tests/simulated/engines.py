"""The engines of a simulation, and what they do."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .controller import Task, World


@dataclass(eq=False)
class SimulatedEngine:
    """One that is there, or was.

    Attributes
    ----------
    begun : float
        When it got its first message.
    warm : float
        When it has imported what evaluations need; 0 while it has not begun to.
    """

    id: int
    node: str
    task: Task | None = None
    alive: bool = True
    draining: bool = False
    warm: float = 0.0
    begun: float = 0.0
    worked: float = 0.0

    @property
    def who(self) -> dict[str, Any]:
        uuid = f"uuid-{self.id}"
        return {"node": self.node, "pid": 1000 + self.id, "engine": self.id, "uuid": uuid}

    def imports(self, now: float, seconds: float) -> None:
        """Begin to import what evaluations need, where nobody has."""
        self.warm = self.warm or now + seconds


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
        world.after(took, lambda: self._done(took))

    def _done(self, took: float) -> None:
        self.results.append(_result(self.world.now - took, took))
        self.go_on()

    def _end(self) -> None:
        world, engine, way = self.world, self.engine, self.world.times.way
        took = sum(one["took"] for one in self.results)
        engine.worked, world.work = engine.worked + took, world.work + took
        self.task.metadata["engine_uuid"] = engine.who["uuid"]
        answer = engine.who, pickle.dumps(self.results)
        world.after(way, lambda: world.free(engine) if engine.alive else None)
        world.after(2 * way, lambda: self.task.ends(answer))


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
