"""A real local cloud: its daemon, its hosts, and no process of it left afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import packages
import pytest
from hosts import Machine, client_of, new_key

from spotcluster import local
from spotcluster.local import processes


@contextmanager
def running_local_cloud(home: Path) -> Iterator[local.Endpoint]:
    """Run a local cloud below `home`, which SPOTCLUSTER_HOME must name, and see it all end."""
    hosts: set[str] = set()
    try:
        endpoint = local.start()
        yield endpoint
        hosts = known_instances(local.endpoint())
    finally:
        hosts |= {path.name for path in (home / "local" / "hosts").glob("i-*")}
        local.stop()
    left = {host: found for host, found in processes.marks().items() if host in hosts}
    assert not left, f"processes of ended hosts are left: {left}"
    assert not local.status().running


def known_instances(endpoint: local.Endpoint) -> set[str]:
    """Return the ids of all instances that the API still lists."""
    ec2 = client_of(endpoint)
    return {
        instance["InstanceId"]
        for page in ec2.get_paginator("describe_instances").paginate()
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    }


@pytest.fixture(autouse=True)
def cached_packages(spotcluster_home: Path) -> None:
    """Let the hosts of a local cloud that a test starts link what those of others have."""
    packages.link(spotcluster_home)


@pytest.fixture
def local_cloud(spotcluster_home: Path) -> Iterator[local.Endpoint]:
    """Give one test a local cloud of its own."""
    with running_local_cloud(spotcluster_home) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def module_home() -> Iterator[Path]:
    """Give the tests of a module one folder for a local cloud that they share."""
    folder = Path(tempfile.mkdtemp(prefix="sc-"))
    packages.link(folder)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def module_cloud(module_home: Path) -> Iterator[local.Endpoint]:
    """Give the tests of a module one local cloud; see `in_module_cloud`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTCLUSTER_HOME", str(module_home))
        with running_local_cloud(module_home) as endpoint:
            yield endpoint


@pytest.fixture
def in_module_cloud(
    module_cloud: local.Endpoint,
    module_home: Path,
    spotcluster_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> local.Endpoint:
    """Point SPOTCLUSTER_HOME, which every test has of its own, at the module's local cloud."""
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(module_home))
    return module_cloud


@pytest.fixture(scope="module")
def ec2(module_cloud: local.Endpoint) -> Any:
    """Give a client of the module's cloud, whose default group lets ssh in."""
    client = client_of(module_cloud)
    (group,) = client.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    client.authorize_security_group_ingress(
        GroupId=group["GroupId"], CidrIp="127.0.0.1/32", IpProtocol="tcp", FromPort=22, ToPort=22
    )
    return client


@pytest.fixture(scope="module")
def launch(ec2: Any, module_home: Path) -> Callable[..., Machine]:
    """Give a function that launches an instance there, by what is given to RunInstances."""
    public = new_key(module_home / "key")
    ec2.import_key_pair(KeyName="k", PublicKeyMaterial=public.encode())

    def one(**params: Any) -> Machine:
        given = {"ImageId": "ami-5b3fb632", "InstanceType": "c1.xlarge", "KeyName": "k", **params}
        answer = ec2.run_instances(MinCount=1, MaxCount=1, **given)
        return Machine(ec2, answer["Instances"][0]["InstanceId"], module_home)

    return one


@pytest.fixture(scope="module")
def machine(launch: Any) -> Machine:
    """Give the tests that change nothing one machine."""
    found: Machine = launch().wait("running")
    return found
