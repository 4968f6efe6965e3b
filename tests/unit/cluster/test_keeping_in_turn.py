"""A keeper that only looks, and one that acts: which of them is there when, and what each knows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spotcluster.aws import tags
from spotcluster.cluster.lifecycle.keeping import acting, relay
from spotcluster.cluster.lifecycle.keeping.acting import Acting
from spotcluster.cluster.lifecycle.keeping.decision import Decision, Phase, Seen, Worker
from spotcluster.cluster.lifecycle.keeping.observation import Meter, Observation
from spotcluster.cluster.lifecycle.keeping.relay import Known, State
from spotcluster.cluster.lifecycle.keeping.watching import Watching

TAGS = {tags.SIZE: "2", **tags.split_text('{"name": "small"}')}
NOTHING = Decision(why="2 nodes are wanted, 2 are there")
KNOWN = Known({"budget": None}, 'None {"name": "small"}', ["i-old"])
STATE = State({"least": 2}, {"since": [["i-1", "idle", 5.5]]}, ["hours 8.0"], 3.25, 7.5, KNOWN)


def test_keeper_that_only_looks_imports_nothing_that_only_acting_needs() -> None:
    script = (
        "import sys\n"
        "from spotcluster.cluster.lifecycle.keeping import service, watching\n"
        "from spotcluster.aws.session import Credentials, Session\n"
        "Session('us-east-1', credentials=Credentials('a', 'b'), looks=True).ec2\n"
        "print('\\n'.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    there = set(done.stdout.split())
    assert {"botocore.client", "paramiko", "zmq"} <= there
    heavy = {"boto3", "s3transfer", "pydantic", "pydantic_core", "psutil", "ipyparallel", "numpy"}
    ours = {"config", "plugins", "cluster.bringup", "cluster.secrets", "cluster.lifecycle.add"}
    assert not there & {*heavy, *(f"spotcluster.{one}" for one in ours)}


def test_process_that_goes_on_is_the_same_one_and_knows_what_the_other_left(tmp_path: Path) -> None:
    (tmp_path / "next_one.py").write_text(
        "import json, os, sys\n"
        "from dataclasses import asdict\n"
        "from spotcluster.cluster.lifecycle.keeping import relay\n"
        "print(json.dumps([os.getpid(), sys.argv[1:], asdict(relay.taken())]))\n"
    )
    program = (
        "import json, os, sys\n"
        "from spotcluster.cluster.lifecycle.keeping import relay\n"
        "given = json.loads(sys.argv.pop())\n"
        "given['known'] = given['known'] and relay.Known(**given['known'])\n"
        "relay._SERVICE = 'next_one'\n"
        "print(os.getpid())\n"
        "relay.hand_over(relay.State(**given))"
    )
    for state in (STATE, replace(STATE, known=None)):
        given = json.dumps(relay.asdict(state))
        done = subprocess.run(
            [sys.executable, "-c", program, "c", "us-east-1", "/key", given],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
            check=True,
        )
        first, then = (json.loads(line) for line in done.stdout.splitlines())
        assert then == [first, ["c", "us-east-1", "/key"], json.loads(given)]


def test_who_is_started_with_nothing_to_go_on_from_acts() -> None:
    script = "from spotcluster.cluster.lifecycle.keeping import relay; print(relay.taken())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "None\n"


# Who looks passes on what there is to do, and nothing else.


def seen_by(*, budget: float | None = None, told: Any = (), ended: Any = (), **more: Any) -> Any:
    template = SimpleNamespace(budget=budget)
    record = SimpleNamespace(template=template, tags={**TAGS, **dict(told)}, additions=())
    found = [SimpleNamespace(id=one, state="terminated") for one in ("i-old", *ended)]
    found.append(SimpleNamespace(id="i-1", state="running"))
    return SimpleNamespace(record=record, instances=found, **{"answered": True, **more})


def passes(seen: Any, done: Decision = NOTHING, state: State = STATE) -> bool:
    session: Any = None
    return Watching(session, "c", state, KNOWN).act(seen, Seen(2, ()), done)


def test_who_looks_stays_while_there_is_nothing_to_do() -> None:
    assert not passes(seen_by())
    assert not passes(seen_by(told={tags.SIZE: "3"}))  # it sees that itself
    assert not passes(seen_by(budget=20.0), state=replace(STATE, counted=time.monotonic() + 60))


@pytest.mark.parametrize(
    "done",
    [
        Decision(size=3),
        Decision(drain=("node001",)),
        Decision(leave=("node001",)),
        Decision(record=2),
    ],
)
def test_who_looks_passes_on_what_is_to_be_done(done: Decision) -> None:
    assert passes(seen_by(), done)


def test_who_looks_passes_on_what_others_have_changed_or_is_to_be_written_down() -> None:
    assert passes(seen_by(told=tags.split_text('{"name": "other"}')))
    assert passes(seen_by(told={tags.KEEP: '{"least": 3}'}))
    assert passes(seen_by(ended=["i-2"]))  # what it has cost is not written down yet
    assert passes(seen_by(budget=20.0), state=replace(STATE, counted=time.monotonic()))


# Who acts stays until all is done.


def rests(
    seen: Any,
    *workers: Worker,
    done: Decision = NOTHING,
    passed: float = 60.0,
    fails: bool = False,
    rests: bool = True,
) -> bool:
    cluster: Any = SimpleNamespace(session=None)
    hands = Acting(cluster, lambda: cluster, lambda _: None, rests=rests)
    hands._begun -= passed
    if fails:
        hands._asking.failed()
    return hands.act(seen, Seen(1 + len(workers), workers), done)


def test_who_acts_ends_where_another_process_looks_and_nothing_is_to_be_done() -> None:
    ready = Worker("node001", "i-1", ("c5.large", "us-east-1a"), Phase.READY)
    assert rests(seen_by(), ready)
    assert not rests(seen_by(), ready, rests=False)  # as in the foreground
    assert not rests(seen_by(), ready, passed=acting._STAYS - 5)
    assert not rests(seen_by(), replace(ready, phase=Phase.COMING))
    assert not rests(seen_by(answered=False), ready)
    assert not rests(seen_by(), ready, done=Decision(drain=("node001",)))
    assert not rests(seen_by(), ready, fails=True)  # what is wanted is asked for later
    adding = seen_by()
    adding.record.additions = ("one that another computer makes",)
    assert not rests(adding, ready)


def test_what_tasks_take_is_known_to_the_next_process() -> None:
    meter = Meter()
    for at in (0.0, 10.0, 20.0):
        meter.take(at, {0: int(at), 1: int(at)})
    after = Meter(json.loads(json.dumps(meter.ends)))
    assert after.seconds() == meter.seconds() == 1.0
    assert Meter(Meter().ends).seconds() is None


def test_how_long_something_has_held_is_not_forgotten_before_anybody_has_answered() -> None:
    """A node that was silent for three minutes would be waited for anew by each process."""
    now = 200.0
    made = Observation.__new__(Observation)
    made._clock = lambda: now
    made._since = {("i-1", "silent"): 20.0}
    assert made._for("i-1", "silent", holds=None) == 0.0
    assert made._for("i-1", "silent", holds=True) == 180.0
    assert made._for("i-1", "silent", holds=False) == 0.0
    assert made._for("i-1", "silent", holds=True) == 0.0
