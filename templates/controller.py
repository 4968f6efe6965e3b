"""ipyparallel's controller, which also takes in engines that it does not know.

An engine is unknown to a controller that was started again, and to one that heard nothing of it
for 5 s, as when the network was cut. ipyparallel ignores such an engine for ever, though it goes
on answering heartbeats, and the engine never notices. `--restore` is no way out: it believes in
every engine that was there once, also in those that have died, and gives them work. Here an engine
comes back with its first heartbeat, and under its former number, by which clients know it.

A task that is lost with its engine goes to another one, where its sender says that it may:
`spotcluster.clients` does. ipyparallel's own `retries` would also repeat what raised.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

from ipyparallel.controller import app, hub, task_scheduler

BEAT = 10.0  # seconds


class Hub(hub.Hub):  # type: ignore[misc]  # ipyparallel has no types
    """A hub that takes in whoever has the cluster's keys and a beating heart."""

    former: dict[str, int] = {}  # noqa: RUF012 - traitlets leaves what is no trait alone

    def handle_new_heart(self, heart: bytes) -> None:
        """Take the engine in if nobody has announced it."""
        if heart not in self.incoming_registrations and heart not in self.by_ident:
            uuid = heart.decode("utf8", "replace")
            number = self.new_engine_id(self.former.get(uuid))
            self.former[uuid] = number
            self.incoming_registrations[heart] = hub.EngineConnector(
                id=number, uuid=uuid, ident=heart
            )
            self.log.info("heartbeat::taking in engine %i:%s", number, uuid)
        super().handle_new_heart(heart)

    def register_engine(self, reg: bytes, msg: dict[str, Any]) -> int | None:
        """Remember the number of every engine."""
        number: int | None = super().register_engine(reg, msg)
        if number is not None:
            self.former[msg["content"]["uuid"]] = number
        return number


class TaskScheduler(task_scheduler.TaskScheduler):  # type: ignore[misc]
    """A scheduler that sends again what was lost."""

    again: set[str] = set()  # noqa: RUF012 - what it has sent again, until that is answered

    def handle_stranded_tasks(self, engine: bytes) -> None:
        """Give the tasks of a dead engine to others, and up those that may not be."""
        for msg_id, job in list(self.pending[engine].items()):
            lives = job.metadata.get("spotcluster_lives", 1) - 1
            if lives < 1 or (job.targets and not job.targets.intersection(self.targets)):
                continue
            self.log.info("task %s was lost with its engine %s", msg_id, engine)
            job.metadata["spotcluster_lives"] = lives
            del self.pending[engine][msg_id]
            self.again.add(msg_id)
            if not self.maybe_run(job):
                self.save_unmet(job)
        super().handle_stranded_tasks(engine)

    def handle_result(self, idents: list[Any], parent: dict[str, Any], *rest: Any) -> None:
        """Take the first answer, also from an engine that was taken for dead."""
        msg_id = parent["msg_id"]
        if msg_id in self.again:
            self.again.remove(msg_id)
            job = self.queue_map.pop(msg_id, None)
            if job:
                job.removed = True
            for jobs in self.pending.values():
                job = jobs.pop(msg_id, job)
            self.pending[idents[0]][msg_id] = job
            self.completed.setdefault(idents[0], set())
            self.failed.setdefault(idents[0], set())
        super().handle_result(idents, parent, *rest)


class Controller(app.IPController):  # type: ignore[misc]
    """A controller with such a hub."""

    name = "ipcontroller"

    def init_hub(self) -> None:
        """Make the hub, and tell it what the numbers of the engines were."""
        # Who watches the cluster asks every few seconds, for as long as it is there.
        self.log.addFilter(lambda record: "client::client" not in str(record.msg))
        super().init_hub()
        try:
            state = json.loads(Path(self.hub.engine_state_file).read_text())
            self.hub.former = {uuid: int(number) for number, uuid in state["engines"].items()}
            self.hub._idcounter = int(state["next_id"])
        except (OSError, ValueError, KeyError):
            self.log.info("no engines are known from earlier")
            self.hub.former = {}
        self.note_tasks()

    def note_tasks(self) -> None:
        """Write how many tasks are not answered: autostop.py reads it, and looks how old it is."""
        own = Path.home() / ".spotcluster" / "tasks"
        with contextlib.suppress(OSError):  # a full disk
            aside = own.with_name("tasks.new")
            aside.write_text(f"{len(self.hub.pending)}\n")
            aside.replace(own)
        self.loop.call_later(BEAT, self.note_tasks)


if __name__ == "__main__":
    app.Hub = Hub
    app.TaskScheduler = TaskScheduler
    Controller.launch_instance()
