"""Clusters end by themselves: what EC2 is told of that when nodes are made."""

from __future__ import annotations

import json
import re

import pytest

from .world import World

SETTINGS = "/etc/spotcluster/services/autostop.json"


def on_shutdown(world: World) -> dict[str, str]:
    """Return what becomes of each node when it shuts itself down."""
    return {
        name: one.instance_initiated_shutdown_behavior
        for name, there in world.instances().items()
        for one in there
    }


@pytest.mark.parametrize(
    ("words", "of_master"), [((), "stop"), (("-b", "0.5", "--force-spot-master"), "terminate")]
)
def test_shutdown_from_inside_ends_a_worker_and_keeps_the_disk_of_a_master_that_can_stop(
    world: World, words: tuple[str, ...], of_master: str
) -> None:
    world.run("start", "-c", "bare", "-s", "2", *words, "mycluster")
    assert on_shutdown(world) == {"master": of_master, "node001": "terminate"}


def settings(world: World, alias: str) -> dict[str, object]:
    """Return what a node ends by, as it was written last."""
    (one,) = world.instances()[alias]
    found = re.search(r"content='(.*)'", world.machines.files[one.id][SETTINGS])
    assert found
    read: dict[str, object] = json.loads(found[1])
    return read


def test_every_node_has_what_it_ends_by_and_autostop_says_it_anew(world: World) -> None:
    said = world.run("start", "-c", "bare", "-s", "2", "--autostop", "90 min", "mycluster")
    assert "After 1 h 30 min idle it ends by itself; only the master's disk" in said.out
    was = {alias: settings(world, alias) for alias in ("master", "node001")}
    assert {alias: (one["idle"], one["is_master"]) for alias, one in was.items()} == {
        "master": (5400, True),
        "node001": (5400, False),
    }
    (worker,) = world.instances()["node001"]
    assert "/etc/spotcluster/services/master.json" in world.machines.files[worker.id]

    said = world.run("autostop", "mycluster", "2h")
    assert said.out == "'mycluster' ends after 2 h idle, counted from now.\n"
    now = {alias: settings(world, alias) for alias in was}
    assert [one["idle"] for one in now.values()] == [7200, 7200]
    assert all(one["postponed"] != was[alias]["postponed"] for alias, one in now.items())

    world.run("addnode", "mycluster")
    assert settings(world, "node002")["idle"] == 7200
    (listed,) = json.loads(world.run("listclusters", "--json").out)
    assert (listed["autostop_seconds"], listed["ended_by_itself"]) == (7200, False)

    said = world.run("autostop", "mycluster", "off")
    assert said.out == "'mycluster' does not end by itself.\n"
    assert settings(world, "master")["idle"] == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("start", "-c", "bare", "--autostop", "60", "mycluster"), "--autostop 60: is not a dur"),
        (("start", "-c", "bare", "--budget", "-1", "mycluster"), "--budget -1.0: must be greater"),
    ],
)
def test_what_is_no_limit_is_refused_before_anything_is_made(
    world: World, words: tuple[str, ...], why: str
) -> None:
    world.begin()
    said = world.run(*words, status=2)
    assert why in " ".join(said.err.split())
    assert world.calls == []


@pytest.mark.parametrize("words", [(), ("-b", "0.5", "--force-spot-master")])
def test_cluster_that_ended_by_itself_is_listed_brought_back_and_ended(
    world: World, words: tuple[str, ...]
) -> None:
    world.run("start", "-c", "bare", "-s", "2", *words, "mycluster")

    for there in world.instances().values():
        for one in there:
            one.ec2_backend.host_shut_down(one)
    world.settle()
    said = " ".join(world.run("listclusters").out.split())
    assert "'mycluster' was idle and ended by itself on" in said
    kept = "nothing of it costs money" if words else "the disk of master costs money"
    assert kept in said
    (listed,) = json.loads(world.run("listclusters", "--json").out)
    assert listed["ended_by_itself"]
    assert listed["usd_per_hour"] == (0.0 if words else pytest.approx(8 * 0.08 / 730))  # its disk
    ended = world.save()
    world.run("start", "mycluster")
    assert len(world.ready()) == 2
    world.restore(ended)
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_addition_that_the_budget_does_not_allow_is_refused_with_the_hours_that_are_left(
    world: World,
) -> None:
    world.run("start", "-c", "bare", "-s", "1", "--budget", "0.5", "mycluster")
    before = settings(world, "master")
    assert before["ceiling"]
    world.run("addnode", "mycluster")
    now = settings(world, "master")
    assert now["ceiling"] < before["ceiling"] / 1.9  # type: ignore[operator]
    world.begin()
    said = " ".join(world.run("addnode", "-s", "50", "mycluster", status=2).err.split())
    assert "BUDGET = 0.5" in said
    assert "hours, too few to begin anything" in said
    assert "CreateFleet" not in world.calls
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_budget_that_is_gone_at_once_is_refused_before_anything_is_made(world: World) -> None:
    said = world.run("start", "-c", "bare", "--budget", "0.001", "mycluster", status=2)
    assert "too few to begin anything" in " ".join(said.err.split())
    assert world.left() == []


def test_ceiling_moves_on_as_nodes_leave_and_as_it_is_counted_anew(world: World) -> None:
    world.run("start", "-c", "bare", "-s", "3", "--budget", "20", "mycluster")
    before = settings(world, "master")["ceiling"]
    world.run("removenode", "-y", "mycluster", "node001", "node002")
    after = settings(world, "master")["ceiling"]
    assert after > 2.9 * before  # type: ignore[operator]
    was = settings(world, "master")["set"]
    world.run("autostop", "mycluster")
    now = settings(world, "master")
    assert now["set"] != was
    assert now["ceiling"] == pytest.approx(after, rel=0.01)


def test_budget_that_is_80_percent_spent_is_said(world: World) -> None:
    world.run("start", "-c", "bare", "-s", "1", "--budget", "0.05", "mycluster")
    assert "BUDGET" not in world.run("listclusters").out
    (master,) = world.instances()["master"]
    master.launch_time = "2020-01-01T00:00:00.000Z"
    said = " ".join(world.run("listclusters").out.split())
    assert "of the BUDGET of $0.05 of 'mycluster' is spent; at 100% it ends by itself" in said
    (listed,) = json.loads(world.run("listclusters", "--json").out)
    assert listed["budget_usd"] == 0.05


def test_cluster_that_is_to_be_terminated_is_made_so_and_says_so(world: World) -> None:
    (world.home / "config").write_text(
        (world.home / "config").read_text() + "\n[cluster gone]\nEXTENDS = bare\n"
        "AUTOSTOP_ACTION = terminate\n"
    )
    said = world.run("start", "-c", "gone", "-s", "2", "mycluster")
    assert "After 1 h idle it ends by itself, with its disks." in said.out
    assert on_shutdown(world) == {"master": "terminate", "node001": "terminate"}
    for there in world.instances().values():
        for one in there:
            one.ec2_backend.host_shut_down(one)
    world.settle()
    said = world.run("listclusters")
    assert "nothing of it costs money" in " ".join(said.out.split())
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_budget_of_a_cluster_that_runs_is_raised(world: World) -> None:
    """Only of one that was stopped or lacked nodes it was."""
    world.run("start", "-c", "bare", "-s", "2", "--budget", "10", "mycluster")
    before = settings(world, "node001")["ceiling"]
    said = world.run("autostop", "mycluster", "--budget", "20")
    assert "No node runs for longer than" in said.out
    after = settings(world, "node001")["ceiling"]
    assert after == pytest.approx(2 * before, rel=0.01)  # type: ignore[operator]
    (listed,) = json.loads(world.run("listclusters", "--json").out)
    assert listed["budget_usd"] == 20
    said = world.run("autostop", "mycluster", "--budget", "0.0001", status=2)
    assert "too few to begin anything" in " ".join(said.err.split())
    assert settings(world, "node001")["ceiling"] == after
