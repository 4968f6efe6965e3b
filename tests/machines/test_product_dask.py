"""dask on machines that boot: as units of systemd's, as the cluster user, closed to other users."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from spotcluster.plugins import environment

from .bed.image import python_version
from .bed.lab import Lab

CONFIG = """
[plugin dask]
SETUP_CLASS = spotcluster.plugins.dask.Dask
WORKERS_PER_NODE = 1

[cluster with_dask]
EXTENDS = iptemplate
PLUGINS = pypackages, dask
"""
COMPUTE = """
import spotcluster
with spotcluster.connect_dask("mycluster") as client:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    print(client.submit(sum, [20, 22]).result(120), sorted(str(one["name"]) for one in workers))
"""
# What another user of the master can do: reach the ports.
REACH = """
import json, socket, ssl, urllib.request
host, port = "{host}", {port}
anybody = ssl.create_default_context()
anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
try:
    with anybody.wrap_socket(socket.create_connection((host, port), 20)) as open:
        open.recv(1)
    print("scheduler: open")
except ssl.SSLError as error:
    print("scheduler:", error.reason)
try:
    urllib.request.urlopen("http://127.0.0.1:8787/status", timeout=20)
    print("dashboard: open")
except OSError as error:
    print("dashboard:", error)
"""
OWN = "/home/ipuser/.spotcluster/dask"


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[str]:
    mine = environment.laptop_python()
    if python_version() != mine:
        pytest.skip(f"dask needs Python {mine}, and the image has {python_version()}")
    lab.configure(CONFIG)
    lab.run("start", "-c", "with_dask", "-s", "2", "mycluster")
    yield "mycluster"
    lab.run("terminate", "-y", "mycluster")
    assert lab.machines == []


def computed(lab: Lab) -> str:
    (lab.home / "compute.py").write_text(COMPUTE)
    done = lab.program([sys.executable, str(lab.home / "compute.py")])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_computes_and_comes_back_with_a_reboot(lab: Lab, cluster: str) -> None:
    assert computed(lab) == "42 ['master', 'node001']"
    units = lab.machine("node001").inside(
        "systemctl show -p User -p ActiveState spotcluster-dask-worker"
    )
    assert set(units.split()) == {"User=ipuser", "ActiveState=active"}
    lab.run("restart", cluster)
    assert computed(lab) == "42 ['master', 'node001']"


def test_other_users_of_the_master_reach_nothing(lab: Lab, cluster: str) -> None:
    master = lab.machine("master")
    info = master.inside(f"cat {OWN}/scheduler.json")
    ((host, port),) = re.findall(r'"tls://([^:]+):(\d+)"', info)
    master.inside("useradd -m colleague")
    program = REACH.format(host=host, port=port)
    said = master.inside(f"runuser -u colleague -- python3 - <<'END'\n{program}\nEND")
    assert re.search(r"^scheduler: \w*CERTIFICATE_REQUIRED$", said, re.MULTILINE), said
    assert re.search(r"^dashboard: HTTP Error 403", said, re.MULTILINE), said
    for name in ("tls.pem", "token"):
        read = f"runuser -u colleague -- cat {OWN}/{name} 2>&1 || true"
        assert "Permission denied" in master.inside(read)


def test_node_that_is_removed_leaves_and_its_worker_with_it(lab: Lab, cluster: str) -> None:
    lab.run("addnode", cluster)
    assert computed(lab) == "42 ['master', 'node001', 'node002']"
    lab.run("removenode", "-y", cluster, "node001")
    assert computed(lab) == "42 ['master', 'node002']"
