"""Looking at a cluster: what is seen when nodes are gone, or do not answer."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

from spotcluster.aws.session import Session

from . import changes
from .machines import VITALS
from .world import REGION, World

JOB = (
    'job=7\t{"pid": 1, "started": 1700000000.0, "boot": "x"}\t{"command": ["sh", "a b\\n\u2028"]}\n'
    'job=6\t{"pid": 1, "star\t\n'
    "boot=x\nprocesses=1 77\n"
)
"""One that runs, and one whose files are being removed."""


def start(world: World) -> None:
    world.run("start", "-c", "bare", "mycluster")


def answering(draining: str = "", more: str = "") -> Any:
    """Return what lets the machines say how they do, and the master have no controller."""

    def answer(step: dict[str, Any]) -> dict[str, Any] | None:
        if step["what"] == "asking how the machine does":
            drains = int(step["alias"] == draining)
            return {"out": VITALS.format(clock=int(time.time()), draining=drains) + more}
        if step["what"].startswith("reading "):
            return {"status": 44, "out": ""}
        return None

    return answer


def cluster(world: World) -> dict[str, Any]:
    (found,) = json.loads(world.run("listclusters", "--json").out)
    return dict(found)


def forget_the_ended(world: World) -> None:
    """Let EC2 forget, as it does within the hour."""
    with world.cloud.lock:
        backend = world.cloud.backend("123456789012", REGION)
        for reservation in list(backend.reservations.values()):
            reservation.instances = [one for one in reservation.instances if one.is_live]


def test_cost_of_a_removed_node_stays_when_ec2_has_forgotten_it(world: World) -> None:
    start(world)
    assert "less than a cent so far" in world.run("listclusters").out
    with world.cloud.lock:  # ten hours: whatever the test itself takes is nothing beside them
        for nodes in world.instances().values():
            nodes[0].launch_time -= timedelta(hours=10)
    both = cluster(world)["usd_so_far"]
    world.run("removenode", "-y", "mycluster", "node001")
    forget_the_ended(world)
    seen = cluster(world)
    assert [one["alias"] for one in seen["nodes"]] == ["master"]
    # EC2 tells in whole seconds when a node has ended, of which each had 36,000.
    assert seen["usd_so_far"] > both * (1 - 1 / 36_000)
    world.run("terminate", "-y", "mycluster")
    start(world)
    assert cluster(world)["usd_so_far"] < both / 10, "the former cluster's nodes are counted"


def test_cost_of_a_node_that_somebody_else_ended_is_kept_by_whoever_looks(world: World) -> None:
    start(world)
    with world.cloud.lock:
        (lost,) = world.instances()["node001"]
        lost.terminate()
    world.settle()
    seen = cluster(world)["usd_so_far"]
    forget_the_ended(world)
    assert cluster(world)["usd_so_far"] >= seen


def test_node_that_does_not_answer_is_shown_as_such_and_the_others_as_they_are(
    world: World,
) -> None:
    start(world)
    world.machines.faults.append(
        lambda step: {"lost": "no route to it."} if step["alias"] == "node001" else None
    )
    world.machines.faults.append(answering())
    seen = json.loads(world.run("status", "mycluster", "--json").out)
    nodes = {one["alias"]: one for one in seen["nodes"]}
    assert (nodes["master"]["state"], nodes["node001"]["state"]) == ("ready", "unreachable")
    assert nodes["master"]["load"] == [1.5, 1.0, 0.5]
    assert (nodes["master"]["memory_used_mb"], nodes["master"]["memory_total_mb"]) == (2048, 8192)
    assert nodes["node001"]["load"] is None
    assert "no route" in nodes["node001"]["problem"]
    assert (seen["controller"]["answers"], seen["queue"], seen["engines"]) == (False, None, [])
    said = world.run("status", "mycluster").out
    assert "no route to it" in said
    assert "has no controller" in said


def test_draining_node_and_one_that_is_not_set_up_are_told_apart(world: World) -> None:
    start(world)
    world.machines.faults.append(answering(draining="node001"))
    with world.cloud.lock:
        (master,) = world.instances()["master"]
        master.ec2_backend.tags[master.id].pop("spotcluster:state")
    seen = json.loads(world.run("status", "mycluster", "--json").out)
    assert {one["alias"]: one["state"] for one in seen["nodes"]} == {
        "master": "not set up",
        "node001": "draining",
    }


def test_cluster_without_a_master_has_a_status(world: World) -> None:
    start(world)
    world.machines.faults.append(answering())
    with world.cloud.lock:
        (master,) = world.instances()["master"]
        master.terminate()
    world.settle()
    seen = json.loads(world.run("status", "mycluster", "--json").out)
    assert (seen["state"], [one["alias"] for one in seen["nodes"]]) == ("no master", ["node001"])
    assert "no master" in world.run("status", "mycluster").out


def test_stopped_cluster_was_said_to_be_up(world: World) -> None:
    world.run("start", "-c", "steady", "mycluster")
    assert cluster(world)["uptime_seconds"] is not None
    assert ", up 0 min," in world.run("listclusters").out
    world.run("stop", "-y", "mycluster")
    assert cluster(world)["uptime_seconds"] is None
    assert ", up" not in world.run("listclusters").out
    assert json.loads(world.run("status", "mycluster", "--json").out)["uptime_seconds"] is None
    assert ", up" not in world.run("status", "mycluster").out


def test_jobs_that_run_are_in_the_status_and_named_before_they_are_cut_off(world: World) -> None:
    start(world)
    world.machines.faults.append(answering(more=JOB))
    (job,) = json.loads(world.run("status", "mycluster", "--json").out)["jobs"]
    assert (job["id"], job["command"]) == (7, ["sh", "a b\n\u2028"])
    assert job["started"].startswith("2023-11-14T22:13:")
    assert "Job 7, for " in world.run("status", "mycluster").out
    for command in ("stop", "terminate"):
        assert "Job" not in world.run(command, "mycluster", status=2).err  # nobody reads it
    world.change(changes.can_ask)
    for command in ("stop", "terminate"):
        said = world.run(command, "mycluster", status=2).err
        assert said.index("Job 7 still runs on the master, and is cut off") < said.index("cluster'")
    gone = {"lost": "no route to it."}
    world.machines.faults.insert(0, lambda step: gone)
    for command in ("stop", "terminate"):
        assert "Job" not in world.run(command, "mycluster", status=2).err


def test_console_of_a_node_that_has_ended_is_there_and_another_one_has_none_yet(
    world: World,
) -> None:
    start(world)
    world.run("removenode", "-y", "mycluster", "node001")
    assert "the console's last line" in world.run("showconsole", "mycluster", "node001").out
    done = world.run("showconsole", "mycluster")
    assert done.out == ""
    assert "nothing of the console of master" in done.err
    said = world.run("showconsole", "mycluster", "node007", status=2)
    assert "It shows: master, node001" in said.err
    assert "no node of a cluster" in world.run("showconsole", "other", status=2).err


def test_status_of_no_cluster_and_of_two_wishes_are_one_sentence(world: World) -> None:
    assert "no cluster 'other'" in world.run("status", "other", status=2).err
    assert "leave out --watch" in world.run("status", "x", "--watch", "--json", status=2).err


def test_name_may_be_left_out_while_there_is_one_cluster_only(world: World) -> None:
    assert "There is no cluster in us-east-1." in world.run("sshmaster", status=1).err
    world.run("start", "-c", "bare", "-s", "1", "first")
    world.run("stop", "-y", "first")
    assert "The cluster 'first' is stopped." in world.run("sshmaster", status=1).err
    world.run("start", "-c", "bare", "-s", "1", "second")
    said = world.run("sshmaster", "-A", "-u", "ipuser", status=2).err
    assert "There are 2 clusters: first, second." in said


def end(world: World, alias: str, *, stop: bool) -> None:
    """Stop or terminate a node's instance, as somebody may do in the console."""
    (one,) = world.instances()[alias]
    ec2 = Session(REGION).ec2
    (ec2.stop_instances if stop else ec2.terminate_instances)(InstanceIds=[one.id])
    world.settle()


def test_node_that_is_stopped_is_not_counted_as_running(world: World) -> None:
    """`listclusters` said "running, 2 of 2 nodes"."""
    world.run("start", "-c", "steady", "mycluster")
    end(world, "node001", stop=True)
    assert "mycluster: incomplete, 1 of 2 nodes" in world.run("listclusters").out
    assert cluster(world)["state"] == "incomplete"
    world.run("start", "mycluster")
    assert "mycluster: running, 2 of 2 nodes" in world.run("listclusters").out


def test_size_that_start_is_given_holds_for_a_cluster_that_lacks_nodes(world: World) -> None:
    """It was dropped without a word."""
    start(world)
    end(world, "node001", stop=False)
    world.run("start", "-s", "4", "mycluster")
    assert len(world.ready()) == 4
    assert cluster(world)["size"] == 4
    end(world, "node003", stop=False)
    done = world.run("start", "-s", "2", "mycluster", status=1)
    assert "has 3 nodes: master, " in done.err
    assert "-s 2 would be fewer" in done.err
    assert cluster(world)["size"] == 4
