"""Ray on a cluster of the local cloud, by the plugin; where Ray is installed, as it is big.

One cluster lives through the module.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import cli, nodes, wait_until

import spotcluster
from spotcluster import local

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[client]'")

LIMIT = 240.0
CONFIG = """
[key mykey]

[plugin ray]
SETUP_CLASS = spotcluster.plugins.ray.Ray

[cluster raycluster]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c5.large
PLUGINS = ray
"""
BEGIN = """
import os, time
from pathlib import Path
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
ray.init(log_to_driver=False)
nodes = [one["NodeID"] for one in ray.nodes() if one["Alive"]]

def on_each(function, times=1):
    placed = [NodeAffinitySchedulingStrategy(node, soft=True) for node in nodes * times]
    sent = [
        function.options(num_cpus=0.1, scheduling_strategy=one).remote(number)
        for number, one in enumerate(placed)
    ]
    print(sorted(set(ray.get(sent))))
"""
WHERE = (
    BEGIN
    + """
@ray.remote
def where(number):
    return os.environ["SPOTCLUSTER_NODE"]

on_each(where)
"""
)
HELD = (
    BEGIN
    + """
folder = Path("@FOLDER@")

@ray.remote
def held(number):
    (folder / f"began.{number}.{os.environ['SPOTCLUSTER_NODE']}").touch()
    while not (folder / "gate").exists():
        time.sleep(0.1)
    return os.environ["SPOTCLUSTER_NODE"]

on_each(held, times=3)
"""
)

ACTOR = """
import time
from pathlib import Path
import ray
ray.init(log_to_driver=False)
folder = Path("@FOLDER@")

@ray.remote
class Actor:
    def compute(self):
        (folder / "began").touch()
        while not (folder / "gate").exists():
            time.sleep(0.1)

ray.get(Actor.remote().compute.remote())
"""

FOLDERS: set[str] = set()

pytestmark = pytest.mark.usefixtures("in_module_cloud")


def folders(module_home: Path) -> set[str]:
    """Return where Ray's folders are, which are in /tmp where a host's own has too long a name."""
    files = (module_home / "local" / "hosts").glob("*/home/.spotcluster/ray/folder")
    return {one.read_text().strip() for one in files}


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> Iterator[spotcluster.Cluster]:
    (module_home / "config").write_text(CONFIG)
    spotcluster.Account("local").create_key("mykey")
    with spotcluster.start("raycluster", "mycluster", size=2, bid=0.5) as started:
        yield started
        FOLDERS.update(folders(module_home))
    for folder in FOLDERS:
        shutil.rmtree(folder)


@pytest.fixture
def home(cluster: spotcluster.Cluster, module_home: Path) -> Path:
    """Give the master's."""
    return module_home / "local" / "hosts" / nodes("mycluster")["master"]["id"] / "home"


def said(cluster: spotcluster.Cluster, script: str, folder: Path) -> str:
    """Run a script on the master, as `spotcluster run` does, and return what it prints."""
    (folder / "script.py").write_text(script)
    job = cluster.jobs.run(folder / "script.py")
    ended = cluster.jobs.wait(job.id, tell=lambda _: None)
    assert ended.state == "done", cluster.jobs.output(job.id)
    return cluster.jobs.output(job.id)


def test_script_on_the_master_has_all_nodes(cluster: spotcluster.Cluster, tmp_path: Path) -> None:
    assert "['master', 'node001']" in said(cluster, WHERE, tmp_path)


def test_who_has_no_token_cannot_use_it(home: Path) -> None:
    address = (home / ".spotcluster" / "ray" / "address").read_text()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    script = f"import ray; ray.init({address!r}); print(ray.cluster_resources())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**kept, "HOME": str(home.parent), "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode
    assert "CPU" not in done.stdout
    token = home / ".spotcluster" / "ray" / "token"
    assert token.stat().st_mode & 0o077 == 0


def test_client_of_the_laptop_goes_through_a_tunnel(
    cluster: spotcluster.Cluster, home: Path
) -> None:
    """As the page says: the token comes by the environment."""
    pytest.importorskip("grpc", reason="Ray's client is not installed: pip install 'ray[client]'")
    token = cli("sshmaster", "mycluster", "cat .spotcluster/ray/token").strip()
    address = (home / ".spotcluster" / "ray" / "client").read_text().strip()
    with cluster.tunnel(f"18001:master:{address}"):
        done = subprocess.run(
            [
                *(sys.executable, "-c"),
                "import ray; ray.init('ray://127.0.0.1:18001');"
                " print(ray.get(ray.remote(lambda: 42).remote()))",
            ],
            env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert done.stdout.strip().endswith("42"), done.stderr


def test_running_the_plugin_again_touches_nothing(cluster: spotcluster.Cluster, home: Path) -> None:
    before = (home / ".spotcluster" / "ray" / "ready").read_text()
    cluster.run_plugin("ray")
    assert (home / ".spotcluster" / "ray" / "ready").read_text() == before


def test_node_joins_and_leaves_when_what_it_runs_has_ended(
    cluster: spotcluster.Cluster, home: Path, module_home: Path, tmp_path: Path
) -> None:
    assert cluster.add(1, bid=0.5) == ["node002"]
    FOLDERS.update(folders(module_home))
    (tmp_path / "held.py").write_text(HELD.replace("@FOLDER@", str(tmp_path)))
    job = cluster.jobs.run(tmp_path / "held.py")
    wait_until("work on all nodes", lambda: list(tmp_path.glob("began.*.node002")))
    wait_until("all have begun", lambda: len(list(tmp_path.glob("began.*"))) == 9)
    wait_until(
        "Ray says that it computes",
        lambda: (home / ".spotcluster" / "ray" / "tasks").read_text() == "1\n",
    )
    opener = subprocess.Popen(["sh", "-c", f"sleep 5; touch {tmp_path / 'gate'}"])
    assert cluster.remove("node002") == ["node002"]
    opener.wait(LIMIT)
    assert cluster.jobs.wait(job.id, tell=lambda _: None).state == "done"
    assert re.search(r"'node002'", cluster.jobs.output(job.id))  # what it did was not lost
    assert len(list(tmp_path.glob("began.*"))) == 9  # nor begun anew
    assert "['master', 'node001']" in said(cluster, WHERE, tmp_path)


def test_ray_says_that_it_computes_while_an_actor_does(
    cluster: spotcluster.Cluster, home: Path, tmp_path: Path
) -> None:
    """An actor holds no CPU: the cluster would have ended by AUTOSTOP meanwhile."""
    script = tmp_path / "actor.py"
    script.write_text(ACTOR.replace("@FOLDER@", str(tmp_path)))
    tasks = home / ".spotcluster" / "ray" / "tasks"
    job = cluster.jobs.run(script)
    wait_until("it computes", (tmp_path / "began").exists)
    looked = tasks.stat().st_mtime_ns
    for _ in range(2):
        wait_until("Ray's watch looks", lambda then=looked: tasks.stat().st_mtime_ns > then)
        looked = tasks.stat().st_mtime_ns
    assert tasks.read_text() == "1\n"
    (tmp_path / "gate").touch()
    assert cluster.jobs.wait(job.id, tell=lambda _: None).state == "done"
    wait_until("Ray says that nothing runs", lambda: tasks.read_text() == "0\n")


def test_all_is_found_again_after_a_stop(cluster: spotcluster.Cluster, tmp_path: Path) -> None:
    cluster.stop()
    assert set(cluster.start()) == {"master", "node001"}
    assert "['master', 'node001']" in said(cluster, WHERE, tmp_path)
