"""How many round trips and connections a node costs: counted, and no more than they are."""

from __future__ import annotations

from collections import Counter
from typing import Any

from spotcluster.node_layout import ENGINE_FILE

from .world import World

OF_A_WORKER = [
    "connecting",
    "looking after the shared home, asking what the machine has, making its host key",
    "changing its host key, looking at the host key that its sshd shows, making it a node,"
    " preparing the folders of ubuntu, preparing the folders of ipuser,"
    " writing /etc/spotcluster/services/autostop.py,"
    " writing /etc/spotcluster/services/autostop_work.py,"
    " writing /etc/spotcluster/services/autostop.json,"
    " writing /etc/spotcluster/services/autostop, start of autostop,"
    " asking what the machine has",
    "letting the master in, letting the master in, naming master,"
    " writing /etc/spotcluster/services/master.json, writing ~/.spotcluster/services/notices,"
    " start of notices",
    "looking for ipyparallel, listing the packages",
    "writing the engines' connection file, starting engines,"
    " retire of engine,"
    " writing ~/.spotcluster/services/engines.py, writing ~/.spotcluster/engines/number,"
    " writing ~/.spotcluster/services/engines, start of engines",
    "listing the packages",
]


def trips(world: World) -> dict[str, list[str]]:
    """Return what went to each node, in its order."""
    found: dict[str, list[str]] = {}
    for call in world.calls:
        alias, there, what = call.partition(": ")
        if there:
            found.setdefault(alias, []).append(what)
    return found


def test_worker_costs_six_round_trips_over_one_connection(world: World) -> None:
    world.begin()
    world.run("start", "-c", "bare", "-s", "3", "mycluster")
    found = trips(world)
    assert found["node001"] == found["node002"] == OF_A_WORKER


def test_master_is_told_of_many_workers_at_once(world: World) -> None:
    """It was told of each by itself, and its connection file was read for each."""
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    world.begin()
    world.run("addnode", "-s", "20", "mycluster")
    found = trips(world)
    assert len(world.ready()) == 21
    for alias in world.ready()[1:]:
        assert found[alias] == OF_A_WORKER
    told = Counter(what.split(" node0")[0] for what in found["master"])
    assert told.pop("connecting") == 1
    assert told["asking what the machine has"] == 1
    assert told.keys() == {
        "asking what the machine has",
        "naming",
        f"reading {ENGINE_FILE}",
        "engines of",
        "listing the packages",
    }
    # Who comes later than a moment is not waited for, and this computer may be slow.
    assert max(told.values()) <= 5


def test_node_whose_sshd_nobody_there_can_look_at_is_connected_to_anew(world: World) -> None:
    def fault(asked: dict[str, Any]) -> dict[str, Any] | None:
        looking = asked["what"] == "looking at the host key that its sshd shows"
        return {"out": "unchecked\n"} if looking else None

    world.machines.faults.append(fault)
    world.begin()
    world.run("start", "-c", "bare", "-s", "2", "mycluster")
    assert trips(world)["node001"].count("connecting") == 2
    (one,) = world.instances()["node001"]
    own = one.ec2_backend.tags[one.id]
    assert own["spotcluster:host-key"] == own["spotcluster:next-host-key"]
