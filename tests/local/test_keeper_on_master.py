"""The master keeps its cluster's size by itself: no laptop, its own key, and its role's policy."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from commands import cli, nodes, wait_until
from hosts import client_of
from roles import make_profile

from spotcluster import local
from spotcluster.aws import instances
from spotcluster.aws.session import Session

CONFIG = """
[key mykey]

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 1

[cluster small]
KEYNAME = mykey
REGION = local
CLUSTER_SIZE = 2
NODE_INSTANCE_TYPE = c5.large
SPOT_BID = 0.5
PLUGINS = pypackages, ipcluster
INSTANCE_PROFILE = profile
NODE_INSTANCE_PROFILE = reader
"""
READS = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::readings/*"}
    ],
}

pytestmark = pytest.mark.usefixtures("in_module_cloud")


def host(home: Path, instance_id: str) -> Path:
    return home / "local" / "hosts" / instance_id / "home"


def log_of(home: Path, master: str) -> str:
    path = host(home, master) / ".spotcluster" / "keeper" / "log"
    return path.read_text() if path.exists() else ""


def keepers(master: str) -> list[psutil.Process]:
    """Return the keepers that run on a host."""
    found = []
    for one in psutil.process_iter():
        try:
            words = one.cmdline()
            if "spotcluster.cluster.lifecycle.keeping.service" in words and (
                one.environ().get("SPOTCLUSTER_HOST_ID") == master
            ):
                found.append(one)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> str:
    (module_home / "config").write_text(CONFIG)
    cli("createkey", "mykey")
    said = cli("start", "-c", "small", "--dry-run", "mycluster", status=2)
    assert "There is no instance profile 'profile' (INSTANCE_PROFILE)" in said
    iam = client_of(module_cloud, "iam")
    make_profile(iam, "profile", cli("iam-policy", "--keep", "--role", "reader"))
    said = cli("start", "-c", "small", "--dry-run", "mycluster", status=2)
    assert "There is no instance profile 'reader' (NODE_INSTANCE_PROFILE)" in said
    make_profile(iam, "reader", json.dumps(READS), "reader")
    cli("start", "-c", "small", "mycluster")
    return "mycluster"


def test_the_tests_cache_of_packages_had_one_that_uv_refused(
    cluster: str, module_home: Path
) -> None:
    """All were installed anew by pip then, which takes twenty times as long."""
    master = host(module_home, nodes(cluster)["master"]["id"])
    programs = master / ".spotcluster" / "keeper" / ".spotcluster" / "env" / "bin"
    assert (programs / "python").exists()
    assert not (programs / "pip").exists()


def test_master_replaces_what_is_lost_with_the_laptop_gone(
    cluster: str, module_home: Path, tmp_path: Path
) -> None:
    there = nodes(cluster)
    master = there["master"]["id"]
    wait_until("the keeper to look", lambda: "keeping 'mycluster'" in log_of(module_home, master))
    kept = {}
    for name in ("known_hosts", "keys", "clusters", "logs"):  # all that the laptop has of it
        if (module_home / name).exists():
            kept[name] = tmp_path / name
            shutil.move(module_home / name, kept[name])
    instances.terminate(Session("local"), [there["node001"]["id"]])
    wait_until(
        "node002",
        lambda: "node002 is ready" in log_of(module_home, master),
    )
    for name, place in kept.items():
        shutil.rmtree(module_home / name, ignore_errors=True)
        shutil.move(place, module_home / name)
    now = nodes(cluster)
    assert list(now) == ["master", "node002"]
    said = cli("keep", "--log", cluster)
    assert "asking for 1 node(s)" in said
    assert cli("sshnode", cluster, "node002", "true") == ""
    assert "ASIA" not in said


def test_programs_on_nodes_read_s3_without_keys_and_nothing_else(
    cluster: str, module_cloud: local.Endpoint
) -> None:
    """On a node that the keeper has launched, which may give it that role."""
    s3 = client_of(module_cloud, "s3")
    s3.create_bucket(Bucket="readings")
    s3.put_object(Bucket="readings", Key="one", Body=b"1.5")
    path = "latest/meta-data/iam/security-credentials"
    asking = f"curl -s --noproxy '*' ${{AWS_EC2_METADATA_SERVICE_ENDPOINT}}{path}"
    assert cli("sshnode", cluster, "node002", f"{asking}/").strip() == "reader"
    keys = json.loads(cli("sshnode", cluster, "node002", f"{asking}/reader"))
    own = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"], "us-east-1")

    def client(service: str) -> Any:
        return own.client(service, endpoint_url=module_cloud.url, config=Config(proxies={}))

    found = client("s3").get_object(Bucket="readings", Key="one")
    assert found["Body"].read() == b"1.5"
    with pytest.raises(ClientError, match="AccessDenied"):
        client("s3").put_object(Bucket="readings", Key="two", Body=b"")
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        client("ec2").terminate_instances(InstanceIds=[nodes(cluster)["master"]["id"]])
    assert cli("sshmaster", cluster, f"{asking}/").strip() == "keeper"


def test_keeper_that_is_killed_in_the_middle_goes_on(cluster: str, module_home: Path) -> None:
    there = nodes(cluster)
    master = there["master"]["id"]
    before = len(log_of(module_home, master))
    instances.terminate(Session("local"), [there["node002"]["id"]])
    wait_until("the next", lambda: "asking for" in log_of(module_home, master)[before:])
    wait_until(
        "its launch",
        lambda: "node003" in {one.alias for one in instances.describe(Session("local"), cluster)},
    )
    (one,) = keepers(master)
    one.kill()
    wait_until(
        "another keeper", lambda: [each.pid for each in keepers(master)] not in ([], [one.pid])
    )
    wait_until("node003", lambda: "node003 is ready" in log_of(module_home, master))
    assert list(nodes(cluster)) == ["master", "node003"]


@pytest.mark.skipif(not psutil.LINUX, reason="what a process has mapped is seen on Linux")
def test_keeper_only_looks_again_once_all_is_done(cluster: str, module_home: Path) -> None:
    """What acting needs, a third of the memory, is not there for as long as the cluster."""

    def has(library: str) -> bool:
        return any(f"/{library}/" in each.path for each in one.memory_maps())

    def only_looks() -> bool:
        return has("zmq") and not has("pydantic_core")

    there = nodes(cluster)
    master = there["master"]["id"]
    (one,) = wait_until("the keeper", lambda: keepers(master))
    wait_until("it to have nothing to do", only_looks)
    before = len(log_of(module_home, master))
    instances.terminate(Session("local"), [there["node003"]["id"]])
    wait_until("it to act", lambda: has("pydantic_core"))
    wait_until("node004", lambda: "node004 is ready" in log_of(module_home, master))
    wait_until("it to have nothing to do again", only_looks)
    assert keepers(master) == [one]  # all the time: there are never two that act
    said = log_of(module_home, master)[before:]
    assert said.count("asking for") == 1
    assert "keeping 'mycluster'" not in said
    assert list(nodes(cluster)) == ["master", "node004"]


def test_start_of_a_complete_cluster_brings_back_a_keeper_that_is_missing(
    cluster: str, module_home: Path
) -> None:
    master = nodes(cluster)["master"]["id"]
    (one,) = wait_until("the keeper", lambda: keepers(master))
    assert "already running" in cli("start", cluster, status=1)
    assert keepers(master) == [one]  # it is left alone
    services = host(module_home, master) / ".spotcluster" / "services"
    supervisor, _ = (services / "run" / "keeper").read_text().split()
    psutil.Process(int(supervisor)).kill()
    one.kill()
    (services / "keeper").unlink()
    wait_until("it to be gone", lambda: not keepers(master))
    cli("start", cluster)
    wait_until("it to be back", lambda: keepers(master))


def test_log_of_the_keeper_does_not_grow_for_ever(cluster: str, module_home: Path) -> None:
    master = nodes(cluster)["master"]["id"]
    folder = host(module_home, master) / ".spotcluster" / "keeper"
    with (folder / "log").open("a") as log:
        log.write(f"{'a long line '.ljust(10_000, '.')}\n" * 120)
    wait_until("another log", lambda: (folder / "log").stat().st_size < 100_000)
    assert (folder / "log.1").stat().st_size > 1_000_000
    said = cli("keep", "--log", cluster)
    assert "keeping 'mycluster'" in said
    assert "a long line" in said
    # Nor does that of the controller, which the keeper asks every few seconds.
    controller = host(module_home, master) / ".spotcluster" / "logs" / "controller.log"
    assert "requested" not in controller.read_text()


def test_keeper_elsewhere_is_refused_while_the_master_keeps(cluster: str) -> None:
    said = cli("keep", "--once", cluster, status=1)
    assert "The master of 'mycluster' keeps its size already" in said


def test_status_and_listing_say_whether_the_master_keeps_its_cluster(
    cluster: str, module_home: Path
) -> None:
    assert "keeps itself" in cli("listclusters", cluster)
    assert "Its master replaces what is lost" in cli("status", cluster)
    master = nodes(cluster)["master"]["id"]
    beat = host(module_home, master) / ".spotcluster" / "keeper" / "beat"
    (one,) = keepers(master)
    one.suspend()
    os.utime(beat, (1, 1))
    try:
        assert "that service does not run" in cli("status", cluster)
        assert json.loads(cli("status", "--json", cluster))["keeper"] == {"runs": False}
    finally:
        one.resume()


def test_keeper_is_there_again_after_a_stop(cluster: str, module_home: Path) -> None:
    there = nodes(cluster)
    master = there["master"]["id"]
    cli("stop", "-y", cluster)
    assert not keepers(master)
    before = len(log_of(module_home, master))
    cli("start", cluster)
    wait_until("keeping", lambda: "keeping 'mycluster'" in log_of(module_home, master)[before:])


def test_keeping_can_be_ended_and_begun_again_with_other_rules(
    cluster: str, module_home: Path
) -> None:
    master = nodes(cluster)["master"]["id"]
    cli("keep", "--off", cluster)
    wait_until("the keeper to end", lambda: not keepers(master))
    assert "has the nodes that it should" in cli("keep", "--once", cluster)
    before = len(log_of(module_home, master))
    cli("keep", "--on-master", "--min", "3", cluster)
    wait_until("a third", lambda: " is ready" in log_of(module_home, master)[before:])
    cli("keep", "--on-master", cluster)


def test_terminate_wins_against_a_keeper_that_adds(cluster: str, module_home: Path) -> None:
    there = nodes(cluster)
    master = there["master"]["id"]
    before = len(log_of(module_home, master))
    instances.terminate(Session("local"), [there.popitem()[1]["id"]])
    wait_until("the next", lambda: "asking for" in log_of(module_home, master)[before:])
    cli("terminate", "-y", cluster)
    assert not keepers(master)
    session = Session("local")
    assert instances.live(instances.describe(session, cluster)) == []
    assert session.ec2.describe_launch_templates()["LaunchTemplates"] == []
    groups = session.ec2.describe_security_groups()["SecurityGroups"]
    assert [one["GroupName"] for one in groups] == ["default"]
