"""`NOTIFY`: commands tell it what they have done, and do not wait for it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import wait_until
from moto.ec2.models.instances import StateReason

from .commands import a_lost_node
from .machines import VITALS
from .world import World

TAKEN = (
    "Server.SpotInstanceTermination: Spot instance termination",
    "Server.SpotInstanceTermination",
)


def configure(world: World, hook: str) -> None:
    path = world.home / "config"
    path.write_text(f"[global]\nNOTIFY = {hook}\n{path.read_text()}")


def test_commands_tell_the_hook_what_they_have_done(world: World, tmp_path: Path) -> None:
    told = tmp_path / "told"
    configure(world, f"cat >>{told}; echo >>{told}")
    world.run("start", "-s", "2", "-c", "bare", "mycluster")
    world.run("stop", "-y", "mycluster")
    world.run("terminate", "-y", "mycluster")

    def all_told() -> bool:
        return told.exists() and len(told.read_text().splitlines()) == 3

    wait_until("three notes", all_told, 60)
    notes = [json.loads(line) for line in told.read_text().splitlines()]
    assert sorted((one["event"], one["text"]) for one in notes) == [
        ("ready", "'mycluster' is ready with 2 node(s)."),
        ("stopped", "'mycluster' is stopped; only disks cost money."),
        ("stopped", "'mycluster' is terminated."),
    ]
    assert {one["cluster"] for one in notes} == {"mycluster"}


def test_keeper_tells_the_hook_of_nodes_that_it_replaces(world: World, tmp_path: Path) -> None:
    told = tmp_path / "told"
    a_lost_node(world)
    configure(world, f"cat >>{told}; echo >>{told}")
    world.run("keep", "--once", "mycluster")
    wait_until("a note", lambda: told.exists() and told.read_text().endswith("\n"), 60)
    (note,) = [json.loads(line) for line in told.read_text().splitlines()]
    assert (note["event"], note["nodes"]) == ("replaced", 1)
    assert note["text"] == "1 node(s) of 'mycluster' that were lost are replaced."


def a_spent_budget(world: World) -> None:
    world.run("start", "-c", "bare", "-s", "1", "--budget", "0.05", "mycluster")
    (master,) = world.instances()["master"]
    master.launch_time = "2020-01-01T00:00:00.000Z"


def notes(told: Path, number: int) -> list[dict[str, Any]]:
    """Return what the hook was told, which must be so many notes."""

    def all_told() -> bool:
        return told.exists() and len(told.read_text().splitlines()) >= number

    wait_until(f"{number} notes", all_told, 60)
    found = [json.loads(line) for line in told.read_text().splitlines()]
    assert len(found) == number
    return found


def log_of(world: World) -> list[str]:
    """Return what became of each note, once none is under way."""
    log = world.home / "notify.log"
    return log.read_text().splitlines() if log.exists() else []


def test_budget_that_is_nearly_spent_is_told_once_whoever_looks(
    world: World, tmp_path: Path
) -> None:
    a_spent_budget(world)
    # Who has no hook leaves it to others.
    assert "of the BUDGET of $0.05" in world.run("listclusters").out
    told = tmp_path / "told"
    configure(world, f"cat >>{told}; echo >>{told}")
    for words in (("status",), ("listclusters",), ("keep", "--once"), ("costs", "--json")):
        world.run(*words, "mycluster")
    wait_until("a note", lambda: told.exists() and told.read_text().endswith("\n"), 60)
    (note,) = [json.loads(line) for line in told.read_text().splitlines()]
    assert (note["event"], note["cluster"], note["budget_usd"]) == ("budget", "mycluster", 0.05)
    assert "% of the BUDGET of $0.05 of 'mycluster' is spent; at 100%" in note["text"]
    assert note["usd"] > 1
    assert len(log_of(world)) == 1
    # Another budget is another matter.
    world.run("autostop", "--budget", f"{note['usd'] * 1.1:.2f}", "mycluster")
    said = world.run("keep", "--once", "mycluster").out
    assert "91% of the BUDGET" in said
    wait_until("a note", lambda: len(log_of(world)) == 2, 60)


def test_end_of_a_cluster_by_itself_is_told_once(world: World, tmp_path: Path) -> None:
    told = tmp_path / "told"
    configure(world, f"test $SPOTCLUSTER_EVENT != stopped || {{ cat >>{told}; echo >>{told}; }}")
    world.run("start", "-c", "bare", "mycluster")
    for there in world.instances().values():
        for one in there:
            one.ec2_backend.host_shut_down(one)
    world.settle()
    for words in (("listclusters",), ("costs",), ("listclusters",)):
        world.run(*words, "mycluster")
    wait_until("a note", lambda: told.exists() and told.read_text().endswith("\n"), 60)
    (note,) = [json.loads(line) for line in told.read_text().splitlines()]
    assert note["text"] == "'mycluster' has stopped by itself; only disks cost money."


def take(world: World, alias: str) -> None:
    """Let EC2 take a node back that nobody looks at."""
    (one,) = world.instances()[alias]
    one.terminate(StateReason(*TAKEN))
    world.settle()


@pytest.mark.parametrize("first", ["listclusters", "status"])
def test_node_that_is_taken_back_is_told_once_whoever_sees_it(
    world: World, tmp_path: Path, first: str
) -> None:
    told = tmp_path / "told"
    world.run("start", "-s", "3", "-c", "bare", "mycluster")
    configure(world, f"test $SPOTCLUSTER_EVENT != lost || {{ cat >>{told}; echo >>{told}; }}")
    take(world, "node001")
    for words in ((first,), ("keep", "--once"), ("listclusters",), ("status",)):
        world.run(*words, "mycluster")
    (note,) = notes(told, 1)
    assert note["text"] == "node001 of 'mycluster' is lost: EC2 has taken it back."
    assert note["node"] == "node001"

    def says(asked: dict[str, Any]) -> dict[str, Any] | None:
        if asked["alias"] != "node002" or asked["what"] != "asking how the machine does":
            return None
        notice = f"notice=interruption {int(time.time())} 2026-11-29T12:20:00Z\n"
        return {"out": VITALS.format(clock=int(time.time()), draining=1) + notice}

    world.machines.faults.append(says)
    for words in (("keep", "--once"), ("status",), ("listclusters",)):
        world.run(*words, "mycluster")
    take(world, "node002")
    world.run("listclusters")
    assert notes(told, 2)[1]["text"] == "node002 of 'mycluster' is lost: EC2 takes it back."


def test_two_who_look_at_once_tell_it_once(world: World, tmp_path: Path) -> None:
    told = tmp_path / "told"
    a_spent_budget(world)
    configure(world, f"cat >>{told}; echo >>{told}")
    both = threading.Barrier(2)

    def together(number: int, name: str, do: Callable[[], Any]) -> Any:
        if name == "CreateTags" and not both.broken:
            both.wait(60)
        return do()

    world.on_call = together
    terminals = [world.terminal("listclusters") for _ in range(2)]
    assert [one.wait().status for one in terminals] == [0, 0]
    world.on_call = None
    wait_until("a note", lambda: told.exists() and told.read_text().endswith("\n"), 60)
    assert len(log_of(world)) == len(told.read_text().splitlines()) == 1


def test_who_may_write_no_tags_looks_all_the_same(world: World, tmp_path: Path) -> None:
    a_spent_budget(world)
    configure(world, f"touch {tmp_path}/told")
    world.cloud.faults.replace([{"action": "CreateTags", "code": "UnauthorizedOperation"}])
    assert "of the BUDGET of $0.05" in world.run("listclusters").out
    assert log_of(world) == []


@pytest.mark.parametrize("hook", ["exit 1", "sleep 600", "https://127.0.0.1:1/a-secret"])
def test_hook_that_fails_or_hangs_fails_and_delays_no_command(world: World, hook: str) -> None:
    configure(world, hook)
    done = world.run("start", "-s", "1", "-c", "bare", "mycluster")
    begin = time.monotonic()
    ended = world.run("terminate", "-y", "mycluster")
    assert time.monotonic() - begin < 30
    assert "a-secret" not in done.out + done.err + ended.out + ended.err
    assert world.left() == []
    for log in (world.home / "logs").glob("*"):
        assert "a-secret" not in log.read_text()
    sent = json.dumps([world.calls])
    assert "a-secret" not in sent
