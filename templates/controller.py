"""ipyparallel's controller, which also takes in engines that it does not know.

An engine is unknown to a controller that was started again, and to one that heard nothing of it
for 5 s, as when the network was cut. ipyparallel ignores such an engine for ever, though it goes
on answering heartbeats, and the engine never notices. `--restore` is no way out: it believes in
every engine that was there once, also in those that have died, and gives them work. Here an engine
comes back with its first heartbeat, and under its former number, by which clients know it.

A task that is lost with its engine goes to another one, where its sender says that it may:
`spotcluster.clients` does. ipyparallel's own `retries` would also repeat what raised.

The hub keeps whole messages, of which it is sent three for each task. Those of a search, which
nobody asks the hub for, would be most of what the controller does. Of them it is told what it tells
others: how many there are, whose they are, which engine is at them, and since when.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

import zmq
from ipyparallel import util
from ipyparallel.controller import app, hub, task_scheduler

BEAT = 10.0  # seconds
SOON = 1.0  # seconds after which the hub is told of tasks
QUIET = b'"spotcluster_quiet"'  # in what a search says about its messages
NOTES = b"tasks"  # what the hub is told begins with
DELIM = b"<IDS|MSG>"  # in each message of Jupyter's protocol, before its parts


class Hub(hub.Hub):  # type: ignore[misc]  # ipyparallel has no types
    """A hub that takes in whoever has the cluster's keys and a beating heart."""

    former: dict[str, int] = {}  # noqa: RUF012 - traitlets leaves what is no trait alone

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.where: dict[str, int] = {}  # which engine is at a task that it was told of
        self.monitor_handlers[NOTES] = self.take_notes

    def take_notes(self, _: Any, msg: list[bytes]) -> None:
        """Take in what the scheduler tells of tasks."""
        for kind, task, more in self.session.deserialize(msg)["content"]["notes"]:
            getattr(self, f"task_{kind}")(task, more)

    def task_came(self, task: str, about: dict[str, Any]) -> None:
        """Take note of a task that waits."""
        self.pending.add(task)
        self.unassigned.add(task)
        record = hub.init_record({**about, "content": None, "buffers": None})
        self.db.add_record(task, {**record, "client_uuid": about["header"]["session"]})

    def task_began(self, task: str, uuid: str) -> None:
        """Take note that an engine is at a task, and that no other one is."""
        self.unassigned.discard(task)
        self.task_left(task)
        engine = self.by_ident.get(uuid.encode())
        if engine is not None:
            self.where[task] = engine
            self.tasks[engine].append(task)
            self.know(task, engine_uuid=uuid)

    def task_left(self, task: str) -> int | None:
        """Take note that no engine is at a task; return which one was."""
        engine = self.where.pop(task, None)
        if task in self.tasks.get(engine, ()):
            self.tasks[engine].remove(task)
        return engine

    def task_ended(self, task: str, status: str) -> None:
        """Take note of a task that was answered."""
        self.unassigned.discard(task)
        self.pending.discard(task)
        self.all_completed.add(task)
        engine = self.task_left(task)
        if engine in self.completed and status != "aborted":
            self.completed[engine].append(task)
        self.know(task, completed=util.utcnow())

    def know(self, task: str, **what: Any) -> None:
        """Keep something about a task, if it was not forgotten for those that came later."""
        with contextlib.suppress(KeyError):
            self.db.update_record(task, what)

    def save_task_destination(self, idents: list[bytes], msg: list[bytes]) -> None:
        """Take a task from the engine that has refused it, to which it would belong for ever."""
        content = self.session.unpack(msg[4])
        self.task_left(content["msg_id"])
        super().save_task_destination(idents, msg)
        engine = self.by_ident.get(content["engine_id"].encode())
        if engine is not None:
            self.where[content["msg_id"]] = engine

    def save_task_result(self, idents: list[bytes], msg: list[bytes]) -> None:
        """Forget where it was."""
        super().save_task_result(idents, msg)
        self.task_left(self.session.unpack(msg[2]).get("msg_id", ""))

    def monitor_iopub_message(self, topics: list[bytes], msg: list[bytes]) -> None:
        """Pass over what engines tell searches: of all of it the hub would say that it is odd."""
        if self.session.unpack(msg[1])["msg_type"] != "data_message":
            super().monitor_iopub_message(topics, msg)

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
    """A scheduler that sends again what was lost, and tells the hub no more than it needs."""

    again: set[str] = set()  # noqa: RUF012 - what it has sent again, until that is answered

    def start(self) -> None:
        """Have what is for the hub looked at."""
        super().start()
        self.quiet: set[str] = set()  # tasks of which it is told in few words
        self.notes: list[tuple[str, str, Any]] = []
        self.tell_now = self.mon_stream.send_multipart
        self.mon_stream.send_multipart = self.tell

    def tell(self, parts: list[Any], **how: Any) -> None:
        """Tell the hub of a message that has come, goes to an engine, or was answered."""
        topic = parts[0]
        begin = next(at for at, part in enumerate(parts) if bytes(part) == DELIM)
        read = self.session.unpack
        header, parent, metadata, content = map(bytes, parts[begin + 2 : begin + 6])
        note: tuple[str, str, Any] = "", "", None
        if topic == b"intask" and QUIET in metadata:
            about, label = read(header), {"label": read(metadata).get("label")}
            note = "came", about["msg_id"], {"header": about, "metadata": label}
            self.quiet.add(note[1])
        elif topic == b"tracktask":
            about = read(content)
            note = "began", about["msg_id"], about["engine_id"]
        elif topic == b"outtask":
            note = "ended", read(parent)["msg_id"], read(metadata).get("status")
        if note[1] not in self.quiet:
            self.tell_now(parts, **how)
            return
        if not self.notes:
            self.loop.call_later(SOON, self.tell_noted)
        self.notes.append(note)
        if note[0] == "ended":
            self.quiet.discard(note[1])

    def tell_noted(self) -> None:
        """Tell the hub of all that there is to tell."""
        notes, self.notes = self.notes, []
        self.session.send(self.mon_stream, "notes", {"notes": notes}, ident=[NOTES, self.ident])

    def submit_task(self, job: Any, indices: list[int] | None = None) -> None:
        """Send a task on at once: an engine waits for it, and who gets an answer goes on anyway."""
        super().submit_task(job, indices)
        self.engine_stream.flush(zmq.POLLOUT)

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
