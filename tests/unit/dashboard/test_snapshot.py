"""A cluster at one moment, as plain data, and what happened between two."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from spotcluster.aws import tags
from spotcluster.aws.instances import Instance
from spotcluster.cli import board
from spotcluster.cluster.status import plain
from spotcluster.cluster.status.controller import Answer, Engine, Message
from spotcluster.cluster.status.observer import NodeStatus, Status
from spotcluster.cluster.status.vitals import Notice, RunningJob, Vitals
from spotcluster.dashboard import changes, snapshot
from spotcluster.dashboard.snapshot import Snapshot
from spotcluster.dashboard.views import summary, words

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
AT = NOW.timestamp()
LABEL = {"search": "abc", "kind": "GridSearch", "params": {"C": 0.1}, "split": 3, "evaluations": 2}


def instance(alias: str, **more: Any) -> Instance:
    role = "master" if alias == "master" else "worker"
    given = {
        "id": f"i-{alias}",
        "state": "running",
        "type": "c5.large",
        "zone": "us-east-1a",
        "private_ip": "10.0.0.1",
        "public_ip": "1.2.3.4",
        "spot_request": "",
        "spot": alias != "master",
        "launched": NOW - timedelta(hours=2),
        "reason": "",
        "tags": {tags.ALIAS: alias, tags.ROLE: role, tags.STATE: "ready"},
    }
    return Instance(**{**given, **more})


def vitals(**more: Any) -> Vitals:
    return Vitals(
        **{
            "cores": 2,
            "load": (1.5, 1.0, 0.5),
            "memory_total_mb": 4096,
            "memory_used_mb": 1024,
            "draining": False,
            "clock_ahead": 0.0,
            **more,
        }
    )


def status(*nodes: NodeStatus, **more: Any) -> Status:
    busy = Message(NOW - timedelta(seconds=8), LABEL)
    answer = Answer(
        b"",
        (Engine(0, "master", 1, 5, 1, busy), Engine(1, "node001", 1, 6, 0, None)),
        waiting=7,
        running=1,
        done=11,
        labels=(),
    )
    return Status(
        **{
            "name": "mycluster",
            "region": "us-east-1",
            "state": "running",
            "created": NOW - timedelta(hours=2),
            "up_since": NOW - timedelta(hours=2),
            "size": 2,
            "price": 0.2,
            "cost": 0.5,
            "nodes": nodes or two(),
            "controller": answer,
            "problem": "",
            "controller_answered": AT - 1,
            **more,
        }
    )


def two() -> tuple[NodeStatus, ...]:
    return (
        NodeStatus(instance("master"), 0.1, vitals(idle_left=600.0), "", 0.2, AT - 2),
        NodeStatus(instance("node001"), 0.05, vitals(), "", 0.1, AT - 2),
    )


def seen(*nodes: NodeStatus, **more: Any) -> Snapshot:
    return snapshot.of(status(*nodes, **more), (), (), AT)


def test_nodes_and_engines_are_told_with_what_they_do() -> None:
    found = seen()
    master, worker = found.nodes
    assert (master.alias, master.is_master, master.spot) == ("master", True, False)
    assert (worker.load, worker.cores, worker.memory_used_mb) == (1.5, 2, 1024)
    assert (worker.price, worker.cost, worker.uptime) == (0.05, 0.1, 7200.0)
    assert [(one.engines, one.busy) for one in found.nodes] == [(1, 1), (1, 0)]
    busy, idle = found.engines
    assert (busy.busy, busy.seconds) == (True, 8.0)
    assert busy.does == "GridSearch: C=0.1, split 3 and 1 more"
    assert (idle.busy, idle.does, idle.seconds) == (False, "idle", None)
    assert (found.waiting, found.running, found.done) == (7, 1, 11)


def test_what_is_not_known_is_none_and_no_zero() -> None:
    node = NodeStatus(instance("master"), None, None, "it does not answer")
    found = seen(node, controller=None, problem="no answer", cost=None, budget=9.0)
    assert found.nodes[0].state == "unreachable"
    assert (found.nodes[0].engines, found.nodes[0].load, found.nodes[0].price) == (None, None, None)
    assert (found.waiting, found.done, found.budget_left, found.ends_in) == (None,) * 4
    texts = {one["label"]: one["value"] for one in summary.figures(found)}
    assert texts["Cost so far"] == texts["Engines"] == texts["Queue"] == "–"  # noqa: RUF001


def test_budget_and_time_that_are_left() -> None:
    found = seen(budget=2.0, max_hours=3.0, controller=None)
    assert (found.budget_left, found.hours_left, found.ends_in) == (1.5, 1.0, 600.0)
    more = {one["label"]: one["more"] for one in summary.figures(found)}
    assert more["Cost so far"] == "$1.50 left of $2.00"
    assert more["Ends by itself"] == "if it stays idle; MAX_HOURS in 1 h 00 min"


def test_cluster_was_said_to_be_idle_until_its_master_had_looked_at_what_had_begun() -> None:
    (master, worker) = two()
    running = RunningJob(3, ("python", "a.py"), AT - 2)
    with_job = replace(master, vitals=vitals(idle_left=600.0, jobs=(running,)))
    for found, what in (
        (status(master, worker), "tasks at the controller"),
        (status(with_job, worker, controller=None), "job 3"),
    ):
        figures = {one["label"]: one for one in summary.figures(snapshot.of(found, (), (), AT))}
        figure = figures["Ends by itself"]
        assert (figure["value"], figure["more"]) == ("not now", f"not while it has {what}")
        assert plain.as_json(found, ())["autostop"] == {"seconds_left": 600.0, "busy": [what]}
        shown = io.StringIO()
        Console(file=shown, width=120).print(board.picture(found, (), 120))
        assert f"It does not end by itself while it has {what}." in shown.getvalue()
    silent = status(master, worker, problem="no answer")  # and has said that long ago
    assert silent.busy == ()


def test_job_that_ran_and_is_told_of_no_more_has_ended() -> None:
    running = RunningJob(3, ("python", "a\x1b.py"), AT - 60)
    (master, worker) = two()
    with_job = replace(master, vitals=vitals(jobs=(running,)))
    assert [(one.id, one.state) for one in seen(with_job, worker).jobs] == [(3, "running")]
    assert "\x1b" not in seen(with_job, worker).jobs[0].command
    from spotcluster.cluster.on_master.jobs import Job

    listed = Job(3, ("python", "a.py"), "running", None, "", AT - 61, AT - 60, None, AT)
    found = snapshot.of(status(), (), (listed,), AT)
    assert [(one.id, one.state) for one in found.jobs] == [(3, "ended")]


def test_what_terminate_asks_names_costs_and_what_is_cut_off() -> None:
    running = RunningJob(3, ("python", "a.py"), AT - 60)
    master, worker = two()
    words = summary.questions(seen(replace(master, vitals=vitals(jobs=(running,))), worker))
    said = " ".join(words["terminate"])
    assert "All 2 nodes of 'mycluster' in us-east-1 end" in said
    assert "$0.5000 so far and costs $0.2000/h" in said
    assert "1 job still running would be cut off" in said
    assert "costs $0.0500/h on average" in " ".join(words["add"])


def texts(old: Snapshot | None, new: Snapshot) -> list[str]:
    return [one.text for one in changes.between(old, new)]


def test_first_look_says_how_it_is_and_no_news_are_none() -> None:
    assert texts(None, seen()) == ["'mycluster' is running: 2 nodes."]
    assert texts(seen(), seen()) == []


def test_nodes_that_come_go_and_fail_are_told() -> None:
    master, worker = two()
    more = NodeStatus(instance("node002"), 0.05, None, "", 0.0, None)
    assert texts(seen(), seen(master, worker, more)) == ["node002 has joined (ready)."]
    assert texts(seen(), seen(master)) == ["node001 has left."]
    lost = replace(worker, problem="it does not answer")
    assert texts(seen(), seen(master, lost)) == ["node001 is unreachable: it does not answer"]


def test_node_that_ec2_takes_is_told_when_it_says_so_and_when_it_has() -> None:
    master, worker = two()
    said = Notice("interruption", AT - 1, NOW)
    leaving = seen(master, replace(worker, vitals=vitals(notices=(said,))))
    assert "EC2 takes node001 back; nothing new begins there." in texts(seen(), leaving)
    gone = instance("node001", state="terminated", ended=NOW)
    assert "node001 was taken back by EC2." in texts(leaving, seen(master, taken=(gone,)))


def test_engines_and_controller_that_go_and_come_are_told() -> None:
    silent = seen(problem="no answer")
    assert texts(seen(), silent) == ["The controller does not answer: no answer"]
    assert texts(silent, seen()) == ["The controller answers again."]
    one = Answer(b"", (Engine(0, "master", 1, 5, 0, None),), 0, 0, 5, ())
    assert texts(seen(), seen(controller=one)) == ["1 engine has gone; 1 there."]


def test_search_that_ends_is_told() -> None:
    given = {
        "id": "abc",
        "kind": "GridSearch",
        "state": "running",
        "done": 3,
        "total": 10,
        "started": AT - 60,
        "updated": AT,
        "bests": [],
        "remarks": [],
    }

    def with_search(**more: Any) -> Snapshot:
        return snapshot.of(status(), [{**given, **more}], (), AT)

    assert texts(seen(), with_search()) == ["A GridSearch has begun: 10 evaluations."]
    ended = with_search(state="stopped")
    assert texts(with_search(), ended) == [
        "The GridSearch has stopped before its end: 3 of 10 evaluations."
    ]


def test_several_searches_are_told_of_as_such() -> None:
    assert [words.plural(number, "search") for number in (1, 2)] == ["1 search", "2 searches"]
    assert words.plural(1_000, "node") == "1,000 nodes"


def test_page_of_an_incomplete_cluster_did_not_say_what_mends_it() -> None:
    found = Snapshot("mycluster", "local", AT, state="incomplete")
    assert "`spotcluster -r local start mycluster` goes on" in str(summary.remarks(found))
    assert summary.remarks(replace(found, state="running")) == []
