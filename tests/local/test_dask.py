"""dask's workers on a cluster of the local cloud, by the plugin and `connect_dask`.

One cluster lives through the module; each test leaves it with its master and node001.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import distributed
import psutil
import pytest
from commands import cli, nodes, wait_until

import spotcluster
from spotcluster import local
from spotcluster.local import processes
from spotcluster.plugins import self_signed

LIMIT = 120.0
CONFIG = """
[key mykey]

[plugin dask]
SETUP_CLASS = spotcluster.plugins.dask.Dask
WORKERS_PER_NODE = 1

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn

[cluster daskcluster]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c5.large
PLUGINS = pypackages, dask
"""

pytestmark = pytest.mark.usefixtures("in_module_cloud")


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> Iterator[spotcluster.Cluster]:
    (module_home / "config").write_text(CONFIG)
    spotcluster.Account("local").create_key("mykey")
    with spotcluster.start("daskcluster", "mycluster", size=2, bid=0.5) as started:
        yield started


@pytest.fixture
def client(cluster: spotcluster.Cluster) -> Iterator[Any]:
    with spotcluster.connect_dask("mycluster") as opened:
        yield opened


@pytest.fixture
def homes(cluster: spotcluster.Cluster, module_home: Path) -> dict[str, Path]:
    return homes_of(module_home)


def homes_of(module_home: Path) -> dict[str, Path]:
    hosts = module_home / "local" / "hosts"
    return {alias: hosts / node["id"] / "home" for alias, node in nodes("mycluster").items()}


def names(client: Any) -> dict[str, str]:
    """Return the addresses of the workers by their names, which are those of nodes."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {str(one["name"]): address for address, one in workers.items()}


def running(home: Path, what: str) -> set[int]:
    """Return the processes of a host that run something of dask's."""
    found = set()
    for process in processes.marks()[home.parent.name]:
        try:
            if what in " ".join(process.cmdline()):
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


def drawn() -> str:
    """Return something that is another one if it is done again."""
    import uuid

    return uuid.uuid4().hex


def held(began: str, gate: str) -> str:
    """Return something when a gate is open; each time that it is begun leaves a file."""
    import time
    import uuid
    from pathlib import Path

    Path(f"{began}.{uuid.uuid4().hex}").touch()
    while not Path(gate).exists():
        time.sleep(0.05)
    return "done"


drawn.__module__ = held.__module__ = "__main__"  # sent as code, as from a user's script


# --- connecting -----------------------------------------------------------------------------------


def test_client_computes_on_each_node_and_closes_its_tunnel(client: Any) -> None:
    assert sorted(names(client)) == ["master", "node001"]
    assert client.submit(sum, [20, 22]).result(LIMIT) == 42
    address = client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    client.close()
    with pytest.raises(OSError, match=r"."):
        distributed.Client(address, timeout=1, security=client.security)


def test_one_worker_of_a_node_has_all_of_its_cores(client: Any) -> None:
    (cores,) = set(client.nthreads().values())
    assert cores == psutil.cpu_count()


def test_dashboard_is_for_who_has_the_token(client: Any) -> None:
    link = client.dashboard_link
    jar = urllib.request.HTTPCookieProcessor(CookieJar())
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)
    place = re.sub(r"/status.*", "", link)
    for path in ("/status", "/sitemap.json", "/info/main/workers.html", "/json/counts.json"):
        for token in ("", "?token=wrong"):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                browser.open(f"{place}{path}{token}", timeout=LIMIT)
    with browser.open(link, timeout=LIMIT) as answer:
        assert "token" not in answer.url
        assert "Bokeh" in answer.read().decode()
    with browser.open(f"{place}/info/main/workers.html", timeout=LIMIT) as answer:
        assert "node001" in answer.read().decode()


def test_dashboard_is_reached_by_the_command_too(
    cluster: spotcluster.Cluster, homes: dict[str, Path]
) -> None:
    """As the page says: the token is read where it is."""
    token = cli("sshmaster", "mycluster", "cat .spotcluster/dask/token").strip()
    port = int(re.findall(r'"dashboard": (\d+)', info(homes))[0])
    with cluster.tunnel(f"18787:master:{port}"):
        jar = urllib.request.HTTPCookieProcessor(CookieJar())
        browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)
        with browser.open(f"http://127.0.0.1:18787/status?token={token}", timeout=LIMIT) as answer:
            assert answer.status == 200


def info(homes: dict[str, Path]) -> str:
    return (homes["master"] / ".spotcluster" / "dask" / "scheduler.json").read_text()


def test_who_has_another_key_or_none_cannot_use_the_scheduler(homes: dict[str, Path]) -> None:
    (place,) = re.findall(r'"address": "tls://([^"]+)"', info(homes))
    pem = self_signed.pem("spotcluster dask")
    key, begin, certificate = pem.partition("-----BEGIN CERTIFICATE-----")
    other = distributed.Security(
        require_encryption=True,
        tls_ca_file=begin + certificate,
        tls_client_cert=begin + certificate,
        tls_client_key=key,
    )
    for address, security in ((f"tls://{place}", other), (f"tcp://{place}", None)):
        with pytest.raises(OSError, match=r"."):
            distributed.Client(address, timeout=2, security=security)


def listening(home: Path) -> set[tuple[str, int]]:
    """Return where the processes of a host listen that are dask's."""
    found = set()
    for process in processes.marks()[home.parent.name]:
        try:
            if "distributed" in " ".join([*process.cmdline(), *process.parent().cmdline()]):  # type: ignore[union-attr]
                found |= {
                    (one.laddr.ip, one.laddr.port)
                    for one in process.net_connections("tcp")
                    if one.status == psutil.CONN_LISTEN
                }
        except (psutil.Error, AttributeError):
            continue
    return found


def test_all_that_listens_beyond_the_host_wants_the_key(
    client: Any, homes: dict[str, Path]
) -> None:
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    own = {
        name: address.split("/")[-1].rpartition(":")[0] for name, address in names(client).items()
    }
    for alias, home in homes.items():
        there = listening(home)
        assert {host for host, _ in there} == {"127.0.0.1", own[alias]}  # dashboards, and the rest
        beyond = [place for place in there if place[0] == own[alias]]
        assert len(beyond) == 2 + (alias == "master")  # a nanny, its worker, the scheduler
        for place in beyond:
            with (
                socket.create_connection(place, timeout=LIMIT) as plain,
                pytest.raises(ssl.SSLError, match=r"."),
                anybody.wrap_socket(plain) as answer,
            ):
                answer.recv(1)


def test_what_is_secret_is_in_files_of_the_users(homes: dict[str, Path]) -> None:
    secrets = {
        (home / ".spotcluster" / "dask" / name).read_text().strip()
        for home in homes.values()
        for name in ("tls.pem", "token")
        if name == "tls.pem" or home == homes["master"]
    }
    assert len(secrets) == 2
    for home in homes.values():
        folder = home / ".spotcluster" / "dask"
        assert folder.stat().st_mode & 0o077 == 0
        assert [one for one in folder.iterdir() if one.stat().st_mode & 0o077] == []
        for process in processes.marks()[home.parent.name]:
            with contextlib.suppress(psutil.Error):
                words = " ".join(process.cmdline())
                assert not [one for one in secrets if one in words]
        logs = "".join(one.read_text() for one in (home / ".spotcluster" / "logs").iterdir())
        assert not [one for one in secrets if one in logs]


# --- coming and going -----------------------------------------------------------------------------


def test_node_that_joins_works_and_loses_nothing_when_it_is_removed(
    cluster: spotcluster.Cluster, client: Any, module_home: Path, tmp_path: Path
) -> None:
    assert cluster.add(1, bid=0.5) == ["node002"]
    wait_until("its worker", lambda: "node002" in names(client))
    there = [names(client)["node002"]]
    kept = client.submit(drawn, workers=there, allow_other_workers=True, pure=False)
    first = kept.result(LIMIT)
    runs = client.submit(
        *(held, str(tmp_path / "began"), str(tmp_path / "gate")),
        workers=there,
        allow_other_workers=True,
        pure=False,
    )
    wait_until("it has begun", lambda: list(tmp_path.glob("began.*")))
    said = homes_of(module_home)["master"] / ".spotcluster" / "dask" / "tasks"
    wait_until("the scheduler says that there is work", lambda: said.read_text() == "1\n")
    removing = threading.Thread(target=cluster.remove, args=("node002",))
    removing.start()
    wait_until("its result is elsewhere", lambda: there[0] not in client.who_has(kept)[kept.key])
    assert removing.is_alive()  # it waits for what runs
    (tmp_path / "gate").touch()
    removing.join(LIMIT)
    assert cluster.nodes == ["master", "node001"]
    assert sorted(names(client)) == ["master", "node001"]
    assert (kept.result(LIMIT), runs.result(LIMIT)) == (first, "done")
    assert len(list(tmp_path.glob("began.*"))) == 1  # it was not begun anew


def test_node_that_is_lost_is_survived(
    cluster: spotcluster.Cluster, client: Any, tmp_path: Path
) -> None:
    assert cluster.add(1, bid=0.5) == ["node003"]
    wait_until("its worker", lambda: "node003" in names(client))
    runs = client.submit(
        *(held, str(tmp_path / "began"), str(tmp_path / "gate")),
        workers=[names(client)["node003"]],
        allow_other_workers=True,
        pure=False,
    )
    wait_until("it has begun", lambda: list(tmp_path.glob("began.*")))
    lost = nodes("mycluster")["node003"]["id"]
    end(lost)
    wait_until("it has begun elsewhere", lambda: len(list(tmp_path.glob("began.*"))) == 2)
    (tmp_path / "gate").touch()
    assert runs.result(LIMIT) == "done"
    assert sorted(names(client)) == ["master", "node001"]


def end(instance: str) -> None:
    """End a machine at once, as EC2 does."""
    from spotcluster.aws import instances
    from spotcluster.aws.session import Session

    instances.terminate(Session("local"), [instance])


# --- the same again -------------------------------------------------------------------------------


def test_running_the_plugin_again_touches_nothing(
    cluster: spotcluster.Cluster, client: Any, homes: dict[str, Path]
) -> None:
    kept = client.submit(drawn, pure=False)
    first = kept.result(LIMIT)
    before = {alias: running(home, "distributed.cli") for alias, home in homes.items()}
    assert all(before.values())
    cluster.run_plugin("dask")
    assert {alias: running(home, "distributed.cli") for alias, home in homes.items()} == before
    assert kept.result(LIMIT) == first


def test_search_of_the_page_runs_on_it(client: Any) -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "dask-and-ray.md").read_text()
    (code,) = [one for one in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "GridS" in one]
    things: dict[str, Any] = {}
    exec(code, things)
    assert things["search"].completed() == 12
    assert set(things["search"].evaluations_per_node()) <= {"master", "node001"}


def test_all_is_found_again_after_a_stop_and_after_a_restart(cluster: spotcluster.Cluster) -> None:
    cluster.stop()
    cluster.start()
    assert cluster.nodes == ["master", "node001", "node002"]  # the lost one too, under a new name
    for again in (lambda: None, cluster.restart):
        again()
        with spotcluster.connect_dask("mycluster") as client:
            assert sorted(names(client)) == cluster.nodes
            assert client.submit(sum, [20, 22]).result(LIMIT) == 42


def test_other_settings_are_those_of_the_workers_from_then_on(
    cluster: spotcluster.Cluster, module_home: Path
) -> None:
    """The last test, as nothing changes them back."""
    config = CONFIG.replace("WORKERS_PER_NODE = 1", "WORKERS_PER_NODE = 2\nWORKERS_ON_MASTER = 0")
    (module_home / "config").write_text(config)
    cluster.run_plugin("dask")
    workers = sorted(f"{alias}-{number}" for alias in cluster.nodes[1:] for number in (0, 1))
    with spotcluster.connect_dask("mycluster") as client:
        assert sorted(names(client)) == workers
        assert client.submit(sum, [20, 22]).result(LIMIT) == 42
