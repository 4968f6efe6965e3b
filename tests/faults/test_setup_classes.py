"""A StarCluster setup class through a cluster's life: which hook is called when, whatever fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from . import changes
from .terminals import Done
from .world import World

HOOKS = "spotcluster.cluster.lifecycle.terminate._HOOKS"

SETUP = """
import time
from starcluster.clustersetup import ClusterSetup
from starcluster.logger import log
from starcluster import exception


class Telling(ClusterSetup):
    def __init__(self, word):
        self.word = word

    def tell(self, hook, nodes, *more):
        log.info(" ".join([self.word, hook, *more, ",".join(node.alias for node in nodes)]))

    def run(self, nodes, master, user, user_shell, volumes):
        self.tell("run", nodes)

    def on_add_node(self, node, nodes, master, user, user_shell, volumes):
        self.tell("add", nodes, node.alias)

    def on_remove_node(self, node, nodes, master, user, user_shell, volumes):
        self.tell("remove", nodes, node.alias)

    def on_restart(self, nodes, master, user, user_shell, volumes):
        self.tell("restart", nodes)

    def on_shutdown(self, nodes, master, user, user_shell, volumes):
        self.tell("shutdown", nodes)


class Broken(Telling):
    def run(self, nodes, master, user, user_shell, volumes):
        nodes.no_such_method()

    on_restart = on_shutdown = run


class Hanging(Telling):
    def on_remove_node(self, node, nodes, master, user, user_shell, volumes):
        time.sleep(600)

    def on_shutdown(self, nodes, master, user, user_shell, volumes):
        time.sleep(600)

    on_restart = on_shutdown


class Picky(Telling):
    '''One that cannot be with the first machine that is called node002.'''

    seen = []

    def run(self, nodes, master, user, user_shell, volumes):
        self.tell("run", nodes)
        for node in nodes:
            if node.alias == "node002" and not self.seen:
                self.seen.append(node.id)
                node.ssh.switch_user("nobody-else")
                raise exception.SSHError("node002", "its disk is full.")
"""


@pytest.fixture(autouse=True)
def short_waits(world: World) -> None:
    """Nothing here waits for a real cloud."""
    world.change(changes.set_value, "spotcluster.cluster.bringup.pipeline._CAPACITY_PAUSE", 0.05)


def use(home: Path, *kinds: str, **settings: int) -> None:
    """Let the templates use setup classes, called first, second, ..."""
    folder = home / "plugins"
    folder.mkdir(mode=0o700)
    (folder / "telling.py").write_text(SETUP)
    (folder / "telling.py").chmod(0o600)
    names = ("first", "second")[: len(kinds)]
    lines = [f"PLUGINS = {', '.join(names)}"]
    lines += [f"{name.upper()} = {value}" for name, value in settings.items()]
    text = (home / "config").read_text().replace("PLUGINS = ipcluster", "\n".join(lines))
    for name in settings:
        text = re.sub(rf"{name.upper()} = 240\n", "", text)
    for name, kind in zip(names, kinds, strict=True):
        text += f"\n[plugin {name}]\nSETUP_CLASS = telling.{kind}\nWORD = {name}\n"
    (home / "config").write_text(text)


def told(done: Done) -> list[str]:
    """Return what hooks said, in order."""
    return re.findall(r"(?:Telling|Picky): (.*)", done.err)


def test_every_hook_is_called_at_its_time(world: World, spotcluster_home: Path) -> None:
    use(spotcluster_home, "Telling", "Telling")
    done = world.run("start", "-c", "steady", "-s", "3", "mycluster")
    everybody = "master,node001,node002"
    assert told(done) == [f"first run {everybody}", f"second run {everybody}"]
    done = world.run("addnode", "mycluster")
    everybody += ",node003"
    assert told(done) == [f"first add node003 {everybody}", f"second add node003 {everybody}"]
    done = world.run("removenode", "-y", "mycluster", "node001")
    assert told(done) == [f"second remove node001 {everybody}", f"first remove node001 {everybody}"]
    left = "master,node002,node003"
    done = world.run("restart", "mycluster")
    assert told(done) == [
        *(f"second restart {left}", f"first restart {left}"),
        *(f"first run {left}", f"second run {left}"),
    ]
    done = world.run("stop", "-y", "mycluster")
    assert told(done) == [f"second shutdown {left}", f"first shutdown {left}"]
    done = world.run("start", "mycluster")
    assert told(done) == [f"first run {left}", f"second run {left}"]
    done = world.run("runplugin", "first", "mycluster")
    assert told(done) == [f"first run {left}"]
    done = world.run("terminate", "-y", "mycluster")
    assert told(done) == [f"second shutdown {left}", f"first shutdown {left}"]
    assert world.left() == []


def test_hook_that_hangs_holds_nothing_up(world: World, spotcluster_home: Path) -> None:
    world.change(changes.set_value, "spotcluster.plugins.starcluster.adapter._LEAST", 1.0)
    world.change(changes.set_value, HOOKS, 3.0)
    use(spotcluster_home, "Hanging", drain_timeout=1, stop_timeout=3)
    world.run("start", "-c", "steady", "-s", "2", "mycluster")
    done = world.run("removenode", "-y", "mycluster", "node001")
    assert "plugin first: on_remove_node had not ended after 1 s (DRAIN_TIMEOUT)" in done.err
    assert list(world.instances()) == ["master"]
    done = world.run("restart", "mycluster")
    said = (
        "plugin first had not ended after 3 s (STOP_TIMEOUT); the nodes are rebooted all the same"
    )
    assert said in done.err
    done = world.run("terminate", "-y", "mycluster")
    assert "plugin first had not shut down after 3 s; the nodes end all the same" in done.err
    assert world.left() == []


def test_hook_that_breaks_names_its_plugin(world: World, spotcluster_home: Path) -> None:
    use(spotcluster_home, "Broken")
    done = world.run("start", "-c", "steady", "-s", "2", "mycluster", status=1)
    said = "plugin first raised AttributeError: 'list' object has no attribute 'no_such_method'"
    assert done.err.count(said) >= 1
    assert "is replaced" not in done.err  # another machine runs the same code
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_node_on_which_run_fails_is_replaced_and_run_is_called_again(
    world: World, spotcluster_home: Path
) -> None:
    use(spotcluster_home, "Picky")
    done = world.run("start", "-c", "steady", "-s", "3", "mycluster")
    assert told(done) == ["first run master,node001,node002"] * 2
    assert "node002 FAILED: plugin first: its disk is full." in done.err
    assert "is replaced (1 of 2)" in done.err
    assert world.ready() == ["master", "node001", "node002"]


def test_plugin_that_cannot_be_imported_stopped_every_command_but_terminate(
    world: World, spotcluster_home: Path
) -> None:
    use(spotcluster_home, "Telling")
    world.run("start", "-c", "steady", "-s", "2", "mycluster")
    (spotcluster_home / "plugins" / "telling.py").write_text("import no_such_library\n")
    for words in (
        ("listclusters",),
        ("status", "mycluster"),
        ("listkeypairs",),
        ("listinstances",),
        ("removenode", "-y", "mycluster", "node001"),
    ):
        done = world.run(*words)
        assert "no_such_library" not in done.err or words[0] == "removenode"
    assert "needs the module 'no_such_library'" in world.run("config", "check", status=2).err
    for words in (("start", "-c", "steady", "other"), ("addnode", "mycluster")):
        said = world.run(*words, status=2).err
        assert "needs the module 'no_such_library', which is not installed" in said
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []
