"""What a client of `connect` sends, and what the clusters' controller does with it."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import ipyparallel
import joblib
import pytest
from tornado.ioloop import IOLoop
from zmq.eventloop.zmqstream import ZMQStream

from spotcluster import clients
from spotcluster.search import shipping

LOST, TAKEN = b"master_1_1-1", b"node001_1_2-2"


# --- what is sent ---------------------------------------------------------------------------------


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Give what is handed on to ipyparallel's client."""
    found: list[dict[str, Any]] = []

    def take(self: Any, socket: Any, f: Any, args: Any, kwargs: Any, metadata: Any) -> None:
        found.append({"f": f, "args": args, "metadata": metadata})

    monkeypatch.setattr(ipyparallel.Client, "send_apply_request", take)
    monkeypatch.setattr(ipyparallel.Client, "__del__", lambda _: None)  # it was never made
    return found


def send(function: Any, **metadata: Any) -> None:
    client: Any = object.__new__(clients.Client)
    client.send_apply_request(None, function, metadata=metadata)


def test_only_what_may_go_elsewhere_says_how_often_it_may_be_lost(sent: list[Any]) -> None:
    send(abs, retries=0)
    send(abs, targets=["node001_1_2-2"], is_broadcast=True)
    send(shipping.call, retries=0)  # a search counts its losses itself
    assert [one["metadata"].get("spotcluster_lives") for one in sent] == [3, None, 1]


@pytest.fixture
def only_here(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A class of warnings of a module that this process has and nodes do not."""
    module = types.ModuleType("only_the_laptop_has_this")
    kind = type("Worry", (UserWarning,), {"__module__": module.__name__})
    module.Worry = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return kind


def test_filters_of_warnings_that_only_the_laptop_knows_failed_every_task(
    sent: list[Any], only_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = ("ignore", None, only_here, None, 0)
    nested = joblib.parallel.SequentialBackend(nesting_level=1)
    batch = joblib.parallel.BatchedCalls([(repr, ([rule, rule],), {})], (nested, 1))
    send(batch, retries=0)
    packed = sent[0]["args"][0]
    monkeypatch.delitem(sys.modules, only_here.__module__)  # as on a node

    (said,) = pickle.loads(pickle.dumps(sent[0]["f"](packed)))
    assert said.count("only_the_laptop_has_this.Worry") == 2


def test_classes_of_warnings_are_those_that_the_node_has() -> None:
    class Own(UserWarning):
        pass

    asked = (joblib.parallel.BatchedCalls, DeprecationWarning, Own, pytest.PytestWarning)
    found = pickle.loads(clients.pack(lambda: asked))[0]()
    assert found[1] is DeprecationWarning
    assert issubclass(found[2], UserWarning)
    assert found[3] is pytest.PytestWarning


PROJECT = {
    "of_the_project": "import other_of_the_project\n\n\nclass Model:\n    def fit(self):\n"
    "        import late_of_the_project\n"
    "        self.found = late_of_the_project.answer() + other_of_the_project.ONE\n"
    "        return self\n",
    "other_of_the_project": "ONE = 1\n",
    "late_of_the_project": "def answer():\n    return 41\n",
}
ENGINE = """
import pickle, sys
function, packed = pickle.load(sys.stdin.buffer)
sys.stdout.buffer.write(pickle.dumps(function(packed)))
"""


def test_modules_of_the_project_were_not_found_by_tasks_of_joblib(
    sent: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in PROJECT.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    model = importlib.import_module("of_the_project").Model
    try:
        nested = joblib.parallel.SequentialBackend(nesting_level=1)
        send(joblib.parallel.BatchedCalls([(model.fit, (model(),), {})], (nested, 1)), retries=0)
        task = cloudpickle.dumps((sent[0]["f"], *sent[0]["args"]))  # as ipyparallel sends `call`
        words = [sys.executable, "-P", "-c", ENGINE]  # which has no such modules
        done = subprocess.run(words, input=task, capture_output=True, cwd="/", check=True)
        (answer,) = pickle.loads(done.stdout)
        assert answer.found == 42
        assert type(answer) is model
        assert model.fit.__globals__ is vars(sys.modules["of_the_project"])
    finally:
        for name in PROJECT:
            sys.modules.pop(name, None)


# --- the controller -------------------------------------------------------------------------------


class Stream(ZMQStream):  # type: ignore[misc]
    """A stream that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.gone = 0  # how many of them wait for no turn of the loop

    def send_multipart(self, msg: Any, *_: Any, **__: Any) -> None:
        self.sent.append(msg)

    def flush(self, *_: Any, **__: Any) -> int:
        self.gone = len(self.sent)
        return 0

    def on_recv(self, *_: Any, **__: Any) -> None:
        pass


class Scheduler:
    """The scheduler of templates/controller.py, and what goes in and out."""

    def __init__(self) -> None:
        path = Path(__file__).parents[2] / "templates" / "controller.py"
        spec = importlib.util.spec_from_file_location("controller_of_a_cluster", path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.engines, self.clients = Stream(), Stream()
        self.own = module.TaskScheduler(hwm=1)
        self.own.again = set()
        self.own.engine_stream, self.own.client_stream = self.engines, self.clients
        self.own.mon_stream, self.own.notifier_stream = Stream(), Stream()
        self.own.query_stream = Stream()
        self.session = self.own.session
        self.later: list[Any] = []
        self.own.loop = IOLoop(make_current=False)
        self.own.loop.call_later = lambda _, tell: self.later.append(tell)
        self.hub = self.own.mon_stream.sent
        self.own.start()

    def join(self, engine: bytes) -> None:
        self.own._register_engine(engine)

    def leave(self, engine: bytes) -> None:
        place = self.own.targets.index(engine)
        del self.own.targets[place], self.own.loads[place]
        self.own.handle_stranded_tasks(engine)

    def submit(self, **metadata: Any) -> Any:
        message = self.session.msg("apply_request", {}, metadata=metadata)
        self.own.dispatch_submission(self.frames(message, b"client"))
        return message

    def answer(self, engine: bytes, request: Any) -> None:
        metadata = {"status": "ok", "engine": engine.decode()}
        message = self.session.msg("apply_reply", {}, parent=request["header"], metadata=metadata)
        self.own.dispatch_result(self.frames(message, engine, b"client"))

    def frames(self, message: Any, *idents: bytes) -> list[Any]:
        import zmq

        return [zmq.Message(frame) for frame in self.session.serialize(message, ident=[*idents])]

    def told(self) -> list[list[list[Any]]]:
        """Return what the hub has been told in few words, once there was time to."""
        while self.later:
            self.later.pop()()
        found = []
        for frames in self.hub:
            if frames[0] == b"tasks":
                _, parts = self.session.feed_identities(frames[1:])
                found.append(self.session.deserialize(parts)["content"]["notes"])
        return found

    def given(self) -> list[bytes]:
        """Return which engines have got a task, in this order."""
        each_before_its_task = self.engines.sent[::2]
        return [bytes(frames[0]) for frames in each_before_its_task]

    def replies(self) -> list[str]:
        """Return the answers that the client has got."""
        found = []
        for frames in self.clients.sent:
            _, parts = self.session.feed_identities([bytes(frame) for frame in frames])
            found.append(self.session.deserialize(parts)["content"].get("ename", "ok"))
        return found


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    made = Scheduler()
    made.join(LOST)
    yield made
    made.own.loop.close(all_fds=True)


def test_what_an_engine_lost_goes_to_another(scheduler: Scheduler) -> None:
    request = scheduler.submit(retries=0, spotcluster_lives=3)
    scheduler.leave(LOST)
    assert scheduler.replies() == []
    scheduler.join(TAKEN)  # nobody was there
    assert scheduler.given() == [LOST, TAKEN]
    scheduler.answer(TAKEN, request)
    assert scheduler.replies() == ["ok"]


def test_a_task_that_says_nothing_is_lost_with_its_engine(scheduler: Scheduler) -> None:
    scheduler.submit(retries=0)
    scheduler.leave(LOST)
    assert scheduler.replies() == ["EngineError"]


def test_a_task_of_engines_that_are_all_gone_is_lost_with_the_last(scheduler: Scheduler) -> None:
    scheduler.join(TAKEN)
    scheduler.submit(retries=0, spotcluster_lives=3, targets=[LOST.decode(), TAKEN.decode()])
    scheduler.leave(scheduler.given()[-1])
    assert sorted(scheduler.given()) == [LOST, TAKEN]
    scheduler.leave(scheduler.given()[-1])
    assert scheduler.replies() == ["EngineError"]


def test_a_task_may_be_what_its_engines_die_of(scheduler: Scheduler) -> None:
    scheduler.submit(retries=0, spotcluster_lives=3)
    for number in range(3):
        assert scheduler.replies() == []
        scheduler.leave(scheduler.given()[-1])
        scheduler.join(f"node001_1_{number}-1".encode())
    assert scheduler.replies() == ["EngineError"]
    assert len(scheduler.given()) == 3


def test_next_task_waited_for_the_answer_to_the_last_one_to_be_sent(scheduler: Scheduler) -> None:
    """And for who got that, where it shares a core with the scheduler."""
    first, _ = (scheduler.submit() for _ in "12")
    scheduler.answer(LOST, first)
    assert scheduler.given() == [LOST, LOST]
    assert scheduler.engines.gone == len(scheduler.engines.sent)
    assert scheduler.clients.gone == 0


def test_hub_is_told_at_once_of_many_tasks_of_a_search_what_it_tells_others(
    scheduler: Scheduler,
) -> None:
    first, second = (scheduler.submit(retries=0, spotcluster_quiet=True, label="L") for _ in "12")
    scheduler.answer(LOST, first)
    (notes,) = scheduler.told()
    one, other = (message["header"]["msg_id"] for message in (first, second))
    assert [(kind, task) for kind, task, _ in notes] == [
        *(("came", one), ("began", one), ("came", other)),
        *(("began", other), ("ended", one)),
    ]
    assert [more for _, _, more in notes][1::3] == [LOST.decode(), "ok"]
    assert notes[0][2]["metadata"] == {"label": "L"}
    assert [frames[0] for frames in scheduler.hub] == [b"tasks"]


def test_hub_is_told_of_other_tasks_as_ever(scheduler: Scheduler) -> None:
    scheduler.answer(LOST, scheduler.submit(retries=0, label='"spotcluster_quiet"'))
    assert scheduler.told() == []
    assert [bytes(frames[0]) for frames in scheduler.hub] == [b"intask", b"tracktask", b"outtask"]


def test_hub_is_told_when_no_engine_is_left_for_a_task_of_a_search(scheduler: Scheduler) -> None:
    scheduler.submit(retries=0, spotcluster_quiet=True)
    scheduler.leave(LOST)
    assert [kind for kind, _, _ in scheduler.told()[0]] == ["came", "began", "ended"]
    assert not scheduler.own.quiet


@pytest.mark.parametrize("late", [False, True])
def test_an_engine_that_was_taken_for_dead_answers_once(scheduler: Scheduler, late: bool) -> None:
    request = scheduler.submit(retries=0, spotcluster_lives=3)
    scheduler.leave(LOST)
    if late:
        scheduler.join(TAKEN)
    scheduler.answer(LOST, request)
    scheduler.join(TAKEN) if not late else scheduler.answer(TAKEN, request)
    assert scheduler.replies() == ["ok"]
    assert scheduler.given() == ([LOST, TAKEN] if late else [LOST])
    assert not any(scheduler.own.pending.values())
