"""Which hook of a setup class is called when, and what it gets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from here import Cluster, Here

from spotcluster.errors import NodeError, RemoteCommandFailed
from spotcluster.plugins.starcluster import modules
from spotcluster.plugins.starcluster.adapter import Adapted, plugin_of
from spotcluster.plugins.starcluster.pool import ThreadPool
from spotcluster.plugins.starcluster.setups import ClusterSetup, DefaultClusterSetup
from spotcluster.plugins.starcluster.telling import log


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    nodes = []
    for alias in ("master", "node002", "node001", "node010"):
        (tmp_path / alias).mkdir()
        nodes.append(Here(tmp_path / alias, alias))
    return Cluster(nodes)


def made(setup_class: type[ClusterSetup], **settings: Any) -> Adapted:
    return plugin_of(setup_class).model_validate(settings)


class Telling(ClusterSetup):
    calls: list[Any]

    def __init__(self) -> None:
        self.calls = []

    def run(self, nodes: Any, master: Any, user: Any, user_shell: Any, volumes: Any) -> None:
        self.calls.append(("run", [one.alias for one in nodes], master.alias, user, user_shell))

    def on_add_node(self, node: Any, nodes: Any, master: Any, *_: Any) -> None:
        self.calls.append(("add", node.alias, [one.alias for one in nodes], master.alias))

    def on_remove_node(self, node: Any, nodes: Any, master: Any, *_: Any) -> None:
        self.calls.append(("remove", node.alias, [one.alias for one in nodes]))

    def on_restart(self, nodes: Any, *_: Any) -> None:
        self.calls.append(("restart", len(nodes)))

    def on_shutdown(self, nodes: Any, *_: Any) -> None:
        self.calls.append(("shutdown", len(nodes)))


def calls(plugin: Adapted) -> list[Any]:
    return plugin._setup.calls  # type: ignore[attr-defined,no-any-return]


def test_run_gets_all_nodes_when_the_master_is_new(cluster: Cluster) -> None:
    plugin = made(Telling)
    plugin.assemble(cluster, cluster.nodes)  # type: ignore[arg-type]
    everybody = ["master", "node001", "node002", "node010"]
    assert calls(plugin) == [("run", everybody, "master", "ipuser", "bash")]


def test_nodes_that_join_later_are_added_one_after_the_other(cluster: Cluster) -> None:
    plugin = made(Telling)
    cluster.ready_nodes = cluster.nodes[:2]
    plugin.assemble(cluster, cluster.nodes[2:])  # type: ignore[arg-type]
    everybody = ["master", "node001", "node002", "node010"]
    assert calls(plugin) == [
        ("add", "node001", everybody, "master"),
        ("add", "node010", everybody, "master"),
    ]


def test_other_hooks_get_what_there_is(cluster: Cluster) -> None:
    plugin = made(Telling)
    plugin.remove(cluster, cluster.nodes[1])  # type: ignore[arg-type]
    plugin.reboot(cluster)  # type: ignore[arg-type]
    plugin.shutdown(cluster)  # type: ignore[arg-type]
    everybody = ["master", "node001", "node002", "node010"]
    assert calls(plugin) == [("remove", "node002", everybody), ("restart", 4), ("shutdown", 4)]


def test_hooks_that_are_not_there_do_nothing(cluster: Cluster) -> None:
    for kind in (ClusterSetup, DefaultClusterSetup):

        class Bare(kind):  # type: ignore[valid-type,misc]
            def on_restart(self, *_: Any) -> None:
                raise NotImplementedError("as many of them have it")

        plugin = made(Bare)
        plugin.assemble(cluster, cluster.nodes)  # type: ignore[arg-type]
        plugin.remove(cluster, cluster.nodes[1])  # type: ignore[arg-type]
        plugin.reboot(cluster)  # type: ignore[arg-type]
        plugin.shutdown(cluster)  # type: ignore[arg-type]


def test_hook_that_a_decorator_has_renamed_is_called(cluster: Cluster) -> None:
    seen: list[int] = []

    class Wrapped(ClusterSetup):
        run = lambda self, nodes, *_: seen.append(len(nodes))  # noqa: E731

    made(Wrapped).assemble(cluster, cluster.nodes)  # type: ignore[arg-type]
    assert seen == [4]


def test_what_it_logs_is_told_a_line_each_with_its_name(cluster: Cluster) -> None:
    class Saying(DefaultClusterSetup):
        @modules.print_timing("all of it")  # type: ignore[untyped-decorator]
        def run(self, nodes: Any, *_: Any) -> None:
            log.info("two\nlines")
            log.debug("not this")
            for node in nodes:
                self.pool.simple_job(log.info, ("in a thread",), jobid=node.alias)
            self.pool.wait(len(nodes))

    made(Saying).assemble(cluster, cluster.nodes)  # type: ignore[arg-type]
    assert cluster.notes[:4] == [
        "Saying is not root on master, node002, node001, node010: there is no sudo, so what needs"
        " root fails there",
        "Saying: two",
        "Saying: lines",
        "Saying: in a thread",
    ]
    assert cluster.notes[-1].startswith("Saying: all of it took 0.0")
    log.info("of no plugin")
    assert "of no plugin" not in str(cluster.notes)


def test_hooks_of_nodes_that_leave_at_once_run_one_after_the_other(cluster: Cluster) -> None:
    inside: list[str] = []
    most: list[int] = []

    class Counting(ClusterSetup):
        def on_remove_node(self, node: Any, *_: Any) -> None:
            inside.append(node.alias)
            most.append(len(inside))
            node.ssh.execute("sleep 0.05")
            inside.remove(node.alias)

    plugin = made(Counting)
    threads = [
        threading.Thread(target=plugin.remove, args=(cluster, node)) for node in cluster.nodes[1:]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1, 1, 1]


def test_node_leaves_when_its_hook_hangs(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    class Hanging(ClusterSetup):
        def on_remove_node(self, *_: Any) -> None:
            let_go.wait(600)

    monkeypatch.setattr("spotcluster.plugins.starcluster.adapter._LEAST", 0.1)
    cluster.drain_timeout = 0.1
    try:
        with pytest.raises(NodeError, match=r"node002: on_remove_node had not ended after 0 s"):
            made(Hanging).remove(cluster, cluster.nodes[1])  # type: ignore[arg-type]
    finally:
        let_go.set()


def test_volumes_are_given_by_name_with_attributes_and_keys(cluster: Cluster) -> None:
    from types import SimpleNamespace

    given: list[Any] = []

    class Looking(ClusterSetup):
        def run(self, nodes: Any, master: Any, user: Any, shell: Any, volumes: Any) -> None:
            given.append(volumes)

    cluster.volumes = (
        SimpleNamespace(
            name="data", volume_id="vol-1", mount_path="/data", device=None, partition=None
        ),
    )
    made(Looking).assemble(cluster, cluster.nodes)  # type: ignore[arg-type]
    assert given[0]["data"].mount_path == given[0]["data"]["mount_path"] == "/data"


# --- the pool -------------------------------------------------------------------------------------


def test_pool_returns_what_jobs_return() -> None:
    pool = ThreadPool()
    for number in range(30):
        pool.simple_job(lambda x: x * 2, number)
    assert sorted(pool.wait(30)) == list(range(0, 60, 2))
    assert sorted(pool.map(max, [1, 5], [4, 2])) == [4, 5]
    assert pool.wait() == []


def test_error_of_a_node_is_the_pools_and_the_others_are_named() -> None:
    def fail(alias: str) -> None:
        raise RemoteCommandFailed(alias, "its command", "false", 1, "")

    def other() -> None:
        raise ValueError("not this one")

    pool = ThreadPool()
    pool.simple_job(other)
    for alias in ("node001", "node002"):
        pool.simple_job(fail, (alias,))
    with pytest.raises(RemoteCommandFailed) as caught:
        pool.wait()
    said = str(caught.value)
    assert "node001" in said
    assert "node002" in said
    pool.simple_job(other)
    with pytest.raises(ValueError, match="not this one"):
        pool.wait()
    assert pool.wait() == []


def test_pool_without_threads_does_one_job_after_the_other() -> None:
    pool = ThreadPool(disable_threads=True)
    seen: list[int] = []

    def job(number: int) -> Callable[[], None]:
        def do() -> None:
            seen.append(number)
            assert seen.count(-1) == 0
            seen.append(-1)
            seen.remove(-1)

        return do

    for number in range(5):
        pool.simple_job(job(number))
    pool.wait()
    assert sorted(seen) == [0, 1, 2, 3, 4]
