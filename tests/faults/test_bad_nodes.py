"""One bad node: reported as itself, replaced or dropped, and never in the way of the others."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import wait_until

from spotcluster.node_layout import ENGINE_FILE

from .world import World, set_limit

WORKER = "node001"


def bad(world: World, alias: str, times: int, step: str, answer: dict[str, Any]) -> list[str]:
    """Let the first machines of a name fail at a step; return a list that their ids go to."""
    machines: list[str] = []

    def fault(asked: dict[str, Any]) -> dict[str, Any] | None:
        if asked["alias"] != alias or step not in asked["what"]:
            return None
        if asked["id"] not in machines:
            if len(machines) == times:
                return None
            machines.append(asked["id"])
        return answer

    world.machines.faults.append(fault)
    return machines


FAILURES = {
    "full disk": ("looking for ipyparallel", {"lost": ""}),
    "dies during set-up": ("asking what", {"lost": "the SSH connection was lost during set-up."}),
    "sshd is dead": ("connecting", {"lost": "SSH did not let us in within 2 s."}),
    "wrong host key": ("connecting", {"lost": "the machine has another host key."}),
    "installation fails": (
        "letting the master in",
        {"status": 28, "command": "mkdir -p x", "out": "No space left on device\n"},
    ),
}


@pytest.mark.parametrize("what", FAILURES)
def test_node_that_fails_is_replaced_twice(world: World, what: str) -> None:
    step, answer = FAILURES[what]
    if what == "full disk":
        step, answer = "starting engines", {**FAILURES["installation fails"][1]}
    machines = bad(world, "node001", 2, step, answer)
    done = world.run("start", "-c", "bare", "-s", "3", "mycluster")
    assert world.ready() == ["master", "node001", "node002"]
    assert all(len(there) == 1 for there in world.instances().values())
    assert len(machines) == 2
    for number, machine in enumerate(machines, 1):
        assert f"{machine} is replaced ({number} of 2)" in done.err.replace("\n", " ")
    expected = answer.get("lost") or answer["out"].strip()
    assert expected in done.err
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_node_that_fails_a_third_time_is_dropped_with_console_and_log_file(world: World) -> None:
    machines = bad(world, "node001", 9, "connecting", {"lost": "sshd is dead."})
    world.cloud.console = lambda one: "boot\nsystemd: sshd.service failed\x1b[31m\n"
    done = world.run("start", "-c", "bare", "-s", "3", "mycluster", status=1)
    assert len(machines) == 3
    assert world.ready() == ["master", "node002"]
    assert list(world.instances()) == ["master", "node002"]
    assert "1 of 3 nodes did not get ready: node001" in done.err
    said = done.err.replace("\n", "")
    assert "systemd: sshd.service failed" in said
    assert "\x1b" not in done.err
    logs = re.findall(r"Its log file: (\S+)", done.err)
    assert len(logs) == 3
    for machine in machines:
        (log,) = [Path(one) for one in logs if machine in one]
        text = log.read_text()
        assert "sshd is dead" in text
        assert "systemd: sshd.service failed" in text
        assert log.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("number", [0, 1])
def test_config_says_how_often_a_node_is_replaced(
    world: World, spotcluster_home: Path, number: int
) -> None:
    path = spotcluster_home / "config"
    path.write_text(
        path.read_text().replace("[cluster bare]", f"[cluster bare]\nREPLACEMENTS = {number}")
    )
    machines = bad(world, "node001", 9, "connecting", {"lost": "sshd is dead."})
    done = world.run("start", "-c", "bare", "mycluster", status=1)
    assert len(machines) == 1 + number
    assert ("is replaced (1 of 1)" in done.err.replace("\n", " ")) == (number == 1)


def test_node_that_boots_late_does_not_hold_up_the_others(world: World) -> None:
    world.frozen = {"node001"}
    terminal = world.terminal("start", "-c", "bare", "-s", "3", "mycluster")
    while "node002" not in world.ready():
        assert not terminal.ended()
        time.sleep(0.01)
    assert world.ready() == ["master", "node002"]
    world.frozen = set()
    world.settle()
    assert terminal.wait().status == 0
    assert world.ready() == ["master", "node001", "node002"]


def test_node_that_never_boots_is_given_up_at_its_limit(
    world: World, spotcluster_home: Path
) -> None:
    set_limit(spotcluster_home, "LAUNCH_TIMEOUT", 5)
    world.frozen = {"node001"}
    done = world.run("start", "-c", "bare", "--on-failure", "drop", "mycluster", status=1)
    assert "still pending after 5 s (LAUNCH_TIMEOUT)" in done.err
    assert world.ready() == ["master"]
    assert list(world.instances()) == ["master"]


def test_step_that_hangs_ends_at_its_limit(world: World, spotcluster_home: Path) -> None:
    set_limit(spotcluster_home, "SETUP_TIMEOUT", 60)
    limits: list[float] = []

    def fault(asked: dict[str, Any]) -> dict[str, Any] | None:
        if "timeout" in asked:
            limits.append(asked["timeout"])
        return None

    world.machines.faults.append(fault)
    world.run("start", "-c", "bare", "-s", "2", "mycluster")
    assert limits
    assert max(limits) <= 60


def test_master_that_fails_is_replaced_while_the_workers_wait(world: World) -> None:
    machines = bad(world, "master", 1, "starting the controller", {"status": 1, "out": "no room"})
    world.run("start", "-c", "bare", "-s", "2", "mycluster")
    assert len(machines) == 1
    assert world.ready() == ["master", "node001"]


def steps_of(world: World, alias: str) -> list[str]:
    return [what for who, what in world.machines.steps if who == alias]


def test_workers_are_introduced_to_the_master_that_took_the_place_of_the_first(
    world: World,
) -> None:
    """They had met the one that failed, and the new one knew neither their names nor their keys."""
    first: list[str] = []

    def fault(asked: dict[str, Any]) -> dict[str, Any] | None:
        # When its workers have met it.
        if asked["alias"] == "master" and asked["what"].startswith("engines of master"):
            first.append(asked["id"])
            if asked["id"] == first[0]:
                end = time.monotonic() + 60
                while "naming master" not in steps_of(world, "node001"):
                    assert time.monotonic() < end
                    time.sleep(0.01)
                return {"status": 1, "out": "no room"}
        return None

    world.machines.faults.append(fault)
    done = world.run("start", "-c", "bare", "-s", "2", "mycluster")
    assert world.ready() == ["master", "node001"]
    assert len(set(first)) == 2
    assert steps_of(world, "node001").count("naming master") == 2
    assert steps_of(world, "master").count("naming node001") == 2
    assert "node001: once more, since the master has been replaced" in done.err


def test_master_waited_for_workers_that_waited_for_it(world: World) -> None:
    """For the engines of all to be asked for at once, while the workers waited for its own."""

    def fault(asked: dict[str, Any]) -> dict[str, Any] | None:
        if asked["alias"] == "master" and asked["what"].startswith("engines of master"):
            wait_until("engines of a worker", lambda: "start of engines" in steps_of(world, WORKER))
        return None

    world.machines.faults.append(fault)
    world.run("start", "-c", "bare", "-s", "2", "mycluster")
    assert world.ready() == ["master", WORKER]


def test_worker_waited_for_the_controller_before_it_looked_at_its_own_packages(
    world: World,
) -> None:
    def fault(asked: dict[str, Any]) -> dict[str, Any] | None:
        if (asked["alias"], asked["what"]) == ("master", "starting the controller"):
            wait_until("a look", lambda: "listing the packages" in steps_of(world, WORKER))
        return None

    world.machines.faults.append(fault)
    world.run("start", "-c", "bare", "-s", "2", "mycluster")
    assert world.ready() == ["master", WORKER]
    own = steps_of(world, WORKER)
    assert own.index("listing the packages") < own.index("writing the engines' connection file")


@pytest.mark.parametrize("what", ["listing the packages", f"reading {ENGINE_FILE}"])
def test_worker_was_replaced_for_what_the_master_failed_in(world: World, what: str) -> None:
    """It asks the master while that one sets itself up, and may see first that it is broken."""
    first: list[str] = []
    failed = threading.Event()

    def fault(asked: dict[str, Any]) -> dict[str, Any] | None:
        if asked["alias"] != "master":
            return None
        first.append(asked["id"])
        if asked["id"] == first[0]:
            if asked["what"] == what:
                failed.set()
                return {"lost": "it has no network."}
            if asked["what"].startswith("engines of"):
                assert failed.wait(60)
                return {"status": 1, "out": "no room"}
        return None

    world.machines.faults.append(fault)
    done = world.run("start", "-c", "bare", "-s", "2", "mycluster")
    assert world.ready() == ["master", WORKER]
    assert f"{first[0]} is replaced (1 of 2)" in done.err.replace("\n", " ")
    assert "node001: once more, since the master has been replaced" in done.err
    assert done.err.count("is replaced (") == 1


def test_workers_of_a_master_that_was_lost_are_brought_to_the_new_one(world: World) -> None:
    """They stayed as they were: engines of a controller that was no more, and no name of its."""
    world.run("start", "-c", "bare", "-s", "3", "mycluster")
    before = {alias: one.id for alias, (one,) in world.instances().items()}
    world.instances()["master"][0].terminate()
    world.settle()
    world.machines.steps.clear()
    done = world.run("start", "mycluster")
    after = {alias: one.id for alias, (one,) in world.instances().items()}
    assert world.ready() == ["master", "node001", "node002"]
    assert after["master"] != before.pop("master")
    assert before.items() <= after.items()
    for worker in before:
        assert any("naming" in one and worker in one for one in steps_of(world, "master"))
        assert "naming master" in steps_of(world, worker)
        assert "writing the engines' connection file" in steps_of(world, worker)
    assert "3 node(s) with 6 engine(s) are ready" in done.out


def test_login_whose_profile_prints_is_set_up_as_any_other(world: World) -> None:
    """SFTP breaks at what it prints, and the master's key went that way."""

    def fault(asked: dict[str, Any]) -> dict[str, Any] | None:
        refused = {"status": 1, "out": "Garbage packet received"}
        return refused if asked["kind"] == "put" else None

    world.machines.faults.append(fault)
    world.run("start", "-c", "bare", "mycluster")
    assert world.ready() == ["master", "node001"]


def test_abort_ends_what_this_command_made_and_nothing_else(world: World) -> None:
    world.run("start", "-c", "bare", "-s", "2", "mycluster")
    bad(world, "node003", 9, "connecting", {"lost": "sshd is dead."})
    done = world.run("addnode", "-s", "3", "--on-failure", "abort", "mycluster", status=1)
    assert "node003 failed, and --on-failure abort ended" in done.err
    assert list(world.instances()) == ["master", "node001"]
    assert world.ready() == ["master", "node001"]


def test_node_whose_cluster_is_gone_is_not_replaced(world: World) -> None:
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    launches: list[str] = []

    def count(number: int, name: str, do: Callable[[], Any]) -> Any:
        if name == "CreateFleet":
            launches.append(name)
        return do()

    world.on_call = count
    world.frozen = {"node001"}
    adding = world.terminal("addnode", "mycluster")
    while "node001" not in world.instances():
        assert not adding.ended()
        time.sleep(0.01)
    world.run("terminate", "-y", "mycluster")
    done = adding.wait()
    assert "has been terminated from elsewhere" in done.err
    assert len(launches) == 1
    assert world.left() == []
