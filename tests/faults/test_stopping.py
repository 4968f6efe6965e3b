"""Stop, start again, restart: what is kept, what is said, and what holds nothing up."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import changes
from .terminals import Done
from .world import World

HOOKS = "spotcluster.cluster.lifecycle.terminate._HOOKS"
"""How long `terminate` waits for plugins at most."""

PLUGINS = """
import time

from spotcluster.errors import NodeError
from spotcluster.plugins.base import Plugin


class Telling(Plugin):
    word: str

    def setup(self, cluster, node):
        node.run("", what=f"{self.word} set up")

    def restart(self, cluster, node):
        node.run("", what=f"{self.word} brought back")

    def shutdown(self, cluster):
        for node in cluster.nodes:
            node.run("", what=f"{self.word} shut down")


class Broken(Telling):
    def shutdown(self, cluster):
        raise RuntimeError("it broke")


class Hanging(Telling):
    def shutdown(self, cluster):
        time.sleep(600)
"""


@pytest.fixture(autouse=True)
def short_waits(world: World) -> None:
    """Nothing here waits for a real cloud."""
    world.change(changes.set_value, "spotcluster.cluster.bringup.pipeline._CAPACITY_PAUSE", 0.05)


def fail(world: World, *rules: dict[str, Any]) -> None:
    world.cloud.faults.replace(list(rules))


def states(world: World) -> dict[str, str]:
    """Return the state of each node; there is one of each name."""
    return {alias: one.state for alias, (one,) in world.instances().items()}


def ids(world: World) -> dict[str, str]:
    return {alias: one.id for alias, (one,) in world.instances().items()}


def use_plugins(home: Path, *kinds: str, limit: int = 240) -> None:
    """Let the templates use plugins called first, second, ..., of these classes."""
    folder = home / "plugins"
    folder.mkdir(mode=0o700)
    (folder / "telling.py").write_text(PLUGINS)
    (folder / "telling.py").chmod(0o600)
    names = ("first", "second", "third")[: len(kinds)]
    text = (home / "config").read_text()
    use = f"PLUGINS = {', '.join(names)}\nSTOP_TIMEOUT = {limit}"
    text = text.replace("PLUGINS = ipcluster", use)
    for name, kind in zip(names, kinds, strict=True):
        text += f"\n[plugin {name}]\nSETUP_CLASS = telling.{kind}\nWORD = {name}\n"
    (home / "config").write_text(text)


def told(world: World, what: str) -> list[str]:
    """Return what plugins did, in order, each once."""
    steps = [said.removesuffix(f" {what}") for _, said in world.machines.steps if what in said]
    return list(dict.fromkeys(steps))


def test_stop_keeps_disks_and_says_first_what_cannot_stop(world: World) -> None:
    world.run("start", "-c", "steady", "mycluster")
    world.run("addnode", "-b", "0.5", "mycluster")
    before = ids(world)
    refused = world.run("stop", "mycluster", status=2)  # nobody can answer here
    assert "spot instances, which cannot stop; they are terminated" in refused.err
    assert refused.err.index("cannot stop") < refused.err.index("Stop 'mycluster' in")
    assert states(world) == dict.fromkeys(["master", "node001", "node002"], "running")
    done = world.run("stop", "-y", "mycluster")
    assert "Kept with its disk: master, node001. Terminated: node002." in done.out
    assert states(world) == {"master": "stopped", "node001": "stopped"}
    (listed,) = json.loads(world.run("-r", "us-east-1", "listclusters", "--json").out)
    assert (listed["state"], listed["size"]) == ("stopped", 3)
    assert listed["usd_per_hour"] == pytest.approx(2 * 8 * 0.08 / 730)  # of the disks
    assert "is stopped already" in world.run("stop", "mycluster").out
    world.run("start", "mycluster")
    assert world.ready() == ["master", "node001", "node002"]
    after = ids(world)
    assert (after["master"], after["node001"]) == (before["master"], before["node001"])
    assert after["node002"] != before["node002"]
    (worker,) = world.instances()["node002"]
    assert worker.lifecycle == "spot"  # as it was, which the template does not say


def test_spot_workers_are_made_up_to_the_size_that_the_cluster_had(world: World) -> None:
    world.run("start", "-c", "bare", "-s", "4", "mycluster")
    world.run("removenode", "-y", "mycluster", "node002")
    (lost,) = world.instances()["node003"]
    lost.terminate()  # by EC2, before the stop
    world.run("stop", "-c", "mycluster")
    world.run("start", "mycluster")
    assert world.ready() == ["master", "node001", "node002"]
    world.run("stop", "-y", "mycluster")
    world.run("start", "-s", "5", "mycluster")
    assert world.ready() == ["master", "node001", "node002", "node003", "node004"]
    world.run("stop", "-y", "mycluster")
    world.run("start", "-s", "1", "mycluster")
    assert world.ready() == ["master"]
    assert world.group_tags()["spotcluster:size"] == "1"


def test_size_that_leaves_out_a_disk_is_refused(world: World) -> None:
    world.run("start", "-c", "steady", "-s", "3", "mycluster")
    world.run("stop", "-y", "mycluster")
    said = world.run("start", "-s", "2", "mycluster", status=1)
    assert "has 3 nodes that come back with their disks: master, node001, node002" in said.err
    assert set(states(world).values()) == {"stopped"}


def test_bid_of_start_again_holds_for_the_workers_it_makes(world: World) -> None:
    world.run("start", "-c", "steady", "-s", "1", "mycluster")
    world.run("stop", "-y", "mycluster")
    world.run("start", "-s", "2", "-b", "0.5", "mycluster")
    (worker,) = world.instances()["node001"]
    assert worker.lifecycle == "spot"


def test_cluster_that_exists_is_not_taken_for_another_one(world: World) -> None:
    world.run("start", "-c", "bare", "mycluster")
    world.run("stop", "-y", "mycluster")
    for words, expected in {
        ("-c", "steady"): "-c steady: 'mycluster' exists, and was started from [cluster bare]",
        ("-i", "m5.large"): "--node-instance-type: 'mycluster' exists, and keeps",
        ("-s", "0"): "--cluster-size 0: must be at least 1",
    }.items():
        said = world.run("start", *words, "mycluster", status=2)
        assert expected in said.err
    assert states(world) == {"master": "stopped"}
    world.run("start", "-c", "bare", "-i", "c5.large", "mycluster")  # what it has
    assert world.ready() == ["master", "node001"]


def test_another_computer_brings_it_back(world: World, spotcluster_home: Path) -> None:
    """It has the key, and no template of that name."""
    world.run("start", "-c", "bare", "mycluster")
    world.run("stop", "-y", "mycluster")
    config = spotcluster_home / "config"
    config.write_text(config.read_text().replace("[cluster bare]", "[cluster mine]"))
    (spotcluster_home / "known_hosts").rename(spotcluster_home / "elsewhere")
    world.run("start", "mycluster")
    assert world.ready() == ["master", "node001"]


def test_spot_master_cannot_stop(world: World) -> None:
    world.run("start", "-c", "bare", "--force-spot-master", "mycluster")
    said = world.run("stop", "-y", "mycluster", status=1)
    assert "The master of 'mycluster' is a spot instance, which cannot stop" in said.err
    assert "spotcluster terminate mycluster" in said.err
    assert states(world) == {"master": "running", "node001": "running"}
    assert "spotcluster:stopped" not in world.group_tags()


@pytest.mark.parametrize(
    "words",
    [
        ("addnode", "mycluster"),
        ("removenode", "-y", "mycluster", "node001"),
        ("restart", "mycluster"),
        ("sshmaster", "mycluster"),
        ("runplugin", "ipcluster", "mycluster"),
    ],
)
def test_command_that_needs_it_running_says_that_it_is_stopped(
    world: World, words: tuple[str, ...]
) -> None:
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    world.run("stop", "-y", "mycluster")
    said = world.run(*words, status=1)
    assert "The cluster 'mycluster' is stopped." in said.err
    assert "spotcluster start mycluster" in said.err
    assert states(world) == {"master": "stopped"}


def test_terminate_of_a_stopped_cluster_leaves_nothing(world: World) -> None:
    world.run("start", "-c", "steady", "mycluster")
    world.run("stop", "-y", "mycluster")
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_plugins_shut_down_in_reverse_and_come_back_in_order(
    world: World, spotcluster_home: Path
) -> None:
    use_plugins(spotcluster_home, "Telling", "Telling")
    world.run("start", "-c", "steady", "mycluster")
    world.run("stop", "-y", "mycluster")
    assert told(world, "shut down") == ["second", "first"]
    world.machines.steps.clear()
    world.run("start", "-s", "3", "-b", "0.5", "mycluster")
    back = [alias for alias, said in world.machines.steps if said == "first brought back"]
    fresh = [alias for alias, said in world.machines.steps if said == "first set up"]
    assert (sorted(back), fresh) == (["master", "node001"], ["node002"])
    master = [said for alias, said in world.machines.steps if alias == "master"]
    assert master.index("first brought back") < master.index("second brought back")
    world.machines.steps.clear()
    world.run("restart", "mycluster")
    assert told(world, "brought back") == ["first", "second"]
    assert told(world, "set up") == []


def test_plugin_that_breaks_or_hangs_does_not_keep_the_cluster(
    world: World, spotcluster_home: Path
) -> None:
    use_plugins(spotcluster_home, "Telling", "Hanging", "Broken", limit=4)
    world.run("start", "-c", "bare", "mycluster")
    done = world.run("stop", "-y", "mycluster")
    assert "plugin third raised RuntimeError: it broke; the nodes stop all the same" in done.err
    assert "plugin second had not shut down after 4 s (STOP_TIMEOUT)" in done.err
    assert states(world) == {"master": "stopped"}


def test_plugins_were_not_told_when_a_cluster_ended(world: World, spotcluster_home: Path) -> None:
    world.change(changes.set_value, HOOKS, 3.0)
    use_plugins(spotcluster_home, "Telling", "Hanging", "Broken")
    world.run("start", "-c", "bare", "mycluster")
    done = world.run("terminate", "-y", "mycluster")
    assert "plugin third raised RuntimeError: it broke; the nodes end all the same" in done.err
    assert "plugin second had not shut down after 3 s; the nodes end all the same" in done.err
    assert world.left() == []
    use = (spotcluster_home / "config").read_text().replace("first, second, third", "first, fourth")
    fourth = "\n[plugin fourth]\nSETUP_CLASS = telling.Telling\nWORD = fourth\n"
    (spotcluster_home / "config").write_text(use + fourth)
    world.change(changes.set_value, HOOKS, 240.0)
    world.run("start", "-c", "bare", "mycluster")
    world.run("terminate", "-y", "mycluster")
    assert told(world, "shut down") == ["fourth", "first"]


def test_plugins_do_not_wait_for_a_master_that_does_not_answer_when_a_cluster_ends(
    world: World, spotcluster_home: Path
) -> None:
    world.change(changes.set_value, HOOKS, 600.0)  # as long as Hanging takes
    use_plugins(spotcluster_home, "Hanging")
    world.run("start", "-c", "bare", "mycluster")
    world.machines.faults.append(lambda step: {"lost": "no route to it."})
    done = world.run("terminate", "-y", "mycluster")  # which waits for less than that
    assert "shut" not in done.err
    assert world.left() == []


def test_plugin_that_cannot_be_loaded_does_not_keep_the_cluster(
    world: World, spotcluster_home: Path
) -> None:
    use_plugins(spotcluster_home, "Telling", "Telling")
    world.run("start", "-c", "bare", "mycluster")
    (spotcluster_home / "plugins" / "telling.py").write_text("syntax error")
    done = world.run("stop", "-y", "mycluster")
    assert "plugin first is left out" in done.err
    assert states(world) == {"master": "stopped"}


@pytest.mark.parametrize("alias", ["master", "node001"])
def test_node_that_cannot_be_reached_does_not_keep_the_cluster(world: World, alias: str) -> None:
    world.run("start", "-c", "bare", "-s", "3", "mycluster")
    gone = {"lost": "SSH did not let us in within 20 s."}
    world.machines.faults.append(lambda step: gone if step["alias"] == alias else None)
    done = world.run("stop", "-y", "mycluster")
    assert "SSH did not let us in within 20 s" in done.err
    assert states(world) == {"master": "stopped"}


def test_instances_that_do_not_stop_in_time_are_named(world: World, spotcluster_home: Path) -> None:
    config = spotcluster_home / "config"
    config.write_text(config.read_text().replace("PLUGINS = ", "STOP_TIMEOUT = 1\nPLUGINS = "))
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    world.settle = lambda: None  # type: ignore[method-assign]
    world._application._changed = lambda: None
    said = world.run("stop", "-y", "mycluster", status=1)
    assert "After 1 s (STOP_TIMEOUT) EC2 still shows i-" in said.err
    assert "(master, stopping)" in said.err


def test_master_that_does_not_come_back_keeps_its_disk(world: World) -> None:
    world.run("start", "-c", "bare", "mycluster")
    (master,) = world.instances()["master"]
    world.run("stop", "-y", "mycluster")
    dead = {"lost": "sshd is dead."}
    world.machines.faults.append(lambda step: dead if step["alias"] == "master" else None)
    said = world.run("start", "mycluster", status=1)
    assert "sshd is dead" in said.err
    assert ids(world)["master"] == master.id
    world.machines.faults.clear()
    world.run("start", "mycluster")
    assert ids(world)["master"] == master.id
    assert world.ready() == ["master", "node001"]


def test_worker_on_demand_that_does_not_come_back_keeps_its_disk(world: World) -> None:
    world.run("start", "-c", "steady", "mycluster")
    before = ids(world)
    world.run("stop", "-y", "mycluster")
    dead = {"lost": "sshd is dead."}
    world.machines.faults.append(lambda step: dead if step["alias"] == "node001" else None)
    said = world.run("start", "mycluster", status=1)
    assert "node001 is left as it is, for what its disk holds" in said.err
    assert ids(world) == before
    assert world.ready() == ["master"]


def test_capacity_that_comes_back_lets_the_same_master_start(world: World) -> None:
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    before = ids(world)
    world.run("stop", "-y", "mycluster")
    full = {"action": "StartInstances", "code": "InsufficientInstanceCapacity", "status": 500}
    fail(world, {**full, "count": 2})
    world.run("start", "mycluster")
    assert ids(world) == before
    world.run("stop", "-y", "mycluster")
    fail(world, full)
    said = world.run("start", "mycluster", status=1)
    assert "Try another instance type or zone, or try again later" in said.err
    fail(world)
    assert states(world) == {"master": "stopped"}
    world.run("start", "mycluster")
    assert ids(world) == before


def test_node_that_was_stopped_by_other_means_comes_back(world: World) -> None:
    world.run("start", "-c", "bare", "mycluster")
    before = ids(world)
    (master,) = world.instances()["master"]
    with world.cloud.lock:
        master.stop()
    world.settle()
    assert "is stopped" in world.run("sshmaster", "mycluster", status=1).err
    world.machines.steps.clear()
    world.run("start", "mycluster")
    assert ids(world) == before
    assert {alias for alias, _ in world.machines.steps} == {"master"}
    assert world.ready() == ["master", "node001"]


def test_call_that_ec2_cannot_do_yet_is_repeated(world: World) -> None:
    world.run("start", "-c", "bare", "mycluster")
    not_now = {"code": "IncorrectInstanceState", "count": 2}
    fail(world, {"action": "StopInstances", **not_now}, {"action": "StartInstances", **not_now})
    world.run("stop", "-y", "mycluster")
    assert states(world) == {"master": "stopped"}
    world.run("start", "mycluster")
    assert world.ready() == ["master", "node001"]


def test_names_of_nodes_that_are_no_more_are_taken_from_the_master(world: World) -> None:
    world.run("start", "-c", "bare", "-s", "3", "mycluster")
    world.run("stop", "-y", "mycluster")
    asked: list[str] = []

    def listen(step: dict[str, Any]) -> None:
        if step["what"].startswith("forgetting"):
            asked.append(step["script"])

    world.machines.faults.append(listen)
    world.run("start", "-s", "2", "mycluster")
    assert len(asked) == 1
    assert "keep=(master node001)\n" in asked[0]


def interrupted(world: World, at: str, *words: str) -> Done:
    """Run a command and press Ctrl-C at the first of its calls whose name begins so."""
    reached, go_on = threading.Event(), threading.Event()

    def hold(number: int, name: str, do: Callable[[], Any]) -> Any:
        if name.startswith(at):
            reached.set()
            go_on.wait(60)
        return do()

    world.on_call = hold
    terminal = world.terminal(*words)
    assert reached.wait(60)
    terminal.interrupt()
    go_on.set()
    done = terminal.wait()
    world.on_call = None
    assert done.status == 130
    return done


@pytest.mark.parametrize("command", ["stop", "start", "restart"])
def test_interrupt_says_what_exists_and_what_goes_on(world: World, command: str) -> None:
    world.run("start", "-c", "bare", "mycluster")
    if command == "start":
        world.run("stop", "-y", "mycluster")
    words = [command, *(["-y"] if command == "stop" else []), "mycluster"]
    first = "looking after the shared home" if command == "start" else "asking what the machine has"
    done = interrupted(world, f"master: {first}", *words)
    for instance in ids(world).values():
        assert instance in done.err
    assert "spotcluster -r us-east-1 terminate mycluster" in done.err
    assert f"{'stop' if command == 'stop' else 'start'} mycluster" in done.err
    world.run("start", "mycluster") if world.ready() != ["master", "node001"] else None
    assert world.ready() == ["master", "node001"]


def test_interrupted_addnode_says_what_goes_on_and_what_takes_away(world: World) -> None:
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    done = interrupted(world, "node002: ", "addnode", "-s", "2", "mycluster")
    assert "addnode -s 2 mycluster" in done.err
    (takes_away,) = (line for line in done.err.splitlines() if "half made" in line)
    words = takes_away.partition("   takes away")[0].split()
    assert words[:5] == ["spotcluster", "-r", "us-east-1", "removenode", "mycluster"]
    assert "node002" in words
    world.run(*words[1:], "-y")
    left = sorted({"master", "node001", "node002"} - set(words[5:]))
    assert sorted(ids(world)) == left
    assert world.ready() == left


def test_cost_before_a_stop_is_written_down_when_the_cluster_comes_back(world: World) -> None:
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    world.run("stop", "-y", "mycluster")
    world.run("start", "mycluster")
    assert any(key.startswith("spotcluster:spent") for key in world.group_tags())
